"""kubectl with pods that run: logs, exec, attach, run, cp, top, port-forward, proxy, debug."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import requests
import yaml

from tests.localcluster.clusters import eventually, free_port
from tests.localcluster.kubectl.commands import Kubectl, config_map, deployment, pod


@pytest.fixture
def shell(kubectl: Kubectl) -> Kubectl:
    """A running pod `shell` that has the machine's programs."""
    kubectl.apply(pod("shell", "sleep", "infinity"))
    kubectl("wait", "pod/shell", "--for=condition=Ready", "--timeout=30s")
    return kubectl


def script(name: str, text: str, **spec) -> dict:
    return pod(name, "sh", "-c", text, **spec)


# ---- logs


def test_logs_of_a_pod_that_ended(kubectl):
    kubectl.apply(script("one", "for i in 1 2 3; do echo line $i; done", restartPolicy="Never"))
    kubectl("wait", "pod/one", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    assert kubectl("logs", "one") == "line 1\nline 2\nline 3\n"
    assert kubectl("logs", "one", "--tail=1") == "line 3\n"
    assert kubectl("logs", "one", "--limit-bytes=6") == "line 1"
    assert kubectl("logs", "one", "--since=1h", "--container=main").count("\n") == 3
    assert kubectl("logs", "one", "--since-time=2100-01-01T00:00:00Z") == ""
    stamps = [line.split(" ", 1)[0] for line in kubectl("logs", "one", "--timestamps").splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,9}Z", stamp) for stamp in stamps)
    assert stamps == sorted(stamps)
    assert kubectl("logs", "--follow", "one") == "line 1\nline 2\nline 3\n"


def test_logs_as_they_come(kubectl):
    kubectl.apply(config_map("gate"), script("talk", "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"))
    kubectl("wait", "pod/talk", "--for=condition=Ready", "--timeout=30s")
    with kubectl.following("logs", "--follow", "talk") as logs:
        logs.prints("tick 1\n")
        logs.prints("tick 4\n")
    with kubectl.following("logs", "-f", "talk", "--tail=0") as logs:
        logs.prints("tick ")
        assert "tick 1\n" not in logs.text


def test_logs_of_the_previous_container(kubectl):
    first_fails = 'echo run; test -e "$TMPDIR/again" && sleep infinity; touch "$TMPDIR/again"; echo first ends; exit 3'
    kubectl.apply(script("twice", first_fails))
    kubectl("wait", "pod/twice", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout=30s")
    kubectl("wait", "pod/twice", "--for=condition=Ready", "--timeout=30s")
    assert kubectl("logs", "--previous", "twice") == "run\nfirst ends\n"
    assert kubectl("logs", "twice") == "run\n"
    last = kubectl.get("pod", "twice")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")


def test_logs_of_several_containers_and_pods(kubectl):
    many = script("many", "echo from main; sleep infinity")
    many["spec"]["containers"].append(
        {"name": "side", "image": "busybox", "command": ["sh", "-c", "echo from side; sleep infinity"]}
    )
    many["spec"]["initContainers"] = [{"name": "before", "image": "busybox", "command": ["echo", "from before"]}]
    kubectl.apply(many)
    kubectl("wait", "pod/many", "--for=condition=Ready", "--timeout=30s")
    assert kubectl.run("logs", "many").stderr.startswith('Defaulted container "main" out of: main, side, before (init)')
    eventually(lambda: kubectl("logs", "many", "-c", "side") == "from side\n")
    assert kubectl("logs", "many", "--container=before") == "from before\n"
    everything = kubectl("logs", "many", "--all-containers", "--prefix").splitlines()
    assert sorted(everything) == [
        "[pod/many/before] from before",
        "[pod/many/main] from main",
        "[pod/many/side] from side",
    ]
    assert kubectl("logs", "--selector=app=many", "--container=main") == "from main\n"
    assert "container none is not valid for pod many" in kubectl.fails("logs", "many", "--container=none")
    assert 'previous terminated container "main" in pod "many" not found' in kubectl.fails("logs", "many", "-p")


def test_logs_of_a_deployment_and_of_nothing(kubectl):
    web = deployment("web", 1, image="localcluster/echo")
    kubectl.apply(web, pod("waiting", "run", image="no/such"))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: "listening on" in kubectl("logs", "deployment/web"))
    kubectl("wait", "pod/waiting", "--for=jsonpath={.status.containerStatuses[0].state.waiting}", "--timeout=30s")
    message = kubectl.fails("logs", "waiting")
    assert re.search(r'container "main" in pod "waiting" is waiting to start: \S', message), message
    assert 'pods "none" not found' in kubectl.fails("logs", "none")


# ---- exec, attach, cp


def test_exec(shell):
    assert shell("exec", "shell", "--", "echo", "two  words", "*") == "two  words *\n"
    assert shell("exec", "pod/shell", "--container=main", "--", "sh", "-c", "echo $HOSTNAME") == "shell\n"
    done = shell.run("exec", "shell", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "out\n")
    assert done.stderr == "err\ncommand terminated with exit code 7\n"
    assert shell("exec", "-i", "shell", "--", "tr", "a-z", "A-Z", input="upper\n") == "UPPER\n"
    big = "x" * 1_000_000
    assert shell("exec", "-i", "shell", "--", "cat", input=big) == big


def test_exec_of_what_is_not_there(shell):
    assert 'pods "none" not found' in shell.fails("exec", "none", "--", "true")
    assert "container none is not valid for pod shell" in shell.fails("exec", "shell", "-c", "none", "--", "true")
    done = shell.run("exec", "shell", "--", "no-such-program", check=False)
    assert done.returncode in (1, 126, 127)
    assert 'exec: "no-such-program": executable file not found in $PATH' in done.stderr


def test_exec_with_a_terminal(shell):
    # script(1) gives kubectl a terminal of its own.
    command = f"kubectl --namespace {shell.namespace} exec -it shell -- sh -c 'test -t 0 && test -t 1 && echo terminal'"
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        env={**os.environ, "KUBECONFIG": str(shell.cluster.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert "terminal" in done.stdout


def test_run_and_attach(kubectl):
    arguments = ("run", "one", "--image=busybox", "--restart=Never", "--rm", "--stdin", "--quiet", "--")
    assert kubectl(*arguments, "sh", "-c", "sleep 0.5; echo hello") == "hello\n"
    assert "NotFound" in kubectl.fails("get", "pod", "one")
    assert kubectl("run", "bg", "--image=localcluster/pause", "--labels=a=b") == "pod/bg created\n"
    assert kubectl.get("pod", "bg")["metadata"]["labels"] == {"a": "b"}
    assert yaml.safe_load(kubectl("run", "x", "--image=y", "--dry-run=client", "--output=yaml"))["kind"] == "Pod"
    kubectl.apply(script("talk", "while :; do echo tick; sleep 0.2; done"))
    kubectl("wait", "pod/talk", "--for=condition=Ready", "--timeout=30s")
    with kubectl.following("attach", "talk") as attached:
        attached.prints("tick")


def test_cp(shell):
    source = shell.folder / "there"
    (source / "below").mkdir(parents=True)
    (source / "below" / "file").write_bytes(bytes(range(256)))
    shell("cp", str(source), "shell:copied")
    assert shell("exec", "shell", "--", "ls", "copied/below") == "file\n"
    shell("cp", "shell:copied", str(shell.folder / "back"))
    assert (shell.folder / "back" / "below" / "file").read_bytes() == bytes(range(256))


# ---- top


def test_top(shell):
    eventually(lambda: shell.run("top", "pod", "shell", check=False).returncode == 0, 30, "the pod was measured")
    table = [line.split() for line in shell("top", "pods").splitlines()]
    assert table[0] == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert re.fullmatch(r"shell \d+m \d+Mi", " ".join(table[1]))
    assert "main" in shell("top", "pod", "shell", "--containers")
    table = [line.split() for line in shell("top", "nodes").splitlines()]
    assert table[0] == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert re.fullmatch(r"\S+ \d+m \d+% \d+Mi \d+%", " ".join(table[1]))


# ---- ways to a pod's ports


@pytest.fixture
def echo(kubectl: Kubectl) -> Kubectl:
    """A Deployment `echo` of one pod with a Service."""
    entry = deployment("echo", 1, image="localcluster/echo")
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    entry["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
    kubectl.apply(entry)
    kubectl("expose", "deployment", "echo", "--port=8000", "--target-port=8080")
    kubectl("rollout", "status", "deployment/echo", "--timeout=30s")
    return kubectl


def test_proxies(echo):
    name = echo("get", "pods", "--output=name").strip().partition("/")[2]
    root = f"/api/v1/namespaces/{echo.namespace}"
    assert json.loads(echo("get", f"--raw={root}/pods/{name}:8080/proxy/some/path?q=1"))["path"] == "/some/path?q=1"

    def through_service() -> bool:
        return json.loads(echo("get", f"--raw={root}/services/echo:8000/proxy/x"))["pod"] == name

    assert eventually(through_service, 10)
    port = free_port()
    with echo.following("proxy", f"--port={port}") as proxy:
        proxy.prints(f"Starting to serve on 127.0.0.1:{port}")
        answer = requests.get(f"http://127.0.0.1:{port}{root}/services/echo:8000/proxy/y", timeout=10).json()
        assert answer["path"] == "/y"
        assert requests.get(f"http://127.0.0.1:{port}{root}/pods", timeout=10).json()["kind"] == "PodList"
