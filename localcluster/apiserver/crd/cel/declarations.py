"""The functions and operators that rules may use: CEL's standard ones, its extensions, and Kubernetes' own.

Each line is ``overload_id: name(arguments) result``; a name after a dot is a method, whose first argument stands before
the dot. Single capital letters are type variables.
https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from localcluster.apiserver.crd.cel import types
from localcluster.apiserver.crd.cel.types import Type

_STANDARD = """
conditional: _?_:_(bool, A, A) A
logical_and: _&&_(bool, bool) bool
logical_or: _||_(bool, bool) bool
logical_not: !_(bool) bool
not_strictly_false: @not_strictly_false(bool) bool
equals: _==_(A, A) bool
not_equals: _!=_(A, A) bool
add_bytes: _+_(bytes, bytes) bytes
add_double: _+_(double, double) double
add_duration_duration: _+_(duration, duration) duration
add_duration_timestamp: _+_(duration, timestamp) timestamp
add_timestamp_duration: _+_(timestamp, duration) timestamp
add_int64: _+_(int, int) int
add_list: _+_(list(A), list(A)) list(A)
add_string: _+_(string, string) string
add_uint64: _+_(uint, uint) uint
subtract_double: _-_(double, double) double
subtract_duration_duration: _-_(duration, duration) duration
subtract_int64: _-_(int, int) int
subtract_timestamp_duration: _-_(timestamp, duration) timestamp
subtract_timestamp_timestamp: _-_(timestamp, timestamp) duration
subtract_uint64: _-_(uint, uint) uint
multiply_double: _*_(double, double) double
multiply_int64: _*_(int, int) int
multiply_uint64: _*_(uint, uint) uint
divide_double: _/_(double, double) double
divide_int64: _/_(int, int) int
divide_uint64: _/_(uint, uint) uint
modulo_int64: _%_(int, int) int
modulo_uint64: _%_(uint, uint) uint
negate_double: -_(double) double
negate_int64: -_(int) int
index_list: _[_](list(A), int) A
index_map: _[_](map(A, B), A) B
optional_list_optindex_optional_int: _[_](optional_type(list(A)), int) optional_type(A)
optional_map_optindex_optional_value: _[_](optional_type(map(A, B)), A) optional_type(B)
list_optindex_optional_int: _[?_](list(A), int) optional_type(A)
optional_list_optindex_int: _[?_](optional_type(list(A)), int) optional_type(A)
map_optindex_optional_value: _[?_](map(A, B), A) optional_type(B)
optional_map_optindex_value: _[?_](optional_type(map(A, B)), A) optional_type(B)
in_list: @in(A, list(A)) bool
in_map: @in(A, map(A, B)) bool
size_bytes: size(bytes) int
size_list: size(list(A)) int
size_map: size(map(A, B)) int
size_string: size(string) int
bytes_size: bytes.size() int
list_size: list(A).size() int
map_size: map(A, B).size() int
string_size: string.size() int
type: type(A) type(A)
to_dyn: dyn(A) dyn
bool_to_bool: bool(bool) bool
string_to_bool: bool(string) bool
bytes_to_bytes: bytes(bytes) bytes
string_to_bytes: bytes(string) bytes
double_to_double: double(double) double
int64_to_double: double(int) double
string_to_double: double(string) double
uint64_to_double: double(uint) double
duration_to_duration: duration(duration) duration
int64_to_duration: duration(int) duration
string_to_duration: duration(string) duration
int64_to_int64: int(int) int
double_to_int64: int(double) int
duration_to_int64: int(duration) int
string_to_int64: int(string) int
timestamp_to_int64: int(timestamp) int
uint64_to_int64: int(uint) int
string_to_string: string(string) string
bool_to_string: string(bool) string
bytes_to_string: string(bytes) string
double_to_string: string(double) string
duration_to_string: string(duration) string
int64_to_string: string(int) string
timestamp_to_string: string(timestamp) string
uint64_to_string: string(uint) string
timestamp_to_timestamp: timestamp(timestamp) timestamp
int64_to_timestamp: timestamp(int) timestamp
string_to_timestamp: timestamp(string) timestamp
uint64_to_uint64: uint(uint) uint
double_to_uint64: uint(double) uint
int64_to_uint64: uint(int) uint
string_to_uint64: uint(string) uint
contains_string: string.contains(string) bool
ends_with_string: string.endsWith(string) bool
matches: matches(string, string) bool
matches_string: string.matches(string) bool
starts_with_string: string.startsWith(string) bool
duration_to_hours: duration.getHours() int
duration_to_milliseconds: duration.getMilliseconds() int
duration_to_minutes: duration.getMinutes() int
duration_to_seconds: duration.getSeconds() int
"""
_TIMESTAMP_PARTS = """getFullYear getMonth getDayOfYear getDate getDayOfMonth getDayOfWeek getHours getMinutes
getSeconds getMilliseconds"""
_COMPARED = ("bool", "int64", "uint64", "double", "string", "bytes", "timestamp", "duration")
_CROSS = (("int64", "double"), ("int64", "uint64"), ("uint64", "double"), ("uint64", "int64"), ("double", "int64"),
          ("double", "uint64"))  # fmt: skip
_EXTENSIONS = """
string_char_at_int: string.charAt(int) string
string_index_of_string: string.indexOf(string) int
string_index_of_string_int: string.indexOf(string, int) int
string_last_index_of_string: string.lastIndexOf(string) int
string_last_index_of_string_int: string.lastIndexOf(string, int) int
list_join: list(string).join() string
list_join_string: list(string).join(string) string
string_lower_ascii: string.lowerAscii() string
string_upper_ascii: string.upperAscii() string
string_replace_string_string: string.replace(string, string) string
string_replace_string_string_int: string.replace(string, string, int) string
string_split_string: string.split(string) list(string)
string_split_string_int: string.split(string, int) list(string)
string_substring_int: string.substring(int) string
string_substring_int_int: string.substring(int, int) string
string_trim: string.trim() string
string_reverse: string.reverse() string
string_format: string.format(list(dyn)) string
strings_quote: strings.quote(string) string
list_sets_contains_list: sets.contains(list(A), list(A)) bool
list_sets_equivalent_list: sets.equivalent(list(A), list(A)) bool
list_sets_intersects_list: sets.intersects(list(A), list(A)) bool
optional_of: optional.of(A) optional_type(A)
optional_ofNonZeroValue: optional.ofNonZeroValue(A) optional_type(A)
optional_none: optional.none() optional_type(A)
optional_hasValue: optional_type(A).hasValue() bool
optional_value: optional_type(A).value() A
optional_or_optional: optional_type(A).or(optional_type(A)) optional_type(A)
optional_orValue_value: optional_type(A).orValue(A) A
list_slice: list(A).slice(int, int) list(A)
list_flatten: list(list(A)).flatten() list(A)
list_distinct: list(A).distinct() list(A)
list_reverse: list(A).reverse() list(A)
list_sort: list(A).sort() list(A)
list_@sortByAssociatedKeys: list(A).@sortByAssociatedKeys(list(B)) list(A)
lists_range: lists.range(int) list(int)
@mapInsert_map_map: cel.@mapInsert(map(A, B), map(A, B)) map(A, B)
@mapInsert_map_key_value: cel.@mapInsert(map(A, B), A, B) map(A, B)
"""
_KUBERNETES = """
list_a_index_of_int: list(A).indexOf(A) int
list_a_last_index_of_int: list(A).lastIndexOf(A) int
string_find_string: string.find(string) string
string_find_all_string: string.findAll(string) list(string)
string_find_all_string_int: string.findAll(string, int) list(string)
is_url_string: isURL(string) bool
string_to_url: url(string) kubernetes.URL
url_get_escaped_path: kubernetes.URL.getEscapedPath() string
url_get_host: kubernetes.URL.getHost() string
url_get_hostname: kubernetes.URL.getHostname() string
url_get_port: kubernetes.URL.getPort() string
url_get_query: kubernetes.URL.getQuery() map(string, list(string))
url_get_scheme: kubernetes.URL.getScheme() string
is_quantity_string: isQuantity(string) bool
string_to_quantity: quantity(string) kubernetes.Quantity
quantity_sign: kubernetes.Quantity.sign() int
quantity_is_integer: kubernetes.Quantity.isInteger() bool
quantity_as_integer: kubernetes.Quantity.asInteger() int
quantity_get_float: kubernetes.Quantity.asApproximateFloat() double
quantity_is_greater_than: kubernetes.Quantity.isGreaterThan(kubernetes.Quantity) bool
quantity_is_less_than: kubernetes.Quantity.isLessThan(kubernetes.Quantity) bool
quantity_compare_to: kubernetes.Quantity.compareTo(kubernetes.Quantity) int
quantity_add: kubernetes.Quantity.add(kubernetes.Quantity) kubernetes.Quantity
quantity_add_int: kubernetes.Quantity.add(int) kubernetes.Quantity
quantity_sub: kubernetes.Quantity.sub(kubernetes.Quantity) kubernetes.Quantity
quantity_sub_int: kubernetes.Quantity.sub(int) kubernetes.Quantity
is_ip: isIP(string) bool
string_to_ip: ip(string) net.IP
ip_to_string: string(net.IP) string
ip_is_canonical: ip.isCanonical(string) bool
ip_family: net.IP.family() int
ip_is_unspecified: net.IP.isUnspecified() bool
ip_is_loopback: net.IP.isLoopback() bool
ip_is_link_local_multicast: net.IP.isLinkLocalMulticast() bool
ip_is_link_local_unicast: net.IP.isLinkLocalUnicast() bool
ip_is_global_unicast: net.IP.isGlobalUnicast() bool
is_cidr: isCIDR(string) bool
string_to_cidr: cidr(string) net.CIDR
cidr_to_string: string(net.CIDR) string
cidr_contains_ip_string: net.CIDR.containsIP(string) bool
cidr_contains_ip_ip: net.CIDR.containsIP(net.IP) bool
cidr_contains_cidr_string: net.CIDR.containsCIDR(string) bool
cidr_contains_cidr: net.CIDR.containsCIDR(net.CIDR) bool
cidr_ip: net.CIDR.ip() net.IP
cidr_masked: net.CIDR.masked() net.CIDR
cidr_prefix_length: net.CIDR.prefixLength() int
format-named: format.named(string) optional_type(kubernetes.NamedFormat)
format-validate: kubernetes.NamedFormat.validate(string) optional_type(list(string))
is_semver_string: isSemver(string) bool
is_semver_string_bool: isSemver(string, bool) bool
string_to_semver: semver(string) kubernetes.Semver
string_bool_to_semver: semver(string, bool) kubernetes.Semver
semver_major: kubernetes.Semver.major() int
semver_minor: kubernetes.Semver.minor() int
semver_patch: kubernetes.Semver.patch() int
semver_compare_to: kubernetes.Semver.compareTo(kubernetes.Semver) int
semver_is_greater_than: kubernetes.Semver.isGreaterThan(kubernetes.Semver) bool
semver_is_less_than: kubernetes.Semver.isLessThan(kubernetes.Semver) bool
"""
FORMATS = (
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix",
    "dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
)  # fmt: skip
_ORDERED_LISTS = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_OPAQUE = frozenset({"optional_type", "net.IP", "net.CIDR"})
_TYPE_NAMES = ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type",
               "google.protobuf.Timestamp", "google.protobuf.Duration", "optional_type", "net.IP", "net.CIDR",
               "kubernetes.URL", "kubernetes.Quantity", "kubernetes.Semver", "kubernetes.NamedFormat")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature of a function; a method's `arguments` begin with its receiver."""

    id: str
    arguments: tuple[Type, ...]
    result: Type
    member: bool
    variables: tuple[str, ...]


