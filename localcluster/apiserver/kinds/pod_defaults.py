"""The defaults of pods and pod templates, as k8s.io/kubernetes `pkg/apis/core/v1` sets them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcluster.quantity import Quantity, parse

JSON = dict[str, Any]

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")

# A repository, an optional tag and an optional digest (https://github.com/distribution/reference, grammar).
_IMAGE = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"(?::[0-9]+)?/|\[[0-9a-fA-F:]+\](?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?P<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)

# What Go's encoding leaves out when it is empty or zero (fields that are no pointers).
_OMITTED_OF_SPEC = (
    "volumes", "initContainers", "ephemeralContainers", "restartPolicy", "dnsPolicy", "nodeSelector",
    "serviceAccountName", "serviceAccount", "nodeName", "hostNetwork", "hostPID", "hostIPC", "imagePullSecrets",
    "hostname", "subdomain", "schedulerName", "tolerations", "hostAliases", "priorityClassName", "readinessGates",
    "overhead", "topologySpreadConstraints", "schedulingGates", "resourceClaims",
)  # fmt: skip
_OMITTED_OF_CONTAINER = (
    "image", "command", "args", "workingDir", "ports", "envFrom", "env", "resizePolicy", "volumeMounts",
    "volumeDevices", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "stdin", "stdinOnce",
    "tty", "restartPolicyRules", "targetContainerName",
)  # fmt: skip


def containers(spec: JSON) -> Iterator[JSON]:
    """All containers of a pod: init, main and ephemeral ones."""
    for key in _CONTAINER_LISTS:
        yield from spec.get(key) or ()


def drop_empty(obj: JSON, keys: tuple[str, ...]) -> None:
    """Remove these fields where they have Go's zero value, which its encoding leaves out."""
    for key in keys:
        if key in obj and not obj[key]:
            del obj[key]


def default_pod(pod: JSON) -> None:
    """Defaults of a pod; a template has fewer (`default_pod_template`)."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        _requests_from_limits(container["resources"])
    _default_pod_resources(spec)
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    if spec.get("hostNetwork"):
        for container in containers(spec):
            for port in container.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort", 0)


def default_pod_template(template: JSON) -> None:
    """Defaults of a PodTemplateSpec, in place."""
    template.setdefault("metadata", {})
    default_pod_spec(template.setdefault("spec", {}))


def default_pod_spec(spec: JSON) -> None:
    """Defaults that the specs of pods and of templates have in common, in place."""
    drop_empty(spec, _OMITTED_OF_SPEC)
    spec.setdefault("containers", [])
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    share_service_account(spec)
    for container in containers(spec):
        default_container(container)
    for volume in spec.get("volumes") or ():
        default_volume(volume)
    if "overhead" in spec:
        default_resource_list(spec["overhead"])
    if spec.get("resources"):
        default_resources(spec["resources"])


def share_service_account(spec: JSON) -> None:
    """Keep the deprecated `serviceAccount` equal to `serviceAccountName`, which wins."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def default_resource_list(resources: JSON | None) -> None:
    """Round quantities up to thousandths, as all resource lists do."""
    for name, quantity in (resources or {}).items():
        resources[name] = str(parse(quantity).rounded_up(-3))  # type: ignore[index]


def default_resources(resources: JSON) -> None:
    for key in ("limits", "requests"):
        default_resource_list(resources.get(key))
    drop_empty(resources, ("limits", "requests", "claims"))


def _requests_from_limits(resources: JSON) -> None:
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _default_pod_resources(spec: JSON) -> None:
    # Pod-level requests come from the containers' where those have any, else from the pod-level limits.
    resources = spec.get("resources")
    if not resources or not (resources.get("limits") or resources.get("requests")):
        return
    requests: JSON = dict(resources.get("requests") or {})
    sums: dict[str, Quantity] = {}
    for container in spec["containers"]:
        for name, quantity in (container["resources"].get("requests") or {}).items():
            sums[name] = sums.get(name, parse("0")) + parse(quantity)
    for name, total in sums.items():
        if is_pod_level_resource(name):
            requests.setdefault(name, str(total))
    for name, quantity in (resources.get("limits") or {}).items():
        if is_pod_level_resource(name):
            requests.setdefault(name, quantity)
    if requests:
        resources["requests"] = requests


