"""CEL rules: what they may say, what is wrong with those that do not compile, what they cost, and what they find."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from localcluster.apiserver.crd.cel import cost
from localcluster.apiserver.crd.cel.compilation import Rule, compile_rules
from localcluster.apiserver.crd.cel.library import EvaluationFailure, parse
from localcluster.apiserver.crd.cel.rules import Rules, converted
from localcluster.apiserver.crd.cel.syntax import read, write
from localcluster.apiserver.crd.cel.types import declared, escaped

JSON = dict[str, Any]

TEXTS = {"type": "array", "maxItems": 10, "items": {"type": "string"}}
RAW: JSON = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "i": {"type": "integer"},
        "n": {"type": "number"},
        "b": {"type": "boolean"},
        "l": TEXTS,
        "li": {"type": "array", "maxItems": 10, "items": {"type": "integer"}},
        "ln": {"type": "array", "maxItems": 10, "items": {"type": "number"}},
        "m": {"type": "object", "maxProperties": 10, "additionalProperties": {"type": "string"}},
        "o": {"type": "object", "properties": {"a": {"type": "string"}}},
        "lo": {
            "type": "array",
            "maxItems": 5,
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}},
        },
        "when": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "d": {"type": "string", "format": "duration"},
        "by": {"type": "string", "format": "byte"},
        "times": {"type": "array", "maxItems": 3, "items": {"type": "string", "format": "date-time"}},
        "port": {"x-kubernetes-int-or-string": True},
        "opt": {"type": "string"},
        "my-name": {"type": "string"},
        "namespace": {"type": "string"},
        "a.b/c": {"type": "string"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
OBJECT: JSON = {
    "s": "hello World", "i": 5, "n": 1, "b": True, "l": ["b", "a"], "li": [3, 1, 2], "ln": [1, 2.5], "m": {"x": "y"},
    "o": {"a": "z"}, "lo": [{"k": "a", "v": 1}, {"k": "b", "v": 2}], "when": "2024-01-02T03:04:05.123456789Z",
    "day": "2024-02-03", "d": "1h30m", "by": "aGk=", "times": ["2024-01-02T03:04:05Z"], "port": "80%", "my-name": "q",
    "namespace": "ns", "a.b/c": "dot",
}  # fmt: skip


def rule(text: str, raw: JSON = RAW, **more: Any) -> Rule:
    known = declared(raw)
    assert known is not None
    return compile_rules({**raw, "x-kubernetes-validations": [{"rule": text, **more}]}, known)[0]


def evaluate(text: str) -> Any:
    compiled = rule(text)
    assert compiled.program is not None, compiled.error
    value = converted(OBJECT, RAW)
    return compiled.program.evaluate({"self": value, "oldSelf": value})


@pytest.mark.parametrize(
    "text",
    """
