"""Formats of names, ports and addresses."""

import pytest

from localcluster.apiserver.kinds import formats


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (formats.dns1123_label, ["a", "1abc", "a-b", "x" * 63], ["", "a.b", "A", "-a", "a-", "x" * 64]),
        (formats.dns1123_subdomain, ["a.b", "a-b.c", "x" * 63 + "." + "y"], ["", "a..b", ".a", "A.b", "x" * 254]),
        (formats.dns1035_label, ["a1"], ["1a", ""]),
        (formats.qualified_name, ["a", "e.example/A_b", "x" * 63], ["", "/a", "a/", "a/b/c", "-a", "x" * 64, "É.x/a"]),
        (formats.label_value, ["", "a_b.C-1"], ["-a", "a b", "x" * 64]),
        (formats.wildcard_dns1123_subdomain, ["*.a.b"], ["*.*.a", "*", "a.b"]),
        (formats.config_map_key, ["a", ".hidden", "A_b-c.d"], ["", ".", "..", "..a", "a/b", "x" * 254]),
        (formats.env_var_name, ["A", "a b", "1"], ["", "a=b", "ä", "a\tb"]),
        (formats.port_name, ["http", "a-1"], ["", "1", "a--b", "-a", "A", "a" * 16]),
        (formats.http_header_name, ["X-A"], ["", "X_A"]),
        (formats.path_segment, ["a:b", "A B"], [".", "..", "a/b", "a%b"]),
        (formats.ip, ["10.1.2.3", "2001:db8::1"], ["", "010.1.2.3", "1.2.3", "fe80::1%eth0"]),
        (formats.cidr, ["10.0.0.0/8", "10.1.2.3/8", "::/0"], ["10.0.0.0", "10.0.0.0/33", "x"]),
        (formats.percent, ["0%", "150%"], ["5", "%", "-1%"]),
    ],
)
def test_what_is_accepted(rule: formats.Rule, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if rule(value)] == []
    assert [value for value in bad if not rule(value)] == []


def test_dots_in_a_label_have_a_text_of_their_own() -> None:
    assert formats.dns1123_label("a.b") == ["must not contain dots"]


def test_both_parts_of_a_key_are_named() -> None:
    prefix, name = formats.qualified_name("UP.example/-x")
    assert prefix.startswith("prefix part a lowercase RFC 1123 subdomain")
    assert name.startswith("name part must consist of")
    assert formats.qualified_name("x" * 64) == ["name part must be no more than 63 bytes"]


def test_all_that_is_wrong_with_a_port_name() -> None:
    assert formats.port_name("UPPER_CASE_IS_LONG") == [
        "must be no more than 15 characters",
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        "must contain at least one letter (a-z)",
    ]
