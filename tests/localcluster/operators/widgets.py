"""A kopf operator in the style of kopf's own examples: a child object, status patches, finalizers.

Appends a JSON line for each handled event to the file named by WIDGETS_LOG.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import kopf
import kubernetes

LOG = Path(os.environ["WIDGETS_LOG"])


def note(event: str, uid: str, value: object) -> None:
    with LOG.open("a") as log:
        log.write(json.dumps({"event": event, "uid": uid, "value": value}) + "\n")


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: object) -> None:
    settings.posting.enabled = False
    settings.persistence.finalizer = "example.dev/widgets"


@kopf.on.create("example.dev", "v1", "widgets")
def created(spec, name, namespace, uid, patch, **_):
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": str(spec["value"])}}
    kopf.adopt(child)
    api = kubernetes.client.CoreV1Api()
    try:
        api.create_namespaced_config_map(namespace, child)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
        raise kopf.TemporaryError("the child of a former widget of this name is still there", delay=0.2) from error
    patch.status["value"] = spec["value"]
    note("create", uid, spec["value"])


@kopf.on.update("example.dev", "v1", "widgets", field="spec.value")
def updated(spec, name, namespace, uid, patch, **_):
    api = kubernetes.client.CoreV1Api()
    api.patch_namespaced_config_map(name, namespace, {"data": {"value": str(spec["value"])}})
    patch.status["value"] = spec["value"]
    note("update", uid, spec["value"])


@kopf.on.delete("example.dev", "v1", "widgets")
def deleted(uid, spec, **_):
    note("delete", uid, spec.get("value"))
