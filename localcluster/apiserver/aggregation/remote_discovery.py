"""An aggregated API server's resource list, as the entries of the aggregated discovery document."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


def discovered_resources(resource_list: JSON) -> list[JSON]:
    """Entries of an APIResourceList with their subresources. ValueError if it is none."""
    if resource_list.get("kind") != "APIResourceList":
        raise ValueError(f"answered {resource_list.get('kind')!r} instead of an APIResourceList")
    group, _, version = str(resource_list.get("groupVersion", "")).rpartition("/")
    found: dict[str, JSON] = {}
    for entry in resource_list.get("resources") or ():
        plural, _, subresource = str(entry["name"]).partition("/")
        kind = {
            "group": entry.get("group") or group,
            "version": entry.get("version") or version,
            "kind": entry.get("kind", ""),
        }
        if subresource:
            parts = found.setdefault(plural, {"resource": plural}).setdefault("subresources", [])
            parts.append({"subresource": subresource, "responseKind": kind, "verbs": entry.get("verbs") or []})
            continue
        resource = found.setdefault(plural, {"resource": plural})
        resource.update(
            {
                "responseKind": kind,
                "scope": "Namespaced" if entry.get("namespaced") else "Cluster",
                "singularResource": entry.get("singularName", ""),
                "verbs": entry.get("verbs") or [],
            }
        )
        for key in ("shortNames", "categories"):
            if entry.get(key):
                resource[key] = entry[key]
    return list(found.values())
