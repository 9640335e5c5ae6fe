"""The runtime's settings, read once from the environment of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtimes.sizes import parse_size

DEFAULT_TIMEOUT_SECONDS = 180.0
DEFAULT_MAX_BODY = "100Mi"  # what Kubeless's FUNC_MEMFILE_MAX was
DEFAULT_DRAIN_SECONDS = 3.0
MAX_SECONDS = 7 * 24 * 3600.0


class SettingsError(Exception):
    """A setting that cannot be used; the message says which, and what would be right."""


@dataclass(frozen=True)
class Settings:
    """What the contract and the deployment of the function say; times in seconds, sizes in bytes."""

    module: str
    function: str
    source: Path
    timeout_seconds: float
    runtime: str | None
    memory_limit: str | None
    host: str
    port: int
    workers: int
    threads: int
    max_body_bytes: int
    drain_seconds: float

    @property
    def bind(self) -> str:
        """`host:port` as gunicorn takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def _required(env: Mapping[str, str], name: str, meaning: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set; it is {meaning}")
    return value


def _whole(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {low} to {high}")
    return int(text)


def _seconds(env: Mapping[str, str], name: str, default: float, above: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not above <= value <= MAX_SECONDS:
        raise SettingsError(f"{name} is {text!r}; it must be a number of seconds, from {above:g} to {MAX_SECONDS:g}")
    return value


def read_settings(env: Mapping[str, str]) -> Settings:
    """Settings from environment variables; raises SettingsError for the first that is missing or wrong."""
    module = _required(env, "MOD_NAME", "the handler's module")
    if "/" in module or "\0" in module or module in (".", ".."):
        raise SettingsError(f"MOD_NAME is {module!r}; it must be the name of a file in the source, without .py")
    max_body = env.get("FUNC_MAX_BODY") or env.get("FUNC_MEMFILE_MAX") or DEFAULT_MAX_BODY
    try:
        max_body_bytes = parse_size(max_body)
    except ValueError as error:
        raise SettingsError(f"FUNC_MAX_BODY: {error}") from None
    return Settings(
        module=module,
        function=_required(env, "FUNC_HANDLER", "the name of the handler's function"),
        source=Path(env.get("FUNC_SOURCE_DIR") or env.get("KUBELESS_INSTALL_VOLUME") or "/kubeless"),
        timeout_seconds=_seconds(env, "FUNC_TIMEOUT", DEFAULT_TIMEOUT_SECONDS, 0.001),
        runtime=env.get("FUNC_RUNTIME"),
        memory_limit=env.get("FUNC_MEMORY_LIMIT"),
        host=env.get("FUNC_HOST") or "0.0.0.0",
        port=_whole(env, "FUNC_PORT", 8080, 1, 65535),
        workers=_whole(env, "FUNC_WORKERS", 1, 1, 256),
        threads=_whole(env, "FUNC_THREADS", 64, 1, 1024),
        max_body_bytes=max_body_bytes,
        drain_seconds=_seconds(env, "FUNC_DRAIN_SECONDS", DEFAULT_DRAIN_SECONDS, 0.0),
    )
