"""Pods as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from localcluster.client import Forbidden, Unreachable
from localcluster.node import record_file
from localcluster.node.images import Catalogue
from localcluster.node.pod_events import Events
from localcluster.node.process_runner import ProcessRunner
from localcluster.node.processes import all_pids, marked
from localcluster.node.provider import LogOptions, UnknownContainer
from localcluster.node.settings import Settings
from localcluster.node.usage import Meter
from tests.localcluster.node.fake_api import FakeClient

JSON = dict[str, Any]


class Node:
    """A process runner and what the tests look at."""

    def __init__(self, data_dir: Path, client: FakeClient) -> None:
        self.client = client
        self.left: list[str] = []
        settings = Settings("n", data_dir, pod_cidr="127.249.0.0/24", backoff_seconds=0.2, max_backoff_seconds=1.0)
        self.data_dir = data_dir
        self.events = Events(client, "n")  # type: ignore[arg-type]
        self.runner = ProcessRunner(
            settings,
            client,  # type: ignore[arg-type]
            Catalogue(),
            self.events,
            services=lambda pod: {"SVC": "svc"},
            allocatable={"cpu": "2", "memory": "1Gi"},
            left_proxy=self._leave,
        )
        self._changed = asyncio.Event()
        self.runner.on_change(lambda uid: self._changed.set())
        self._sending = asyncio.create_task(self.events.run())

    async def _leave(self, address: str) -> None:
        self.left.append(address)

    async def until(self, check: Callable[[JSON], Any], uid: str = "u1", seconds: float = 10) -> JSON:
        """The pod's status as soon as `check` holds for it."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    status = self.runner.pod_status(uid)
                    assert status is not None
                    with contextlib.suppress(KeyError, IndexError, TypeError):
                        if check(status):
                            return status
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(self.runner.pod_status(uid)) from None

    async def ended(self, uid: str = "u1") -> JSON:
        return await self.until(lambda s: s["phase"] in ("Succeeded", "Failed") and self.runner.is_stopped(uid), uid)

    async def log(self, container: str = "c", uid: str = "u1", **options: Any) -> str:
        texts = [text async for text in self.runner.logs(uid, container, LogOptions(**options))]
        return b"".join(texts).decode()

    async def reasons(self) -> list[str]:
        await asyncio.sleep(0.05)
        return [e["reason"] for e in self.client.events]

    async def close(self) -> None:
        await self.runner.stop_all(0.5)
        await self.runner.close()
        self._sending.cancel()

    async def die(self) -> None:
        """As if this node process was killed."""
        self.runner.abandon()
        await self.runner.close()
        self._sending.cancel()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path / "node", FakeClient())
    yield node
    await node.close()
    left = [pid for pid in all_pids() if marked(pid, "LOCALCLUSTER_POD_DIR").startswith(str(tmp_path))]
    assert not left, "processes are left behind"


def pod(*containers: JSON, uid: str = "u1", **spec: Any) -> JSON:
    meta = {"name": "p", "namespace": "ns", "uid": uid, "labels": {"a": "b"}}
    given = [{"name": "c", "image": "busybox", **c} for c in containers]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": given, **spec}}


def shell(script: str, **more: Any) -> JSON:
    return {"command": ["sh", "-c", script], **more}


def state(status: JSON, number: int = 0) -> JSON:
    return status["containerStatuses"][number]["state"]


async def test_a_pod_runs_to_its_end(node: Node) -> None:
    node.runner.create_pod(pod(shell("echo hello $(SVC); echo oops >&2"), restartPolicy="Never"))
    status = await node.ended()
    assert status["phase"] == "Succeeded"
    assert state(status)["terminated"]["reason"] == "Completed"
    assert sorted((await node.log()).splitlines()) == ["hello svc", "oops"]
    assert await node.reasons() == ["Pulled", "Created", "Started"]
    assert status["podIP"] == "127.249.0.2"


async def test_init_containers_run_in_order_and_share_volumes(node: Node) -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/data"}]}
    init = [
        {"name": name, "image": "busybox", **shell(f"cat /data/log; echo {name} >> /data/log"), **mount}
        for name in ("one", "two")
    ]
    main = shell("cat /data/log; echo $DIR; pwd", env=[{"name": "DIR", "value": "/data/x"}], **mount)
    volumes = [{"name": "v", "emptyDir": {}}]
    node.runner.create_pod(pod(main, initContainers=init, volumes=volumes, restartPolicy="Never"))
    status = await node.ended()
    folder = node.data_dir / "pods/u1"
    assert (await node.log()).splitlines() == [
        "one", "two", f"{folder}/volumes/v/x", f"{folder}/containers/c/root",
    ]  # fmt: skip
    assert [s["ready"] for s in status["initContainerStatuses"]] == [True, True]


