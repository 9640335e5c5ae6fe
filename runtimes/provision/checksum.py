"""The checksum of a function: `sha256:<hex>` of what the runtime gets, after decoding and before unpacking."""

import hashlib
import re
from pathlib import Path

from runtimes.provision.errors import ProvisionError

_FORM = re.compile(r"sha256:([0-9a-fA-F]{64})")


def verify_checksum(file: Path, checksum: str) -> None:
    """Compare the content of `file` with `checksum`, if there is one; raises ProvisionError when they differ."""
    wanted = checksum.strip()
    if not wanted:
        return
    match = _FORM.fullmatch(wanted)
    if match is None:
        raise ProvisionError(f"the checksum {wanted!r} is not of the form sha256:<64 hexadecimal digits>")
    with file.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if actual != match[1].lower():
        raise ProvisionError(f"the function's checksum is sha256:{actual}, but the spec says sha256:{match[1].lower()}")
