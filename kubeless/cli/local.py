"""`make run` and `make stop`: the product on this machine, in a local cluster of its own."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from kubeless.cli import installation, kustomize, node_images
from kubeless.cli.installation import InstallError
from kubeless.cli.progress import Progress
from kubeless.cluster import ClusterError

JSON = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = Path("manifests/overlays/local")
EXAMPLE = Path("examples/hello/function.yaml")
DATA_DIR = Path(".localcluster")
FUNCTION_SECONDS = 60.0
ANSWER_SECONDS = 10.0
CODE_ANNOTATION = "kubeless.io/code"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
GET_KUBECTL = "https://kubernetes.io/docs/tasks/tools/"

EXAMPLES = """examples:
  python -m kubeless.cli.local run        what `make run` does: a cluster, the product in it, a first function
  python -m kubeless.cli.local up         the same without the function
  python -m kubeless.cli.local stop       stop the cluster; functions are kept for the next start
  python -m kubeless.cli.local stop --purge
"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    progress = Progress()
    try:
        if options.command == "stop":
            return _localcluster("down", options.data_dir, *(["--purge"] if options.purge else []))
        start_cluster(options.data_dir, progress)
        asyncio.run(_install(options.data_dir, options.command == "run", progress))
    except (InstallError, kustomize.BuildError, ClusterError) as error:
        progress.end_line()
        print(f"error: {error}", file=sys.stderr)
        print(f"The logs are in {_shown(options.data_dir)}/log; `make clean run` starts afresh.", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kubeless.cli.local",
        description="Functions on this machine: a local cluster, and the product installed in it from manifests/.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "start, install, deploy examples/hello and call it"),
        ("up", "start and install"),
        ("stop", "stop the cluster; its objects are kept"),
    ):
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        command.add_argument("--data-dir", type=Path, default=ROOT / DATA_DIR, metavar="D", help="of the cluster")
        if name == "stop":
            command.add_argument("--purge", action="store_true", help="and delete its data directory")
    return parser


# ---- the cluster


def start_cluster(data_dir: Path, progress: Progress) -> None:
    """A running cluster whose node knows the product's images. Raises InstallError."""
    images = data_dir / node_images.FILE_NAME
    text = node_images.combined(ROOT, node_images.package_index())
    known = images.read_text() if images.exists() else None
    if known != text:
        data_dir.mkdir(parents=True, exist_ok=True)
        # A package index may be named with a password.
        images.touch(mode=0o600)
        images.write_text(text)
        if known is not None:
            progress.doing("stopping the local cluster, because its images or the package index changed")
            _localcluster("down", data_dir, quiet=True)
    progress.doing("starting the local cluster")
    if _localcluster("up", data_dir, "--detach", "--images", str(images), quiet=True) != 0:
        raise InstallError("the local cluster does not start")
    progress.done(f"local cluster: {_server(data_dir)}")


def _localcluster(command: str, data_dir: Path, *arguments: str, quiet: bool = False) -> int:
    return subprocess.run(
        [sys.executable, "-m", "localcluster", command, "--data-dir", str(data_dir), *arguments],
        stdout=subprocess.DEVNULL if quiet else None,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
    ).returncode


def _server(data_dir: Path) -> str:
    config = yaml.safe_load((data_dir / "kubeconfig").read_text())
    return str(config["clusters"][0]["cluster"]["server"])


# ---- the product


async def _install(data_dir: Path, with_example: bool, progress: Progress) -> None:
    from kubeless.cluster import Cluster

    async with Cluster(kubeconfig=str(data_dir / "kubeconfig")) as cluster:
        installer = installation.Installer(cluster)
        progress.doing(f"installing {OVERLAY}")
        objects = [_with_code(obj) for obj in kustomize.build(ROOT / OVERLAY)]
        await installer.install(objects)
        deployments = [obj["metadata"] for obj in objects if obj["kind"] == "Deployment"]
        for metadata in deployments:
            await installation.wait_deployed(cluster, metadata["namespace"], metadata["name"], progress.doing)
        progress.done(f"installed {OVERLAY}: {len(objects)} objects, {_names(deployments)} ready")
        if with_example:
            await _example(cluster, installer, data_dir, progress)


def _names(metadata: list[JSON]) -> str:
    return ", ".join(f"{entry['namespace']}/{entry['name']}" for entry in metadata)


def _with_code(obj: JSON) -> JSON:
    """A Deployment of ours, marked with the state of the code, so that a change of it starts new pods."""
    if obj["kind"] == "Deployment":
        annotations = obj["spec"]["template"]["metadata"].setdefault("annotations", {})
        annotations[CODE_ANNOTATION] = _code_hash()
    return obj


def _code_hash() -> str:
    total = hashlib.sha256()
    for folder in ("controller", "kubeless"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


async def _example(cluster: Any, installer: installation.Installer, data_dir: Path, progress: Progress) -> None:
    from kubeless.cluster.resources import SERVICES

    progress.doing(f"applying {EXAMPLE}")
    function = yaml.safe_load((ROOT / EXAMPLE).read_text())
    applied = (await installer.apply(_as_kubectl_applies(function)))["metadata"]
    name, namespace = applied["name"], applied["namespace"]
    await installation.wait_function(cluster, namespace, name, FUNCTION_SECONDS, progress.doing)
    progress.done(f"function {namespace}/{name} is ready")
    spec = (await cluster.get(SERVICES, name, namespace))["spec"]
    url = f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"
    progress.done(f"GET {url} → {await _call(url)}")
    _tell(data_dir, url, namespace, name)


def _as_kubectl_applies(obj: JSON) -> JSON:
    """With the annotation that `kubectl apply` compares with and warns about where it is missing
    (https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration).
    """
    metadata = obj["metadata"]
    plain = {**obj, "metadata": {"annotations": {}, "namespace": "default", **metadata}}
    annotations = {
        **(metadata.get("annotations") or {}),
        LAST_APPLIED: json.dumps(plain, sort_keys=True, separators=(",", ":")) + "\n",
    }
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


async def _call(url: str) -> str:
    """The answer to a GET; the way to a function's first pod may take a moment to be there."""
    import aiohttp

    answer = ""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)

    async def answers() -> bool:
        nonlocal answer
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
                answer = (await response.text()).strip()
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError) as error:
            answer = str(error)
            return False

    if not await installation.wait_until(answers, ANSWER_SECONDS):
        raise InstallError(f"{url} gave no good answer: {answer}")
    return answer


def _tell(data_dir: Path, url: str, namespace: str, name: str) -> None:
    folder = _shown(data_dir)
    print(f"""
What runs     a local cluster ({folder}), the controller in it, the function {namespace}/{name}
Call it       curl {url}
Look at it    export KUBECONFIG={shlex.quote(str(data_dir / "kubeconfig"))}
              kubectl get functions
Change it     edit {EXAMPLE}; kubectl apply -f {EXAMPLE}
Go on         the tour in README.md, examples/, docs/functions.md
Stop          make stop (the next `make run` has the functions again), make clean (removes everything)""")
    if shutil.which("kubectl") is None:
        print(f"\nkubectl, the command line of Kubernetes, is not on your PATH; get it from {GET_KUBECTL}")


def _shown(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
