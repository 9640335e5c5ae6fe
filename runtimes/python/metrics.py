"""The runtime's metrics: Kubeless's names, right over all workers, and right after a worker died.

prometheus-client's multiprocess mode gives each process files of its own, which outlive it. What a dead worker
counted is folded into one archive, so that scraping stays cheap however many workers have come and gone; a lock on
the folder lets no scrape see that half done. PROMETHEUS_MULTIPROC_DIR must be set before this module is imported.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ARCHIVE = "archive"

calls_total = Counter("function_calls_total", "Calls of the function", ["method"])
failures_total = Counter("function_failures_total", "Calls that raised or took too long", ["method"])
duration_seconds = Histogram(
    "function_duration_seconds", "Time that calls of the function took, in seconds", ["method"]
)
calls_in_progress = Gauge(
    "function_calls_in_progress", "Calls that the function is working on", multiprocess_mode="livesum"
)


def prepare() -> None:
    """Let the usual series begin at zero, so that the first call shows as an increase."""
    for method in ("GET", "POST"):
        calls_total.labels(method)
        failures_total.labels(method)
        duration_seconds.labels(method)
    calls_in_progress.set(0)


def folder() -> Path:
    """Where the processes' files are."""
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


@contextmanager
def _locked(operation: int) -> Iterator[None]:
    fd = os.open(folder() / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, operation)
        yield
    finally:
        os.close(fd)


class _AllProcesses:
    """Collects from the files of all processes, passing over one that a starting process has not filled yet."""

    def collect(self) -> Iterable[Metric]:
        with _locked(fcntl.LOCK_SH):
            files = [str(file) for file in folder().glob("*.db") if file.stat().st_size]
            metrics: Iterable[Metric] = MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
            return list(metrics)


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics as text, and its content type, in the format that the Accept header asks for."""
    registry = CollectorRegistry()
    registry.register(_AllProcesses())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def forget_process(pid: int) -> None:
    """Keep what the dead process `pid` counted, in the archive, and drop its gauges and files. The master calls it."""
    with _locked(fcntl.LOCK_EX):
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
        for kind in ("counter", "histogram", "summary"):
            dead = folder() / f"{kind}_{pid}.db"
            if dead.exists():
                if dead.stat().st_size:
                    _fold(dead, folder() / f"{kind}_{ARCHIVE}.db")
                dead.unlink()


def _fold(dead: Path, archive: Path) -> None:
    sums = MmapedDict(str(archive))  # type: ignore[no-untyped-call]
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(dead)):  # type: ignore[no-untyped-call]
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    finally:
        sums.close()  # type: ignore[no-untyped-call]
