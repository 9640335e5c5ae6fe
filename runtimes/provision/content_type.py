"""`function-content-type`: where the source comes from, and what it is wrapped in."""

from dataclasses import dataclass

from runtimes.provision.errors import ProvisionError

ORIGINS = ("text", "base64", "url")
ARCHIVES = ("zip", "compressedtar")
KNOWN = "text, base64 or url, and the suffixes +zip or +compressedtar, and +deps, such as base64+zip+deps"


@dataclass(frozen=True)
class ContentType:
    """`origin` is text, base64 or url; `archive` is zip, compressedtar or None; `deps`: the archive brings its own."""

    origin: str
    archive: str | None
    deps: bool


def parse_content_type(text: str) -> ContentType:
    """A content type in any order of its suffixes; empty means text. Raises ProvisionError."""
    origin, *suffixes = (text.strip() or "text").split("+")
    archives = [suffix for suffix in suffixes if suffix in ARCHIVES]
    unknown = [suffix for suffix in suffixes if suffix not in (*ARCHIVES, "deps")]
    if origin not in ORIGINS or unknown or len(suffixes) != len(set(suffixes)) or len(archives) > 1:
        raise ProvisionError(f"function-content-type {text!r} is unknown; it is one of {KNOWN}")
    if origin == "text" and archives:
        raise ProvisionError(f"function-content-type {text!r}: an archive cannot be text; use base64+{archives[0]}")
    if "deps" in suffixes and not archives:
        raise ProvisionError(f"function-content-type {text!r}: +deps is for an archive; add +zip or +compressedtar")
    return ContentType(origin, archives[0] if archives else None, "deps" in suffixes)
