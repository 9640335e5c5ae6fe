"""The command line of the local cluster: up, down and status."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

from localcluster.supervisor import (
    PRIVATE_UMASK,
    Layout,
    Settings,
    StartError,
    Supervisor,
    choose_settings,
    lock,
    processes,
)

READY_SECONDS = 60.0
DEFAULT_DATA_DIR = Path(".localcluster")

EXAMPLES = """examples:
  python -m localcluster up                        run in the foreground, Ctrl-C ends it
  python -m localcluster up --detach               return when it is ready
  python -m localcluster up --detach --data-dir /tmp/two --port 7443
  KUBECONFIG=.localcluster/kubeconfig kubectl get nodes
  python -m localcluster status
  python -m localcluster down
"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    layout = Layout(options.data_dir.resolve())
    try:
        if options.command == "up":
            return up(layout, options)
        if options.command == "down":
            return down(layout, options.purge)
        return status(layout)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcluster",
        description="A small Kubernetes for a laptop: pods are processes, no root, no container engine.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("up", "start the cluster"),
        ("down", "stop it; its objects are kept"),
        ("status", "say whether it runs, and where"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument(
            "--data-dir", type=Path, default=DEFAULT_DATA_DIR, metavar="D", help="default: ./.localcluster"
        )
        if name == "up":
            command.add_argument("--detach", action="store_true", help="return when it is ready")
            command.add_argument("--kubeconfig", type=Path, metavar="F", help="write the kubeconfig here too")
            command.add_argument("--port", type=int, metavar="P", help="of the API server; default: 6443 or a free one")
            command.add_argument("--no-node", action="store_true", help="the control plane alone: pods stay Pending")
            command.add_argument("--images", type=Path, metavar="F", help="how further images start (YAML)")
        if name == "down":
            command.add_argument("--purge", action="store_true", help="and delete the data directory")
    return parser


def up(layout: Layout, options: argparse.Namespace) -> int:
    began = time.monotonic()
    # What is written here is for its owner alone: keys, kubeconfigs, Secrets. What pods write is their own affair.
    umask = os.umask(PRIVATE_UMASK)
    make_private(layout)
    held = lock(layout)
    if held is None:
        print(f"already running with {layout.data_dir}")
        return status(layout)
    if options.detach:
        held.close()
        return _up_detached(layout, options, began, umask)
    settings, claim = choose_settings(layout, options.port)
    arguments = ("--images", str(options.images.resolve())) if options.images else ()
    supervisor = Supervisor(layout, settings, not options.no_node, arguments, umask)
    try:
        supervisor.start()
        wait_ready(layout, settings, not options.no_node)
        supervisor.stop_on_signals()
    except (StartError, KeyboardInterrupt) as error:
        supervisor.stop()
        raise StartError(str(error) or "interrupted") from None
    _tell(layout, settings, options.kubeconfig, time.monotonic() - began)
    sys.stdout.flush()
    supervisor.run()
    claim.close()
    held.close()
    return 0


def make_private(layout: Layout) -> None:
    """Make the data directory, for its owner alone; one that exists is closed if it is a cluster's or empty."""
    folder = layout.data_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if layout.run.exists() or not any(folder.iterdir()):
        folder.chmod(0o700)


def _up_detached(layout: Layout, options: argparse.Namespace, began: float, umask: int) -> int:
    command = [sys.executable, "-m", "localcluster", "up", "--data-dir", str(layout.data_dir)]
    if options.port is not None:
        command += ["--port", str(options.port)]
    if options.no_node:
        command += ["--no-node"]
    if options.images:
        command += ["--images", str(options.images)]
    path = layout.log("supervisor")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_environment(),
            umask=umask,
        )
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if b"ready" in path.read_bytes():
            settings = Settings(**json.loads(layout.settings.read_text()))
            _tell(layout, settings, options.kubeconfig, time.monotonic() - began)
            return 0
        if process.poll() is not None:
            lines = path.read_text(errors="replace").strip().splitlines()
            raise StartError((lines[-1] if lines else "the cluster ended at once").removeprefix("error: "))
        time.sleep(0.02)
    process.terminate()
    raise StartError(f"not ready after {READY_SECONDS:.0f} s; the logs are in {path.parent}")


def _environment() -> dict[str, str]:
    # The detached process must find this package even where it is not installed.
    here = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here}


def _tell(layout: Layout, settings: Settings, kubeconfig: Path | None, seconds: float) -> None:
    if kubeconfig is not None:
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        copy_private(layout.kubeconfig, kubeconfig)
    print(f"ready after {seconds:.1f} s: {settings.server}")
    print(f"export KUBECONFIG={kubeconfig or layout.kubeconfig}")


def copy_private(source: Path, target: Path) -> None:
    """Copy a file at once, never readable for others, whoever could read what was there before."""
    target = target.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(source.read_bytes())
    draft.replace(target)


def wait_ready(layout: Layout, settings: Settings, node: bool) -> None:
    """Until the API answers, `default` has its service account and the node is Ready. Raises StartError."""
    end = time.monotonic() + READY_SECONDS
    waits = ["/readyz", "/api/v1/namespaces/default/serviceaccounts/default"]
    connection: http.client.HTTPSConnection | None = None
    while waits or node:
        if time.monotonic() > end:
            raise StartError(f"not ready after {READY_SECONDS:.0f} s; the logs are in {layout.log('apiserver').parent}")
        path = waits[0] if waits else "/api/v1/nodes"
        try:
            if connection is None:
                connection = _connect(layout, settings)
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException, ValueError):
            connection = None
            time.sleep(0.02)
            continue
        if response.status == 200 and waits:
            waits.pop(0)
            continue
        if response.status == 200 and _has_ready_node(json.loads(body)):
            return
        time.sleep(0.02)


def _connect(layout: Layout, settings: Settings) -> http.client.HTTPSConnection:
    pki = layout.data_dir / "pki"
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return http.client.HTTPSConnection("127.0.0.1", settings.port, timeout=5, context=tls)


def _has_ready_node(nodes: dict[str, list[dict[str, dict[str, list[dict[str, str]]]]]]) -> bool:
    conditions = [c for n in nodes["items"] for c in (n.get("status") or {}).get("conditions") or []]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def down(layout: Layout, purge: bool = False) -> int:
    pid = processes(layout).get("supervisor")
    if pid is None:
        print("not running")
    else:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 30
        while time.monotonic() < end and processes(layout):
            time.sleep(0.05)
        if processes(layout):
            print(f"error: process {pid} does not end", file=sys.stderr)
            return 1
        print("stopped")
    if purge:
        shutil.rmtree(layout.data_dir, ignore_errors=True)
    return 0


def status(layout: Layout) -> int:
    """Prints what runs; exit code 3 if nothing does, as `systemctl status` has it."""
    found = processes(layout)
    if not found:
        print(f"not running ({layout.data_dir})")
        return 3
    settings = Settings(**json.loads(layout.settings.read_text()))
    print(f"running: {settings.server}")
    print(f"export KUBECONFIG={layout.kubeconfig}")
    for name, pid in found.items():
        print(f"  {name:12} pid {pid:<8} {_megabytes(pid)}")
    return 0


def _megabytes(pid: int) -> str:
    """Proportional set size: memory shared by several processes counts in parts."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return f"{int(line.split()[1]) / 1024:.0f} MB"
    except OSError:
        return "ended"
    return "?"
