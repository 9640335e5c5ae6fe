"""Sizes in bytes, written as Kubernetes writes them: `1048576`, `512Ki`, `64Mi`, `1G`."""

import re

_UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_SIZE = re.compile(r"([0-9]{1,15})(|k|M|G|Ki|Mi|Gi)")


def parse_size(text: str) -> int:
    """The number of bytes that `text` stands for; raises ValueError, worded for the person who wrote it."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write bytes or a whole number with Ki, Mi or Gi, such as 64Mi")
    return int(match[1]) * _UNITS[match[2]]


def format_size(size_bytes: int) -> str:
    """`size_bytes` for people: `512 bytes`, `1.5 MiB`."""
    if size_bytes < 1 << 10:
        return f"{size_bytes} bytes"
    for unit, name in (("Ki", "KiB"), ("Mi", "MiB"), ("Gi", "GiB")):
        value = size_bytes / _UNITS[unit]
        if value < 1024 or unit == "Gi":
            return f"{value:.1f}".removesuffix(".0") + f" {name}"
    raise AssertionError("unreachable")
