"""kubectl rollout status, history, undo, restart, pause and resume of Deployments whose pods run."""

from __future__ import annotations

import re

import pytest

from tests.localcluster.kubectl.commands import Kubectl, deployment

CAUSE = "kubernetes.io/change-cause"


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """A Deployment `web` of two revisions; the second has V=2 in its environment."""
    kubectl.apply(deployment("web", 2))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("set", "env", "deployment/web", "V=2")
    kubectl("annotate", "deployment/web", f"{CAUSE}=the second")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    return kubectl


def revisions(kubectl: Kubectl) -> list[str]:
    return re.findall(r"^(\d+) ", kubectl("rollout", "history", "deployment/web"), re.M)


def test_status(kubectl):
    slow = deployment("web", 1, minReadySeconds=1)
    kubectl.apply(slow)
    with kubectl.following("rollout", "status", "deployment/web") as following:
        following.prints('deployment "web" successfully rolled out')
    assert kubectl("rollout", "status", "deployment/web") == 'deployment "web" successfully rolled out\n'


def test_status_of_a_rollout_that_fails(kubectl):
    kubectl.apply(deployment("web", 1, image="no/such", progressDeadlineSeconds=1))
    message = 'error: deployment "web" exceeded its progress deadline\n'
    assert kubectl.fails("rollout", "status", "deployment/web", "--timeout=30s") == message


def test_history(web):
    text = web("rollout", "history", "deployment/web")
    assert text == "deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         the second\n\n"
    text = web("rollout", "history", "deployment/web", "--revision=2")
    assert "deployment.apps/web with revision #2" in text
    assert re.search(r"Environment:\n +V:\t2", text)
    assert "unable to find the specified revision" in web.fails("rollout", "history", "deployment/web", "--revision=9")


def test_undo(web):
    assert web("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert web.value(".spec.template.spec.containers[0].env", "deployment", "web") == ""
    assert revisions(web) == ["2", "3"]
    assert web("rollout", "undo", "deployment/web", "--to-revision=2") == "deployment.apps/web rolled back\n"
    web("rollout", "status", "deployment/web", "--timeout=30s")
    assert web.value(".spec.template.spec.containers[0].env[0].value", "deployment", "web") == "2"
    assert revisions(web) == ["3", "4"]
    assert web("rollout", "undo", "deployment/web", "--to-revision=4").startswith(
        "deployment.apps/web skipped rollback (current template already matches revision 4)"
    )
    assert "unable to find specified revision 9 in history" in web.fails(
        "rollout", "undo", "deployment/web", "--to-revision=9"
    )


def test_restart(kubectl):
    kubectl.apply(deployment("web", 1))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    before = kubectl("get", "pods", "--output=name")
    assert kubectl("rollout", "restart", "deployment/web") == "deployment.apps/web restarted\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", before.strip(), "--for=delete", "--timeout=30s")
    after = kubectl("get", "pods", "--output=name")
    assert after
    assert after != before
    annotations = kubectl.get("deployment", "web")["spec"]["template"]["metadata"]["annotations"]
    assert "kubectl.kubernetes.io/restartedAt" in annotations


def test_pause_and_resume(kubectl):
    kubectl.apply(deployment("web", 1))
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert kubectl("rollout", "pause", "deployment/web") == "deployment.apps/web paused\n"
    assert "already paused" in kubectl.fails("rollout", "pause", "deployment/web")
    kubectl("set", "image", "deployment/web", "main=pause")
    assert "can't restart paused deployment" in kubectl.fails("rollout", "restart", "deployment/web")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.observedGeneration}=3", "--timeout=10s")
    assert len(kubectl.get("replicasets")["items"]) == 1
    assert kubectl("rollout", "resume", "deployment/web") == "deployment.apps/web resumed\n"
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.replicas}=1", "--timeout=10s")
    assert len(kubectl.get("replicasets")["items"]) == 2
