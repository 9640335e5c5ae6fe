"""Packs src/ into function.yaml: `python3 examples/zip/make.py`. Needs nothing but Python."""

import base64
import hashlib
import io
import textwrap
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent
MANIFEST = """\
# Made from src/ by make.py; change it there.
apiVersion: kubeless.io/v1beta1
kind: Function
metadata:
  name: zip
spec:
  runtime: python3.11
  handler: shop.basket
  function-content-type: base64+zip
  checksum: sha256:{checksum}
  function: |
{source}
"""


def archive(folder: Path) -> bytes:
    """A zip of the folder's files, the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in sorted(folder.rglob("*.py")):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)))
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes())
    return content.getvalue()


def manifest(folder: Path) -> str:
    packed = archive(folder)
    lines = textwrap.fill(base64.b64encode(packed).decode(), 100)
    return MANIFEST.format(checksum=hashlib.sha256(packed).hexdigest(), source=textwrap.indent(lines, "    "))


if __name__ == "__main__":
    target = FOLDER / "function.yaml"
    target.write_text(manifest(FOLDER / "src"))
    print(f"wrote {target}")
