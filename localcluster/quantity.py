"""Kubernetes quantities: ``100m``, ``1.5Gi``, ``2e3``: parsing, canonical text, arithmetic and comparison.

The rules, including which spellings are kept as they were written, are those of k8s.io/apimachinery `api/resource`.
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering

_PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
MALFORMED = f"quantities must match the regular expression '{_PATTERN}'"
BAD_NUMBER = "unable to parse numeric part of quantity"
BAD_SUFFIX = "unable to parse quantity's suffix"

_PARTS = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {exponent: suffix for suffix, exponent in _BINARY.items()}

DECIMAL_SI = "DecimalSI"
BINARY_SI = "BinarySI"
DECIMAL_EXPONENT = "DecimalExponent"

_NANO = 10**9
_LARGEST_BINARY = (2**63 - 1) * _NANO
# Numbers of up to so many digits are kept as they were written if they look canonical.
_SHORT_DIGITS = 18


@total_ordering
class Quantity:
    """An exact number of nano-units with the notation in which it is shown.

    Attributes:
        nanos: the value times 10^9; anything finer was rounded away from zero.
        notation: ``DecimalSI``, ``BinarySI`` or ``DecimalExponent``.
    """

    __slots__ = ("_text", "nanos", "notation")

    def __init__(self, nanos: int, notation: str = DECIMAL_SI, text: str = "") -> None:
        self.nanos = nanos
        self.notation = notation
        self._text = text

    def __str__(self) -> str:
        if not self._text:
            self._text = self._canonical()
        return self._text

    def __repr__(self) -> str:
        return f"Quantity({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __bool__(self) -> bool:
        return self.nanos != 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.notation if self.nanos else other.notation)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.notation if self.nanos else other.notation)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.notation)

    def __mul__(self, times: int) -> Quantity:
        return Quantity(self.nanos * times, self.notation)

    @property
    def value(self) -> int:
        """The value in units, rounded away from zero."""
        return _divide_up(self.nanos, _NANO)

    @property
    def milli_value(self) -> int:
        """The value in thousandths, rounded away from zero."""
        return _divide_up(self.nanos, 10**6)

    @property
    def is_integer(self) -> bool:
        return self.nanos % _NANO == 0

    def __float__(self) -> float:
        return self.nanos / _NANO

    def rounded_up(self, exponent: int) -> Quantity:
        """Rounded away from zero to a multiple of 10^exponent (-9 to 0); kept as spelled if that changes nothing."""
        step = 10 ** (exponent + 9)
        if self.nanos % step == 0:
            return self
        return Quantity(_divide_up(self.nanos, step) * step, self.notation)

    def _canonical(self) -> str:
        if not self.nanos:
            return "0"
        sign, amount = ("-", -self.nanos) if self.nanos < 0 else ("", self.nanos)
        if self.notation == BINARY_SI and amount >= 1024 * _NANO and amount % _NANO == 0:
            amount, exponent = amount // _NANO, 0
            while amount % 1024 == 0 and exponent < 60:
                amount, exponent = amount // 1024, exponent + 10
            return f"{sign}{amount}{_BINARY_SUFFIX.get(exponent, '')}"
        exponent = -9
        while amount % 1000 == 0 and (exponent < 18 or self.notation == DECIMAL_EXPONENT):
            amount, exponent = amount // 1000, exponent + 3
        if self.notation == DECIMAL_EXPONENT:
            return f"{sign}{amount}e{exponent}" if exponent else f"{sign}{amount}"
        return f"{sign}{amount}{_DECIMAL_SUFFIX[exponent]}"


def _divide_up(amount: int, by: int) -> int:
    return -(-amount // by) if amount >= 0 else amount // by


ZERO = Quantity(0, DECIMAL_SI, "0")


@lru_cache(maxsize=1024)
def _parse(text: str) -> Quantity:
    match = _PARTS.fullmatch(text)
    if not text or match is None:
        raise ValueError(MALFORMED)
    sign, whole, fraction, suffix = match.groups()
    if not whole and not fraction and not (sign and text == sign):
        raise ValueError(BAD_NUMBER if fraction is not None or suffix else MALFORMED)
    base, exponent, notation = _suffix(suffix)
    number = whole.lstrip("0")
    digits = (number or "0") + (fraction or "")
    factor = -1 if sign == "-" else 1
    if not number and fraction is None and not suffix:
        return Quantity(0, DECIMAL_SI)
    places = len(fraction or "")
    if base == 2:
        units = int(digits) << exponent
        nanos = _divide_up(units * _NANO, 10**places)
        nanos = min(nanos, _LARGEST_BINARY)
        short = not places and 15 - len(digits) - int(exponent * 0.3) - 1 >= 0
        kept = text if short and int(digits) & 7 else ""
        if 0 < nanos < _NANO:
            notation = DECIMAL_SI
        return Quantity(factor * nanos, notation, kept)
    scale = exponent - places
    nanos = int(digits) * 10 ** (scale + 9) if scale >= -9 else _divide_up(int(digits), 10 ** (-9 - scale))
    # A spelling that looks canonical is kept, even where a shorter one exists (1.500 stays).
    canonical = scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"
    short = len(digits) <= _SHORT_DIGITS and scale >= -9
    return Quantity(factor * nanos, notation, text if canonical and short else "")


def _suffix(suffix: str) -> tuple[int, int, str]:
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], DECIMAL_SI
    if suffix in _BINARY:
        return 2, _BINARY[suffix], BINARY_SI
    if suffix[0] in "eE" and re.fullmatch(r"[-+]?[0-9]{1,5}", suffix[1:]):
        return 10, int(suffix[1:]), DECIMAL_EXPONENT
    raise ValueError(BAD_SUFFIX)


def parse(value: str | int | float) -> Quantity:
    """The quantity that a JSON value stands for. ValueError, worded as the API server does, if it is none."""
    if isinstance(value, float):
        value = f"{value:.0f}" if value.is_integer() and abs(value) < 1e18 else repr(value)
    return _parse(str(value).strip())


def canonical(value: str | int | float) -> str:
    """The text that the API server shows: ``0.1`` as ``100m``, ``1024Mi`` as ``1Gi``. ValueError as `parse`."""
    return str(parse(value))