def is_pod_level_resource(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def image_tag(image: str) -> str | None:
    """The tag of an image reference: ``latest`` if it has neither tag nor digest, None if it is malformed."""
    match = _IMAGE.fullmatch(image)
    if match is None:
        return None
    return match["tag"] or ("" if match["digest"] else "latest")


def default_container(container: JSON) -> None:
    drop_empty(container, _OMITTED_OF_CONTAINER)
    container.setdefault(
        "imagePullPolicy", "Always" if image_tag(container.get("image", "")) == "latest" else "IfNotPresent"
    )
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    default_resources(container.setdefault("resources", {}))
    for port in container.get("ports") or ():
        drop_empty(port, ("name", "hostPort", "protocol", "hostIP"))
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        drop_empty(variable, ("value",))
        _default_source(variable.get("valueFrom") or {})
    for mount in container.get("volumeMounts") or ():
        drop_empty(mount, ("readOnly", "subPath", "subPathExpr"))
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key) is not None:
            default_probe(container[key])
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict):
            _default_handler(handler)


def _default_source(source: JSON) -> None:
    if source.get("fieldRef") is not None and not source["fieldRef"].get("apiVersion"):
        source["fieldRef"]["apiVersion"] = "v1"
    if source.get("resourceFieldRef") is not None:
        drop_empty(source["resourceFieldRef"], ("containerName",))
        source["resourceFieldRef"].setdefault("divisor", "0")
    if source.get("fileKeyRef") is not None and source["fileKeyRef"].get("optional") is None:
        source["fileKeyRef"]["optional"] = False


def _default_handler(handler: JSON) -> None:
    if (http := handler.get("httpGet")) is not None:
        drop_empty(http, ("path", "host", "scheme", "httpHeaders"))
        http.setdefault("path", "/")
        http.setdefault("scheme", "HTTP")
        http.setdefault("port", 0)
    if (tcp := handler.get("tcpSocket")) is not None:
        drop_empty(tcp, ("host",))
        tcp.setdefault("port", 0)
    if (grpc := handler.get("grpc")) is not None and grpc.get("service") is None:
        grpc["service"] = ""


def default_probe(probe: JSON) -> None:
    drop_empty(
        probe, ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    )
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    _default_handler(probe)


# ---- volumes

_SOURCE_DEFAULTS: dict[str, JSON] = {
    "secret": {"defaultMode": 420},
    "configMap": {"defaultMode": 420},
    "downwardAPI": {"defaultMode": 420},
    "projected": {"defaultMode": 420},
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {"cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4", "readOnly": False},
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def default_volume(volume: JSON) -> None:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    for key in sources:
        source = volume[key]
        for name, value in _SOURCE_DEFAULTS.get(key, {}).items():
            if source.get(name) is None:
                source[name] = value
    if (secret := volume.get("secret")) is not None:
        drop_empty(secret, ("secretName", "items"))
    if (config := volume.get("configMap")) is not None:
        drop_empty(config, ("items",))
    if (folder := volume.get("emptyDir")) is not None:
        drop_empty(folder, ("medium",))
    for item in (volume.get("downwardAPI") or {}).get("items") or ():
        _default_source(item)
    for projection in (volume.get("projected") or {}).get("sources") or ():
        if (token := projection.get("serviceAccountToken")) is not None:
            drop_empty(token, ("audience",))
            if token.get("expirationSeconds") is None:
                token["expirationSeconds"] = 3600
        for item in (projection.get("downwardAPI") or {}).get("items") or ():
            _default_source(item)
    if (image := volume.get("image")) is not None and not image.get("pullPolicy"):
        image["pullPolicy"] = "Always" if image_tag(image.get("reference", "")) == "latest" else "IfNotPresent"
    if (ephemeral := volume.get("ephemeral")) is not None and ephemeral.get("volumeClaimTemplate") is not None:
        template = ephemeral["volumeClaimTemplate"]
        template.setdefault("metadata", {})
        default_claim_spec(template.setdefault("spec", {}))


def default_claim_spec(spec: JSON) -> None:
    """Defaults of a PersistentVolumeClaimSpec."""
    default_resources(spec.setdefault("resources", {}))
    drop_empty(spec, ("accessModes", "volumeName"))
    if spec.get("volumeMode") is None:
        spec["volumeMode"] = "Filesystem"
    # A data source of one's own namespace is shown in both fields.
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


# ---- quality of service


def qos_class(spec: JSON) -> str:
    """Guaranteed, Burstable or BestEffort
    (https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/)."""
    listed = [spec] if spec.get("resources") else [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    guaranteed = True
    for owner in listed:
        resources = owner.get("resources") or {}
        for total, key in ((requests, "requests"), (limits, "limits")):
            for name, text in (resources.get(key) or {}).items():
                amount = parse(text)
                if name in ("cpu", "memory") and amount:
                    total[name] = total[name] + amount if name in total else amount
        limited = resources.get("limits") or {}
        guaranteed = guaranteed and all(name in limited and parse(limited[name]) for name in ("cpu", "memory"))
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"