def _lines() -> list[str]:
    found = (_STANDARD + _EXTENSIONS + _KUBERNETES).split("\n")
    for part in _TIMESTAMP_PARTS.split():
        found.append(f"timestamp_to_{part}: timestamp.{part}() int")
        found.append(f"timestamp_to_{part}_with_tz: timestamp.{part}(string) int")
    names = {"int64": "int", "uint64": "uint"}
    for operator, word in (("_<_", "less"), ("_<=_", "less_equals"), ("_>_", "greater"), ("_>=_", "greater_equals")):
        for kind in _COMPARED:
            cel = names.get(kind, kind)
            found.append(f"{word}_{kind}: {operator}({cel}, {cel}) bool")
        for left, right in _CROSS:
            arguments = f"{names.get(left, left)}, {names.get(right, right)}"
            found.append(f"{word}_{left}_{right}: {operator}({arguments}) bool")
    for kind in _ORDERED_LISTS:
        found.append(f"list_{kind}_is_sorted_bool: list({kind}).isSorted() bool")
        found.append(f"list_{kind}_min_{kind}: list({kind}).min() {kind}")
        found.append(f"list_{kind}_max_{kind}: list({kind}).max() {kind}")
        if kind in ("int", "uint", "double", "duration"):
            found.append(f"list_{kind}_sum_{kind}: list({kind}).sum() {kind}")
    for name in FORMATS:
        found.append(f"format-{name}: format.{name}() kubernetes.NamedFormat")
    return [line for line in found if line]


