"""The CEL library with Kubernetes' functions: parsing text to syntax trees, and making trees into programs.

https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import itertools
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from cel_expr_python import cel

from localcluster.apiserver.crd import patterns
from localcluster.apiserver.crd.cel import rewriting, syntax, values
from localcluster.apiserver.crd.cel.declarations import FORMATS

JSON = dict[str, Any]

_EXTENSIONS = ("strings", "optional", "sets", "lists", "two-var-comprehensions", "bindings")
_SURROUNDINGS = re.compile(r"^[A-Z_]+: (.*) \[[A-Z_]+\]$", re.DOTALL)
_EPOCH_DAYS = re.compile(r"\d{4}-\d\d-\d\d")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|µs|μs|ms|s|m|h|d|w)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400,
            "w": 604800}  # fmt: skip


class SyntaxFailure(ValueError):
    """Text that does not parse; the message is the one that compilation is answered with."""


class EvaluationFailure(ValueError):
    """An expression that could not be evaluated; the message is cel-go's."""


def parse(text: str) -> syntax.Parsed:
    """The syntax tree of an expression. Raises SyntaxFailure."""
    try:
        return syntax.read(_environment().compile(text, disable_check=True).serialize(), text)
    except RuntimeError as error:
        match = _SURROUNDINGS.match(str(error))
        said = match.group(1) if match else str(error)
        said = said.replace("has() argument must be a field selection", "invalid argument to has() macro")
        raise SyntaxFailure(said) from None


class Program:
    """A tree that can be evaluated."""

    def __init__(self, expr: syntax.Expr) -> None:
        self._expression = _environment().deserialize(syntax.write(expr))

    def evaluate(self, variables: JSON) -> Any:
        """The value, as plain Python. Raises EvaluationFailure."""
        try:
            value = self._expression.eval(data=variables)
        except RuntimeError as error:
            raise EvaluationFailure(_in_go_words(str(error))) from None
        if str(value.type()) == "ERROR":
            raise EvaluationFailure(_in_go_words(str(value.value())))
        return value.plain_value()


_GO_WORDS = (
    (re.compile(r'Key not found in map : "?(.*?)"?$'), r"no such key: \1"),
    (re.compile(r"Index error: index=(-?\d+) size=\d+$"), r"index out of bounds: \1"),
    (re.compile(r"divide by zero$"), "division by zero"),
    (re.compile(r"modulus by zero$"), "modulus by zero"),
    (re.compile(r"No matching overloads found.*", re.DOTALL), "no such overload"),
    (re.compile(r"cannot convert string to int$"), "type conversion error from 'string' to 'int'"),
    (re.compile(r"cannot convert string to double$"), "type conversion error from 'string' to 'double'"),
    (re.compile(r"String to Duration conversion failed$"), "type conversion error from 'string' to 'duration'"),
    (re.compile(r"String to Timestamp conversion failed$"), "type conversion error from 'string' to 'timestamp'"),
)


def _in_go_words(said: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", said)
    for pattern, replacement in _GO_WORDS:
        if pattern.match(text):
            return pattern.sub(replacement, text)
    return text


# ---- functions


def _function(name: str, *overloads: tuple[str, Any, Sequence[Any], Callable[..., Any]], member: bool = False) -> Any:
    made = [
        cel.Overload(identifier, return_type=result, parameters=list(parameters), is_member=member, impl=implementation)
        for identifier, result, parameters, implementation in overloads
    ]
    return cel.FunctionDecl(name, made)


def _timestamp(text: str) -> dt.datetime:
    if _EPOCH_DAYS.fullmatch(text):
        text += "T00:00:00Z"
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)


def _duration(text: str) -> dt.timedelta:
    found = _DURATION_PART.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in found)
    return dt.timedelta(seconds=-seconds if text.strip().startswith("-") else seconds)


