"""The certificate of the kubelet API, by an authority of the node's own: `python -m localcluster.node.certificate`.

A process of its own, so that the node need not keep the library for it in memory.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from localcluster.node.settings import Settings

METRICS_SERVICE = "metrics-server"
METRICS_NAMESPACE = "kube-system"


def names(settings: Settings) -> list[str]:
    service = f"{METRICS_SERVICE}.{METRICS_NAMESPACE}.svc"
    return [settings.node_name, "localhost", settings.host_ip, service]


async def ensure(settings: Settings) -> tuple[Path, Path, Path]:
    """Certificate, key and authority, made when they are missing. Raises `RuntimeError`."""
    folder = settings.data_dir / "pki"
    files = (folder / "kubelet.crt", folder / "kubelet.key", folder / "ca.crt")
    stamp = folder / "names"
    wanted = "\n".join(names(settings))
    if all(file.exists() for file in files) and stamp.exists() and stamp.read_text() == wanted:
        return files
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localcluster.node.certificate", str(settings.data_dir), *names(settings),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the kubelet API's certificate cannot be made: {errors.decode(errors='replace')}")
    stamp.write_text(wanted)
    return files


def _make(data_dir: Path, subject_names: list[str]) -> None:
    from localcluster.certs import Pki

    Pki.open(data_dir).serving("kubelet", subject_names[0], subject_names)


if __name__ == "__main__":
    _make(Path(sys.argv[1]), sys.argv[2:])