def parse_type(text: str) -> Type:
    """A type as it is written above."""
    found, rest = _parse(text.strip())
    if rest:
        raise ValueError(text)
    return found


def _parse(text: str) -> tuple[Type, str]:
    match = re.match(r"[\w.]+", text)
    assert match is not None, text
    name, rest = match.group(), text[match.end() :]
    params: list[Type] = []
    if rest.startswith("("):
        rest = rest[1:]
        while not rest.startswith(")"):
            inner, rest = _parse(rest.lstrip(", "))
            params.append(inner)
        rest = rest[1:]
    if len(name) == 1:
        return Type("param", name=name), rest
    if name in _OPAQUE:
        return Type("opaque", tuple(params), name), rest
    if "." in name:
        return Type("object", name=name), rest
    return Type(name, tuple(params)), rest


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [p.strip() for p in [*parts, text[start:]] if p.strip()]


_METHODS = re.compile(
    r"((?:string|bytes|duration|timestamp|kubernetes\.\w+|net\.\w+|list|map|optional_type)(?:\(.*\))?)\.([@\w]+)"
)
_NAMESPACES = ("format.", "sets.", "optional.", "strings.", "lists.", "cel.", "ip.")


def _overload(line: str) -> tuple[str, Overload]:
    identifier, _, signature = line.partition(": ")
    head, result = _head(signature)
    callee, arguments = head
    member = False
    parts = _split(arguments)
    receiver = None if callee.startswith(_NAMESPACES) else _METHODS.fullmatch(callee)
    if receiver is not None:
        member = True
        parts.insert(0, receiver.group(1))
        callee = receiver.group(2)
    types_ = tuple(parse_type(p) for p in parts)
    made = parse_type(result)
    variables = tuple(sorted({v for t in (*types_, made) for v in _variables(t)}))
    return callee, Overload(identifier, types_, made, member, variables)