def _find(text: str, pattern: str) -> str:
    match = _compiled(pattern).search(text)
    return str(match.group()) if match is not None else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [m.group() for m in _compiled(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _compiled(pattern: str) -> Any:
    try:
        return patterns.compiled(pattern)
    except patterns.BadPattern as error:
        raise ValueError(f"Illegal regex: {error}") from None


def _extreme(name: str, choose: Callable[[Any], Any]) -> Callable[[list[Any]], Any]:
    def chosen(elements: list[Any]) -> Any:
        if not elements:
            raise ValueError(f"{name} called on empty list")
        return choose(elements)

    return chosen


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _index_of(elements: list[Any], wanted: Any) -> int:
    return next((i for i, e in enumerate(elements) if _same(e, wanted)), -1)


def _last_index_of(elements: list[Any], wanted: Any) -> int:
    return next((i for i in range(len(elements) - 1, -1, -1) if _same(elements[i], wanted)), -1)


def _is_sorted(elements: list[Any]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(elements))


def _named_format(name: str) -> list[JSON]:
    return [{"format": name}] if name in FORMATS else []


def _quantity_functions() -> list[Any]:
    t, v = cel.Type, values
    method = {"member": True}
    return [
        _function("isQuantity", ("is_quantity_string", t.BOOL, [t.STRING], v.is_quantity)),
        _function("quantity", ("string_to_quantity", t.MAP, [t.STRING], v.to_quantity)),
        _function("sign", ("quantity_sign", t.INT, [t.MAP], lambda q: v.compared(v.nanos(q), 0)), **method),
        _function("isInteger", ("quantity_is_integer", t.BOOL, [t.MAP], v.is_whole), **method),
        _function("asInteger", ("quantity_as_integer", t.INT, [t.MAP], v.whole), **method),
        _function(
            "asApproximateFloat", ("quantity_get_float", t.DOUBLE, [t.MAP], lambda q: v.nanos(q) / 1e9), **method
        ),
        _function(
            "add",
            ("quantity_add", t.MAP, [t.MAP, t.MAP], lambda a, b: v.quantity_of(v.nanos(a) + v.nanos(b))),
            ("quantity_add_int", t.MAP, [t.MAP, t.INT], lambda a, b: v.quantity_of(v.nanos(a) + b * 10**9)),
            **method,
        ),
        _function(
            "sub",
            ("quantity_sub", t.MAP, [t.MAP, t.MAP], lambda a, b: v.quantity_of(v.nanos(a) - v.nanos(b))),
            ("quantity_sub_int", t.MAP, [t.MAP, t.INT], lambda a, b: v.quantity_of(v.nanos(a) - b * 10**9)),
            **method,
        ),
    ]


def _order(value: JSON) -> Any:
    return values.nanos(value) if "quantity" in value else values.semver_key(value)


def _ordered_functions() -> list[Any]:
    # Quantities and versions are compared by functions of the same names.
    t = cel.Type
    comparisons: dict[str, tuple[Any, Callable[[Any, Any], Any]]] = {
        "isGreaterThan": (t.BOOL, lambda a, b: _order(a) > _order(b)),
        "isLessThan": (t.BOOL, lambda a, b: _order(a) < _order(b)),
        "compareTo": (t.INT, lambda a, b: values.compared(_order(a), _order(b))),
    }
    return [
        _function(name, (f"ordered_{name}", result, [t.MAP, t.MAP], implementation), member=True)
        for name, (result, implementation) in comparisons.items()
    ]


def _url_functions() -> list[Any]:
    t, v = cel.Type, values
    parts: list[tuple[str, str, Callable[[JSON], str]]] = [
        ("getScheme", "url_get_scheme", v.url_scheme),
        ("getHost", "url_get_host", v.url_host),
        ("getHostname", "url_get_hostname", v.url_hostname),
        ("getPort", "url_get_port", v.url_port),
        ("getEscapedPath", "url_get_escaped_path", v.url_path),
    ]
    return [
        _function("isURL", ("is_url_string", t.BOOL, [t.STRING], v.is_url)),
        _function("url", ("string_to_url", t.MAP, [t.STRING], v.to_url)),
        _function("getQuery", ("url_get_query", t.MAP, [t.MAP], v.url_query), member=True),
        *(_function(n, (i, t.STRING, [t.MAP], implementation), member=True) for n, i, implementation in parts),
    ]


def _address_functions() -> list[Any]:
    t, v = cel.Type, values
    checks: dict[str, Callable[[Any], bool]] = {
        "isUnspecified": lambda a: a.is_unspecified,
        "isLoopback": lambda a: a.is_loopback,
        "isLinkLocalMulticast": lambda a: a in _LINK_LOCAL_MULTICAST[a.version],
        "isLinkLocalUnicast": lambda a: a.is_link_local,
        "isGlobalUnicast": v.is_global_unicast,
    }
    methods = [
        _function(name, (name, t.BOOL, [t.MAP], lambda value, check=check: bool(check(v.ip_of(value)))), member=True)
        for name, check in checks.items()
    ]
    return [
        *methods,
        _function("isIP", ("is_ip", t.BOOL, [t.STRING], v.is_ip)),
        _function("ip", ("string_to_ip", t.MAP, [t.STRING], v.to_ip)),
        _function("ip.isCanonical", ("ip_is_canonical", t.BOOL, [t.STRING], lambda s: str(v.address(s)) == s)),
        _function("family", ("ip_family", t.INT, [t.MAP], lambda a: v.ip_of(a).version), member=True),
        _function("isCIDR", ("is_cidr", t.BOOL, [t.STRING], v.is_cidr)),
        _function("cidr", ("string_to_cidr", t.MAP, [t.STRING], v.to_cidr)),
        _function("ip", ("cidr_ip", t.MAP, [t.MAP], lambda c: {"ip": c["cidr"].partition("/")[0]}), member=True),
        _function(
            "containsIP",
            ("cidr_contains_ip_string", t.BOOL, [t.MAP, t.STRING], lambda c, s: v.contains_ip(c, v.address(s))),
            ("cidr_contains_ip_ip", t.BOOL, [t.MAP, t.MAP], lambda c, a: v.contains_ip(c, v.ip_of(a))),
            member=True,
        ),
        _function(
            "containsCIDR",
            ("cidr_contains_cidr_string", t.BOOL, [t.MAP, t.STRING], v.contains_cidr),
            ("cidr_contains_cidr", t.BOOL, [t.MAP, t.MAP], lambda c, d: v.contains_cidr(c, d["cidr"])),
            member=True,
        ),
        _function("masked", ("cidr_masked", t.MAP, [t.MAP], lambda c: {"cidr": str(v.network_of(c))}), member=True),
        _function(
            "prefixLength", ("cidr_prefix_length", t.INT, [t.MAP], lambda c: v.network_of(c).prefixlen), member=True
        ),
        _function("string", ("address_to_string", t.STRING, [t.MAP], lambda a: next(iter(a.values())))),
    ]


_LINK_LOCAL_MULTICAST = {
    4: ipaddress.ip_network("224.0.0.0/24"),
    6: ipaddress.ip_network("ff02::/16"),
}


def _other_functions() -> list[Any]:
    t, v = cel.Type, values
    method = {"member": True}
    versions = [
        _function(name, (f"semver_{name}", t.INT, [t.MAP], lambda s, i=i: s["semver"][i]), **method)
        for i, name in enumerate(("major", "minor", "patch"))
    ]
    named = [
        _function(f"format.{name}", (f"format-{name}", t.MAP, [], lambda name=name: {"format": name}))
        for name in FORMATS
    ]
    inserted = (
        ("insert_map", t.MAP, [t.MAP, t.MAP], lambda a, b: {**a, **b}),
        ("insert_entry", t.MAP, [t.MAP, t.DYN, t.DYN], lambda a, key, value: {**a, key: value}),
    )
    return [
        *versions,
        *named,
        _function("format.named", ("format-named", t.LIST, [t.STRING], _named_format)),
        _function("validate", ("format-validate", t.LIST, [t.MAP, t.STRING], v.format_errors), **method),
        _function(
            "isSemver",
            ("is_semver_string", t.BOOL, [t.STRING], v.is_semver),
            ("is_semver_string_bool", t.BOOL, [t.STRING, t.BOOL], v.is_semver),
        ),
        _function(
            "semver",
            ("string_to_semver", t.MAP, [t.STRING], v.to_semver),
            ("string_bool_to_semver", t.MAP, [t.STRING, t.BOOL], v.to_semver),
        ),
        _function(rewriting.MAP_INSERT, *inserted),
        _function(
            rewriting.TO_TIMESTAMP,
            ("read_timestamp", t.TIMESTAMP, [t.STRING], _timestamp),
            ("keep_timestamp", t.TIMESTAMP, [t.TIMESTAMP], lambda value: value),
        ),
        _function(
            rewriting.TO_DURATION,
            ("read_duration", t.DURATION, [t.STRING], _duration),
            ("keep_duration", t.DURATION, [t.DURATION], lambda value: value),
        ),
        _function("find", ("string_find_string", t.STRING, [t.STRING, t.STRING], _find), **method),
        _function(
            "findAll",
            ("string_find_all_string", t.LIST, [t.STRING, t.STRING], _find_all),
            ("string_find_all_string_int", t.LIST, [t.STRING, t.STRING, t.INT], _find_all),
            **method,
        ),
        _function("isSorted", ("list_is_sorted", t.BOOL, [t.LIST], _is_sorted), **method),
        _function("sum", ("list_sum", t.DYN, [t.LIST], sum), **method),
        _function("min", ("list_min", t.DYN, [t.LIST], _extreme("min", min)), **method),
        _function("max", ("list_max", t.DYN, [t.LIST], _extreme("max", max)), **method),
        _function("indexOf", ("list_a_index_of_int", t.INT, [t.LIST, t.DYN], _index_of), **method),
        _function("lastIndexOf", ("list_a_last_index_of_int", t.INT, [t.LIST, t.DYN], _last_index_of), **method),
    ]  # fmt: skip


@cache
def _environment() -> Any:
    config = cel.NewEnvConfigFromYaml("extensions:\n" + "".join(f"- name: {name}\n" for name in _EXTENSIONS))
    functions = [
        *_quantity_functions(), *_ordered_functions(), *_url_functions(), *_address_functions(), *_other_functions(),
    ]  # fmt: skip
    variables = {"self": cel.Type.DYN, "oldSelf": cel.Type.DYN}
    return cel.NewEnv(config=config, variables=variables, extensions=[cel.CelExtension("kubernetes", functions)])