async def test_a_failed_init_container_is_tried_again(node: Node) -> None:
    init = {"name": "i", "image": "busybox", **shell("test -e /data/x || { touch /data/x; exit 3; }")}
    init["volumeMounts"] = [{"name": "v", "mountPath": "/data"}]
    node.runner.create_pod(
        pod(shell("true"), initContainers=[init], volumes=[{"name": "v", "emptyDir": {}}], restartPolicy="OnFailure")
    )
    status = await node.ended()
    assert status["phase"] == "Succeeded"
    init_status = status["initContainerStatuses"][0]
    assert init_status["restartCount"] == 1
    assert init_status["lastState"]["terminated"]["exitCode"] == 3


async def test_a_sidecar_runs_beside_and_ends_last(node: Node) -> None:
    sidecar = {"name": "s", "image": "busybox", "restartPolicy": "Always", **shell("echo up; sleep 100")}
    node.runner.create_pod(pod(shell("sleep 0.2; exit 4"), initContainers=[sidecar], restartPolicy="Never"))
    status = await node.until(lambda s: state(s)["running"])
    assert status["initContainerStatuses"][0]["state"]["running"]
    status = await node.ended()
    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 143


async def test_crashes_are_restarted_with_a_growing_wait(node: Node) -> None:
    node.runner.create_pod(pod(shell("echo run; exit 5")))
    status = await node.until(lambda s: s["containerStatuses"][0]["restartCount"] >= 2 and state(s)["waiting"])
    container = status["containerStatuses"][0]
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "restarting failed container=c pod=p_ns(u1)" in container["state"]["waiting"]["message"]
    assert container["lastState"]["terminated"]["exitCode"] == 5
    assert status["phase"] == "Running"
    assert await node.log(previous=True) == "run\n"
    assert "BackOff" in await node.reasons()


async def is_deaf(node: Node) -> None:
    """Until a program has said so: a shell that has just been started has not set its trap yet."""
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    async with asyncio.timeout(10):
        while await node.log() != "deaf\n":  # noqa: ASYNC110 - a log tells nobody that it has grown
            await asyncio.sleep(0.02)


async def test_the_grace_then_sigkill_for_the_whole_group(node: Node) -> None:
    deaf = "trap '' TERM; sh -c \"trap '' TERM; echo deaf; sleep 100; sleep 100\"; sleep 100"
    node.runner.create_pod(pod(shell(deaf)))
    await is_deaf(node)
    began = asyncio.get_running_loop().time()
    node.runner.delete_pod("u1", 1)
    status = await node.ended()
    assert 0.9 < asyncio.get_running_loop().time() - began < 3
    assert state(status)["terminated"]["exitCode"] == 137
    assert node.left == ["127.249.0.2"], "SIGTERM must wait until the proxy has dropped the endpoint"
    node.runner.forget_pod("u1")
    assert not list((node.data_dir / "pods").iterdir())
    assert not list((node.data_dir / "logs").iterdir())


async def test_a_second_delete_shortens_the_grace(node: Node) -> None:
    node.runner.create_pod(pod(shell("trap '' TERM; echo deaf; while true; do sleep 0.1; done")))
    await is_deaf(node)
    node.runner.delete_pod("u1", 60)
    await asyncio.sleep(0.1)
    node.runner.delete_pod("u1", 0)
    assert state(await node.ended())["terminated"]["exitCode"] == 137


async def test_hooks(node: Node) -> None:
    lifecycle = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > $HOME/hook"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> $HOME/hook; sleep 0.3"]}},
    }
    node.runner.create_pod(pod(shell("exec 2>&-; trap 'cat $HOME/hook; exit 0' TERM; while true; do sleep 0.05; done",
                                     lifecycle=lifecycle)))  # fmt: skip
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    node.runner.delete_pod("u1", 10)
    status = await node.ended()
    assert status["phase"] == "Succeeded"
    assert await node.log() == "started\nstopping\n"