def _head(signature: str) -> tuple[tuple[str, str], str]:
    # The arguments' parenthesis is the last one that opens at depth 0.
    body, _, result = _cut(signature)
    depth = 0
    for at in range(len(body) - 1, -1, -1):
        depth += (body[at] == ")") - (body[at] == "(")
        if depth == 0:
            return (body[:at], body[at + 1 : -1]), result
    raise ValueError(signature)


def _cut(signature: str) -> tuple[str, str, str]:
    depth = 0
    for at in range(len(signature) - 1, -1, -1):
        letter = signature[at]
        depth += (letter == ")") - (letter == "(")
        if letter == " " and depth == 0:
            return signature[:at], " ", signature[at + 1 :]
    raise ValueError(signature)


def _variables(kind: Type) -> set[str]:
    if kind.kind == "param":
        return {kind.name}
    return {v for p in kind.params for v in _variables(p)}


@cache
def functions() -> dict[str, list[Overload]]:
    """All overloads by function name; names like ``sets.contains`` have a namespace."""
    found: dict[str, list[Overload]] = {}
    for line in _lines():
        name, overload = _overload(line)
        found.setdefault(name, []).append(overload)
    return found


@cache
def type_names() -> dict[str, Type]:
    """What names of types, which are values themselves, are the types of."""
    special = {
        "google.protobuf.Timestamp": types.TIMESTAMP,
        "google.protobuf.Duration": types.DURATION,
        "null_type": types.NULL,
        "list": types.list_of(types.DYN),
        "map": types.map_of(types.DYN, types.DYN),
        "optional_type": types.optional(types.DYN),
        "type": Type("type"),
    }
    return {n: Type("type", (special.get(n) or parse_type(n),)) for n in _TYPE_NAMES}