self.s.startsWith('hello') && self.s.endsWith('World') && self.s.contains('lo W')
self.s.lowerAscii() == 'hello world' && self.s.upperAscii() == 'HELLO WORLD'
self.s.split(' ')[1] == 'World' && self.s.split('o', 2).size() == 2
self.s.replace('o', '0') == 'hell0 W0rld' && self.s.substring(0, 5) == 'hello' && ' x '.trim() == 'x'
self.s.indexOf('o') == 4 && self.s.lastIndexOf('o') == 7 && self.s.charAt(0) == 'h'
self.s.find('[A-Z]\\\\w+') == 'World' && self.s.findAll('o').size() == 2 && self.s.findAll('o', 1) == ['o']
self.s.matches('^h.*d$') && '%s'.format([self.s]) == self.s && 'abc'.reverse() == 'cba'
self.l.join(',') == 'b,a' && self.li.sum() == 6 && self.li.min() == 1 && self.li.max() == 3
!self.li.isSorted() && self.li.indexOf(2) == 2 && self.l.lastIndexOf('zz') == -1 && self.ln.sum() == 3.5
self.l.all(x, size(x) == 1) && self.l.exists(x, x == 'a') && self.l.exists_one(x, x == 'a')
self.l.map(x, x + '!') == ['b!', 'a!'] && self.l.filter(x, x == 'a').size() == 1
self.l.all(i, v, i >= 0 && v != '') && self.m.exists(k, v, k == 'x' && v == 'y') && self.l.existsOne(i, v, v == 'a')
self.l.transformList(i, v, v + string(i)) == ['b0', 'a1']
self.m.transformMap(k, v, v + k) == {'x': 'yx'} && self.m.transformMapEntry(k, v, {v: k}) == {'y': 'x'}
self.m['x'] == 'y' && self.m.x == 'y' && 'x' in self.m && 'a' in self.l && self.m.all(k, k == 'x')
!has(self.opt) && self.?opt.orValue('d') == 'd' && !self.?opt.hasValue() && self.?o.?a.value() == 'z'
self.?s.optMap(x, x + '!').orValue('') == 'hello World!' && self.l[?0].orValue('z') == 'b'
self.l[?7] == optional.none()
[?self.?opt].size() == 0 && {?'a': self.?opt}.size() == 0 && !optional.ofNonZeroValue('').hasValue()
self.when < timestamp('2025-01-01T00:00:00Z') && self.when.getFullYear() == 2024
self.day == timestamp('2024-02-03T00:00:00Z') && self.d == duration('90m') && self.d.getMinutes() == 90
self.?when.hasValue() && self.?when.value() < timestamp('2025-01-01T00:00:00Z')
self.times.all(t, t < timestamp('2025-01-01T00:00:00Z')) && self.times[0] == timestamp('2024-01-02T03:04:05Z')
self.when - timestamp('2024-01-01T00:00:00Z') > duration('24h')
self.by == b'hi' && string(self.by) == 'hi'
self.n == 1.0 && self.n / 2.0 == 0.5 && self.n > 0 && self.i > 1.5
type(self.port) == string && self.port == '80%' && double(self.port.replace('%', '')) < 81.0
self.my__dash__name == 'q' && self.__namespace__ == 'ns' && self.a__dot__b__slash__c == 'dot'
has(self.my__dash__name)
self.?my__dash__name.orValue('') == 'q'
self.lo.all(o, o.v > 0) && self.lo.map(o, o.k) == ['a', 'b'] && self.lo.exists(o, o.k == 'b' && o.v == 2)
quantity('1Gi').compareTo(quantity('1024Mi')) == 0 && quantity('1') == quantity('1000m')
quantity('1Ki').add(quantity('1')).asInteger() == 1025 && quantity('1k').sub(1).isLessThan(quantity('1k'))
!quantity('1.5').isInteger() && quantity('1.5').asApproximateFloat() == 1.5 && quantity('-1').sign() == -1
isQuantity('1.5Gi') && !isQuantity('abc') && quantity('2').isGreaterThan(quantity('1'))
isURL('https://a.b:80/c?d=e') && !isURL('a b') && url('https://a.b:80/c?d=e').getPort() == '80'
url('https://a.b/c%20x?d=e').getQuery()['d'] == ['e'] && url('https://[::1]:80/x').getHostname() == '::1'
url('https://a.b/c').getScheme() == 'https' && url('https://a.b/c').getEscapedPath() == '/c'
isIP('127.0.0.1') && !isIP('x') && ip('127.0.0.1').isLoopback() && string(ip('::1')) == '::1'
ip('::1').family() == 6
ip.isCanonical('127.0.0.1') && !ip.isCanonical('0:0:0:0:0:0:0:1') && ip('8.8.8.8').isGlobalUnicast()
cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.1.2.3'))
cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.0.0.5/8').masked() == cidr('10.0.0.0/8')
cidr('10.0.0.0/8').prefixLength() == 8 && cidr('10.0.0.0/8').ip() == ip('10.0.0.0') && !isCIDR('10.0.0.0')
!format.dns1123Label().validate('abc').hasValue() && format.dns1123Label().validate('A B').hasValue()
format.named('uuid').hasValue() && !format.named('nope').hasValue()
sets.contains(self.l, ['a']) && sets.equivalent(self.l, ['a', 'b']) && !sets.intersects(self.l, ['c'])
isSemver('1.2.3') && semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).minor() == 2
self == oldSelf && self.l == oldSelf.l && oldSelf.i <= self.i
self.i + 1 == 6 && self.i % 2 == 1 && -self.i == -5 && dyn(self.i) == 5.0 && string(self.i) == '5' && int('5') == 5
[1, 2, 3].slice(1, 3) == [2, 3] && [3, 1].sort() == [1, 3] && [[1], [2]].flatten() == [1, 2]
self.lo.sortBy(o, -o.v)[0].k == 'b' && lists.range(3) == [0, 1, 2]
true || self.m.nope == 'x'
""".strip().split("\n"),
)
def test_rules_that_hold(text: str) -> None:
    assert evaluate(text) is True


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("self.nope", 5, "undefined field 'nope'"),
        ("self.o.nope == 1", 7, "undefined field 'nope'"),
        ("has(self.nope)", 4, "undefined field 'nope'"),
        ("self.free.x == 1", 10, "undefined field 'x'"),
        ("self.metadata.name == 'x'", 5, "undefined field 'metadata'"),
        ("self.s + 1 == 2", 8, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.i == 1.0", 8, "found no matching overload for '_==_' applied to '(int, double)'"),
        ("self.s.startsWith(1)", 18, "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("self.l.all(x, 1)", 15, "expected type 'bool' but found 'int'"),
        ("self.s.foo()", 11, "undeclared reference to 'foo' (in container '')"),
        ("foo", 1, "undeclared reference to 'foo' (in container '')"),
        ("self.i.x", 7, "type 'int' does not support field selection"),
        ("[1, 'a'].size() == 2", 5, "expected type 'int' but found 'string'"),
        (
            "self.s.all(x, true)",
            5,
            "expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("has(self)", 5, "invalid argument to has() macro"),
    ],
)
def test_rules_that_do_not_compile(text: str, column: int, message: str) -> None:
    shown = f" | {text}\n | {'.' * (column - 1)}^"
    assert rule(text).error == f"compilation failed: ERROR: <input>:1:{column}: {message}\n{shown}"


def test_errors_are_sorted_by_place_and_show_their_line() -> None:
    assert rule("self.i > 1 &&\n self.x > y").error == (
        "compilation failed: ERROR: <input>:2:6: undefined field 'x'\n |  self.x > y\n | .....^\n"
        "ERROR: <input>:2:11: undeclared reference to 'y' (in container '')\n |  self.x > y\n | ..........^"
    )


def test_a_rule_is_a_condition() -> None:
    assert rule("self.i").error == "cel expression must evaluate to a bool"
    assert rule("true", messageExpression="1").message_error == "messageExpression must evaluate to a string"
    assert rule("true", messageExpression="self.x").message_error.startswith("messageExpression compilation failed: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("self.m.zz == 'y'", "no such key: zz"),
        ("self.l[9] == 'x'", "index out of bounds: 9"),
        ("1 / 0 == 1", "division by zero"),
        ("self.i + 9223372036854775807 > 0", "integer overflow"),
        ("self.port + 1 == 2", "no such overload"),
        ("[].min() == 1", "min called on empty list"),
    ],
)
def test_rules_that_fail_when_they_are_evaluated(text: str, message: str) -> None:
    with pytest.raises(EvaluationFailure, match=message):
        evaluate(text)


@pytest.mark.parametrize(
    "text", ["1 + -2 * 3 > 0", "{'a': [1u, 2u]}.a.all(x, x > 0u)", "b'\\xff' == b'x' || 1.5 > null"]
)
def test_trees_survive_being_written(text: str) -> None:
    parsed = parse(text)
    assert read(write(parsed.expr), text).expr == parsed.expr


def test_names_in_cel() -> None:
    assert escaped("a-b.c/d__e") == "a__dash__b__dot__c__slash__d__underscores__e"
    assert escaped("in") == "__in__"
    assert escaped("a$b") is None


class TestCost:
    def test_limits_of_the_schema_count(self) -> None:
        assert rule("self.i > 1").cost == 3
        # For each of ten: the loop's condition 2, the step 5 (with 1 for size); and the list's 2, the result 1.
        assert rule("self.l.all(x, size(x) == 1)").cost == 63
        assert rule("self.s.contains('x')").cost > 300_000

    def test_unlimited_lists_are_expensive(self) -> None:
        raw = {"type": "object", "properties": {"l": {"type": "array", "items": {"type": "string"}}}}
        compiled = rule("self.l.all(x, self.l.all(y, x == y))", raw)
        assert compiled.cost > 100 * cost.RULE_LIMIT

    def test_the_words_of_excess(self) -> None:
        assert "by factor of 1.200000x (" in cost.exceeded("it", 12, 10)
        assert "by factor of 2.5x (" in cost.exceeded("it", 25, 10)
        assert "by factor of more than 100x (" in cost.exceeded("it", 2000, 10)


class TestRules:
    raw: ClassVar[JSON] = {
        "type": "object",
        "x-kubernetes-validations": [{"rule": "self.metadata.name.startsWith('w')", "message": " named w "}],
        "properties": {
            "spec": {
                "type": "object",
                "x-kubernetes-validations": [
                    {"rule": "!has(self.a) || self.a < 9", "messageExpression": "'a is ' + string(self.a)"},
                    {"rule": "!has(self.x)", "reason": "FieldValueForbidden", "fieldPath": ".x", "message": "no"},
                ],
                "properties": {
                    "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
                    "x": {"type": "string"},
                    "once": {
                        "type": "string",
                        "x-kubernetes-validations": [
                            {"rule": "!oldSelf.hasValue() || oldSelf.value() == self", "optionalOldSelf": True}
                        ],
                    },
                    "map": {
                        "type": "array",
                        "maxItems": 5,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["k"],
                        "items": {
                            "type": "object",
                            "required": ["k"],
                            "properties": {"k": {"type": "string"}, "v": {"type": "string"}},
                            "x-kubernetes-validations": [{"rule": "self.v == oldSelf.v", "message": "v is fixed"}],
                        },
                    },
                },
            }
        },
    }

    def errors(self, spec: JSON, old: JSON | None = None, name: str = "w1") -> list[str]:
        before = None if old is None else {"metadata": {"name": name}, "spec": old}
        return [str(e) for e in Rules(self.raw).validate({"metadata": {"name": name}, "spec": spec}, before)]

    def test_messages(self) -> None:
        assert self.errors({"a": 5}) == []
        assert self.errors({"a": 10}) == ["spec: Invalid value: a is 10"]
        assert self.errors({"x": ""}) == ["spec.x: Forbidden: no"]
        assert self.errors({}, name="x") == ["<nil>: Invalid value: named w"]

    def test_changes(self) -> None:
        assert self.errors({"a": 4}, {"a": 5}) == ["spec.a: Invalid value: 4: failed rule: self >= oldSelf"]
        assert self.errors({"a": 4}, {}) == []

    def test_optional_old_values(self) -> None:
        assert self.errors({"once": "x"}) == []
        assert self.errors({"once": "x"}, {"once": "x"}) == []
        assert len(self.errors({"once": "y"}, {"once": "x"})) == 1

    def test_elements_of_maps_belong_together(self) -> None:
        old = {"map": [{"k": "a", "v": "1"}, {"k": "b", "v": "2"}]}
        assert self.errors({"map": [{"k": "b", "v": "2"}, {"k": "c", "v": "3"}]}, old) == []
        assert self.errors({"map": [{"k": "b", "v": "9"}]}, old) == ["spec.map[0]: Invalid value: v is fixed"]

    def test_the_order_of_sets_is_no_difference(self) -> None:
        fixed = [{"rule": "self == oldSelf"}]
        items = {"type": "string"}
        a_set = {"type": "array", "x-kubernetes-list-type": "set", "items": items, "x-kubernetes-validations": fixed}
        a_list = {"type": "array", "items": items, "x-kubernetes-validations": fixed}
        raw = {"type": "object", "properties": {"set": a_set, "list": a_list}}
        old, new = {"set": ["a", "b"], "list": ["a", "b"]}, {"set": ["b", "a"], "list": ["b", "a"]}
        assert [e.path for e in Rules(raw).validate(new, old)] == ["list"]

    def test_what_did_not_change_is_let_be(self) -> None:
        assert self.errors({"a": 10}, {"a": 10}) == []
        assert self.errors({"a": 10, "once": "x"}, {"a": 10}) == ["spec: Invalid value: a is 10"]

    def test_failures_are_errors(self) -> None:
        raw = {"type": "object", "properties": {"m": {
            "type": "object", "additionalProperties": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self['k'] == 'v'"}]}}}  # fmt: skip
        found = [str(e) for e in Rules(raw).validate({"m": {}}, None)]
        assert found == ["m: Invalid value: \"object\": no such key: k evaluating rule: self['k'] == 'v'"]