async def test_a_process_that_left_the_group_is_ended_too(node: Node, tmp_path: Path) -> None:
    node.runner.create_pod(pod(shell("setsid sleep 1234 & echo $!; sleep 0.2"), restartPolicy="Never"))
    await node.ended()
    assert not [pid for pid in all_pids() if marked(pid, "LOCALCLUSTER_POD_DIR").startswith(str(tmp_path))]


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        ({"image": "nope"}, "ErrImagePull", 'image "nope" is not known'),
        (
            {"image": "nope", "imagePullPolicy": "Never"},
            "ErrImageNeverPull",
            "is not present with pull policy of Never",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
            "CreateContainerConfigError",
            'secret "s" not found',
        ),
    ],
)
async def test_what_keeps_a_container_waiting(node: Node, container: JSON, reason: str, message: str) -> None:
    node.runner.create_pod(pod(container))
    status = await node.until(lambda s: state(s)["waiting"]["reason"] == reason)
    assert message in state(status)["waiting"]["message"]
    assert status["phase"] == "Pending"
    with pytest.raises(UnknownContainer, match='container "c" in pod "p" is waiting to start'):
        await node.log()


async def test_an_image_that_stays_unknown_backs_off(node: Node) -> None:
    node.runner.create_pod(pod({"image": "nope"}))
    await node.until(lambda s: state(s)["waiting"]["reason"] == "ImagePullBackOff")
    assert (await node.reasons())[:5] == ["Pulling", "Failed", "Failed", "BackOff", "Failed"]


