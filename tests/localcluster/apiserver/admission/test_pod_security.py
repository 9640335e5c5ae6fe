"""The Pod Security Standards and the labels that ask for them."""

import pytest

from localcluster.apiserver.admission.pod_security_checks import violations
from localcluster.apiserver.errors import APIError

GOOD = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
GOOD_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def spec(*contexts, **more):
    names = "abcdef"
    containers = [{"name": names[i], "securityContext": context} for i, context in enumerate(contexts or ({},))]
    return {"containers": containers, **more}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (spec(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID=true)"),
        (
            spec({"privileged": True}, {"privileged": True}),
            'privileged (containers "a", "b" must not set securityContext.privileged=true)',
        ),
        (
            spec({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_ADMIN"]}}),
            'non-default capabilities (container "a" must not include "NET_ADMIN", "SYS_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
        (
            {"containers": [{"name": "a", "ports": [{"hostPort": 81}, {"hostPort": 80}, {"containerPort": 1}]}]},
            'hostPort (container "a" uses hostPorts 80, 81)',
        ),
        (
            {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "h"}}}]},
            'probe or lifecycle host (container "a" uses probe or lifecycle host "h")',
        ),
        (
            spec({"procMount": "Unmasked"}),
            'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            spec({"seLinuxOptions": {"type": "x", "user": "u"}}, securityContext={"seLinuxOptions": {"type": "y"}}),
            'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "x", "y"; '
            "user may not be set)",
        ),
        (
            spec({"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (spec(securityContext={"sysctls": [{"name": "kernel.x"}]}), "forbidden sysctls (kernel.x)"),
        (
            spec(securityContext={"windowsOptions": {"hostProcess": True}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ],
)
def test_baseline(pod, expected):
    assert [f"{reason} ({detail})" for reason, detail in violations("baseline", {}, pod)] == [expected]


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (
            spec({"capabilities": {"drop": ["ALL"]}}, securityContext=GOOD_POD),
            'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
        ),
        (
            spec({"allowPrivilegeEscalation": False, "capabilities": {"add": ["CHOWN"]}}, securityContext=GOOD_POD),
            'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container '
            '"a" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            spec(GOOD, securityContext=GOOD_POD, volumes=[{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (
            spec(GOOD, {**GOOD, "runAsNonRoot": True}, securityContext={"seccompProfile": {"type": "Localhost"}}),
            'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
        ),
        (
            spec({**GOOD, "runAsNonRoot": False}, securityContext=GOOD_POD),
            'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
        ),
        (
            spec({**GOOD, "runAsUser": 0}, securityContext={**GOOD_POD, "runAsUser": 0}),
            'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
        ),
        (
            spec(GOOD, GOOD, securityContext={"runAsNonRoot": True}),
            'seccompProfile (pod or containers "a", "b" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")',
        ),
    ],
)
def test_restricted(pod, expected):
    assert [f"{reason} ({detail})" for reason, detail in violations("restricted", {}, pod)] == [expected]


def test_what_is_fine():
    assert violations("restricted", {}, spec(GOOD, securityContext=GOOD_POD)) == []
    assert violations("baseline", {}, spec()) == []
    assert violations("privileged", {}, spec({"privileged": True}, hostNetwork=True)) == []


def test_app_armor_annotations():
    annotations = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}
    assert violations("baseline", {"annotations": annotations}, spec()) == [
        ("forbidden AppArmor profile", 'container.apparmor.security.beta.kubernetes.io/a="unconfined"')
    ]


# ---- labels of namespaces


@pytest.fixture
def labelled(cluster, store):
    def set_labels(**labels):
        old = store.get("/namespaces", "", "n")
        meta = {"name": "n", "labels": {f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()}}
        return store.update("/namespaces", {**old, "metadata": meta}, old)

    return set_labels


PRIVILEGED = {"metadata": {"name": "p", "namespace": "n"}, "spec": spec({"privileged": True})}
RULE = 'PodSecurity "baseline:latest": privileged (container "a" must not set securityContext.privileged=true)'


def test_enforce(cluster, labelled):
    labelled(enforce="baseline", warn="baseline")
    with pytest.raises(APIError) as caught:
        cluster.admit("/pods", PRIVILEGED)
    assert caught.value.message == f'pods "p" is forbidden: violates {RULE}'


def test_warn_of_pods_and_of_templates(cluster, labelled):
    labelled(warn="baseline")
    assert cluster.admit("/pods", PRIVILEGED)[1] == [f"would violate {RULE}"]
    template = {"spec": PRIVILEGED["spec"]}
    meta = {"name": "d", "namespace": "n"}
    deployment = {"metadata": meta, "spec": {"template": template}}
    assert cluster.admit("apps/deployments", deployment)[1] == [f"would violate {RULE}"]
    cron_job = {"metadata": meta, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert cluster.admit("batch/cronjobs", cron_job)[1] == [f"would violate {RULE}"]


def test_changes_that_do_not_matter_pass(cluster, labelled):
    old = cluster.create("/pods", PRIVILEGED)
    labelled(enforce="baseline")
    new = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}}
    cluster.admit("/pods", new, old, operation="UPDATE")


def test_a_stricter_level_warns_of_existing_pods(cluster, store):
    for name in ("p1", "p2", "p3"):
        cluster.create("/pods", {**PRIVILEGED, "metadata": {"name": name, "namespace": "n"}})
    old = store.get("/namespaces", "", "n")
    new = {**old, "metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    assert cluster.admit("/namespaces", new, old, operation="UPDATE")[1] == [
        'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
        "p1 (and 2 other pods): privileged",
    ]
    assert cluster.admit("/namespaces", new, new, operation="UPDATE")[1] == []


def test_levels_that_nobody_knows(cluster):
    namespace = {"metadata": {"name": "x", "labels": {"pod-security.kubernetes.io/enforce": "strict"}}}
    with pytest.raises(APIError) as caught:
        cluster.admit("/namespaces", namespace)
    assert caught.value.code == 422
    assert "must be one of privileged, baseline, restricted" in caught.value.message