async def test_a_program_that_is_not_there(node: Node) -> None:
    node.runner.create_pod(pod({"command": ["/nope"]}, restartPolicy="Never"))
    terminated = state(await node.ended())["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)
    assert 'exec: "/nope": no such file or directory' in terminated["message"]


async def test_termination_messages(node: Node) -> None:
    node.runner.create_pod(
        pod(
            shell("echo from file > /dev/termination-log; exit 1"),
            shell("echo from log; exit 1", name="d", terminationMessagePolicy="FallbackToLogsOnError"),
            restartPolicy="Never",
        )
    )
    status = await node.ended()
    assert state(status, 0)["terminated"]["message"] == "from file\n"
    assert state(status, 1)["terminated"]["message"] == "from log\n"


async def test_objects_that_come_later_and_change(node: Node) -> None:
    container = shell(
        "while true; do cat /v/k 2>/dev/null; sleep 0.05; done",
        env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}],
        volumeMounts=[{"name": "v", "mountPath": "/v"}],
    )
    node.runner.create_pod(pod(container, volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
    await asyncio.sleep(0.1)
    assert "FailedMount" in await node.reasons()
    node.client.put("configmaps", "cm", data={"k": "one\n"})
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    node.client.put("configmaps", "cm", data={"k": "two\n"})
    async with asyncio.timeout(5):
        while "two" not in await node.log():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("failure", [Unreachable("no answer"), Forbidden(403, "Forbidden", "not yours")])
async def test_an_api_server_that_is_away_ends_no_pod(node: Node, failure: Exception) -> None:
    """As when it is killed during the back-off of a crashed container whose ConfigMap has just been changed."""
    node.client.put("configmaps", "cm", data={"k": "exit 1"})
    source = {"configMapKeyRef": {"name": "cm", "key": "k"}}
    node.runner.create_pod(pod(shell("eval $A", env=[{"name": "A", "valueFrom": source}])))
    await node.until(lambda s: s["containerStatuses"][0]["restartCount"] == 1 and state(s)["waiting"])
    node.client.failure = failure
    node.client.put("configmaps", "cm", data={"k": "sleep 1000"})
    status = await node.until(lambda s: state(s)["waiting"]["reason"] == "CreateContainerConfigError")
    assert state(status)["waiting"]["message"] == str(failure)
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    node.client.failure = None
    await node.until(lambda s: s["containerStatuses"][0]["ready"])


async def test_volumes_show_what_changed_while_the_api_server_was_away(node: Node) -> None:
    node.client.put("configmaps", "cm", data={"k": "one"})
    container = shell("sleep 1000", volumeMounts=[{"name": "v", "mountPath": "/v"}])
    node.runner.create_pod(pod(container, volumes=[{"name": "v", "configMap": {"name": "cm"}}]))
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    node.client.failure = Unreachable("no answer")
    node.client.put("configmaps", "cm", data={"k": "two"})
    await asyncio.sleep(0.1)
    node.client.failure = None
    file = node.data_dir / "pods/u1/volumes/v/k"
    async with asyncio.timeout(5):
        while file.read_text() != "two":  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_full_disk_ends_no_pod(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    written = record_file.RecordFile._write

    def full(self: record_file.RecordFile) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_file, "RETRY_SECONDS", (0.05, 0.1))
    monkeypatch.setattr(record_file.RecordFile, "_write", full)
    node.runner.create_pod(pod(shell("trap 'exit 1' USR1; while true; do sleep 0.05; done")))
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    os.kill(node.runner.running_pods()[0].main[0].process.pid, signal.SIGUSR1)
    await node.until(lambda s: s["containerStatuses"][0]["restartCount"] == 1 and s["containerStatuses"][0]["ready"])
    monkeypatch.setattr(record_file.RecordFile, "_write", written)
    async with asyncio.timeout(5):
        while not (node.data_dir / "pods/u1/containers/c/record.json").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_error_of_the_node_ends_no_pod(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    find, calls = Catalogue.find, 0

    def fails_first(self: Catalogue, image: str) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a mistake in the node")
        return find(self, image)

    monkeypatch.setattr(Catalogue, "find", fails_first)
    node.runner.create_pod(pod(shell("sleep 1000")))
    await node.until(lambda s: s["containerStatuses"][0]["ready"])


async def test_a_pod_that_cannot_be_made_gets_its_turn_again(node: Node) -> None:
    (node.data_dir / "pods/u1").write_text("in the way")
    with pytest.raises(OSError):
        node.runner.create_pod(pod(shell("sleep 1000")))
    (node.data_dir / "pods/u1").unlink()
    node.runner.create_pod(pod(shell("sleep 1000")))
    status = await node.until(lambda s: s["containerStatuses"][0]["ready"])
    assert status["podIP"].startswith("127.249.0.")


async def test_probes_decide_about_ready_and_restarts(node: Node) -> None:
    container = shell(
        "touch $HOME/live; echo up; sleep 100",
        startupProbe={"exec": {"command": ["sh", "-c", "test -e $HOME/live"]}},
        readinessProbe={"exec": {"command": ["sh", "-c", "test -e $HOME/ready"]}, "periodSeconds": 1},
        livenessProbe={
            "exec": {"command": ["sh", "-c", "test -e $HOME/live"]},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    )
    node.runner.create_pod(pod(container, terminationGracePeriodSeconds=1))
    status = await node.until(lambda s: s["containerStatuses"][0]["started"])
    assert not status["containerStatuses"][0]["ready"]
    home = node.data_dir / "pods/u1/home"
    (home / "ready").touch()
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    (home / "live").unlink()
    status = await node.until(lambda s: s["containerStatuses"][0]["restartCount"] == 1)
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 143
    assert {"Unhealthy", "Killing"} <= set(await node.reasons())


async def test_active_deadline(node: Node) -> None:
    node.runner.create_pod(pod(shell("sleep 100"), activeDeadlineSeconds=1, terminationGracePeriodSeconds=1))
    status = await node.ended()
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


async def test_a_memory_limit_is_enforced(node: Node) -> None:
    script = "x = b'1' * 80_000_000\nimport time\ntime.sleep(60)"
    limits = {"limits": {"memory": "40Mi"}}
    node.runner.create_pod(
        pod({"image": "python", "command": ["python", "-c", script], "resources": limits}, restartPolicy="Never")
    )
    meter = asyncio.create_task(Meter(node.runner).run())
    terminated = state(await node.ended())["terminated"]
    meter.cancel()
    assert (terminated["reason"], terminated["exitCode"]) == ("OOMKilled", 137)


async def test_usage_counts_all_processes_of_a_container(node: Node) -> None:
    burn = "import os\nos.fork()\nwhile True: pass"
    node.runner.create_pod(pod({"image": "python", "command": ["python", "-c", burn]}))
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    meter = Meter(node.runner)
    meter.sample()
    await asyncio.sleep(0.5)
    meter.sample()
    container = node.runner.running_pods()[0].main[0]
    usage = meter.usage(container)
    assert usage is not None
    assert usage.cores > 0.2
    assert usage.memory_bytes > 2_000_000


async def test_exec_sees_the_container(node: Node) -> None:
    container = shell("sleep 100", env=[{"name": "A", "value": "1"}], volumeMounts=[{"name": "v", "mountPath": "/v"}])
    node.runner.create_pod(pod(container, volumes=[{"name": "v", "emptyDir": {}}]))
    await node.until(lambda s: s["containerStatuses"][0]["ready"])

    async def run(*command: str, data: bytes = b"", tty: bool = False) -> tuple[int, dict[int, bytes]]:
        session = await node.runner.exec("u1", "c", command, stdin=bool(data), tty=tty)
        if data:
            await session.write(data)
            session.close_input()
        output: dict[int, bytes] = {}
        async for stream, text in session.read_output():
            output[stream] = output.get(stream, b"") + text
        return await session.wait(), output

    assert await run("sh", "-c", "echo $A; echo x >&2; exit 3") == (3, {1: b"1\n", 2: b"x\n"})
    assert await run("cat", data=b"y" * 200_000) == (0, {1: b"y" * 200_000})
    assert await run("ls", "-d", "/v") == (0, {1: f"{node.data_dir}/pods/u1/volumes/v\n".encode()})
    assert (await run("sh", "-c", "test -t 0 && echo tty", tty=True))[1] == {1: b"tty\r\n"}
    with pytest.raises(FileNotFoundError):
        await run("nope")


async def test_a_killed_node_finds_its_pods_again(node: Node, tmp_path: Path) -> None:
    script = "trap 'exit 7' USR1; n=0; while true; do n=$((n+1)); echo $n; sleep 0.05; done"
    manifest = pod(shell(script), restartPolicy="Never")
    node.runner.create_pod(manifest)
    before = await node.until(lambda s: s["containerStatuses"][0]["ready"])
    pid = node.runner.running_pods()[0].main[0].process.pid
    await node.die()

    second = Node(node.data_dir, node.client)
    try:
        assert [p["metadata"]["uid"] for p in second.runner.get_pods()] == ["u1"]
        second.runner.create_pod(manifest)
        status = second.runner.pod_status("u1")
        assert status["containerStatuses"] == before["containerStatuses"]
        assert status["podIP"] == before["podIP"]
        os.kill(pid, signal.SIGUSR1)
        status = await second.ended()
        assert state(status)["terminated"]["exitCode"] in (7, 137), "137 where the kernel does not tell exit codes"
        numbers = [int(line) for line in (await second.log()).splitlines()]
        assert numbers == list(range(1, len(numbers) + 1)), "nothing of the log is lost"
    finally:
        await second.close()


async def test_what_died_while_no_node_ran_is_restarted(node: Node) -> None:
    manifest = pod(shell("sleep 100"))
    node.runner.create_pod(manifest)
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    pid = node.runner.running_pods()[0].main[0].process.pid
    await node.die()
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)  # noqa: ASYNC222 - it is killed

    second = Node(node.data_dir, node.client)
    try:
        second.runner.create_pod(manifest)
        status = await second.until(lambda s: s["containerStatuses"][0]["ready"])
        assert status["containerStatuses"][0]["restartCount"] == 1
        assert status["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    finally:
        await second.close()


async def test_pods_stopped_with_the_node_run_again_whatever_their_policy(node: Node) -> None:
    manifest = pod(shell("trap 'exit 0' TERM; while true; do sleep 0.05; done"), restartPolicy="OnFailure")
    node.runner.create_pod(manifest)
    await node.until(lambda s: s["containerStatuses"][0]["ready"])
    await node.close()

    second = Node(node.data_dir, node.client)
    try:
        second.runner.create_pod(manifest)
        status = await second.until(lambda s: s["containerStatuses"][0]["ready"])
        assert status["containerStatuses"][0]["restartCount"] == 1, "an interrupted job is not a finished one"
    finally:
        await second.close()


async def test_the_pods_rights_come_with_a_kubeconfig(node: Node) -> None:
    node.client.put("configmaps", "kube-root-ca.crt", data={"ca.crt": "CA"})
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    container = shell(
        f"cat {path}/token $KUBECONFIG", volumeMounts=[{"name": "t", "mountPath": path, "readOnly": True}]
    )
    volumes = [{"name": "t", "projected": {"sources": sources}}]
    node.runner.create_pod(pod(container, volumes=volumes, restartPolicy="Never"))
    await node.ended()
    log = await node.log()
    assert log.startswith("secret-token")
    assert f'"tokenFile": "{node.data_dir}/pods/u1/volumes/t/token"' in log
