"""Owner references: who controls an object, and taking over or letting go of objects by selector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from localcluster.client import ApiStatusError, NotFound, PatchType
from localcluster.controllers import labels
from localcluster.informer import Informer
from localcluster.resource_types import ResourceType

JSON = dict[str, Any]


def controller_of(obj: JSON) -> JSON | None:
    """The owner reference with ``controller: true``."""
    for reference in obj["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: JSON = reference
            return found
    return None


def is_controlled_by(obj: JSON, owner: JSON) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def controller_reference(owner: JSON, of: ResourceType) -> JSON:
    return {
        "apiVersion": of.api_version,
        "kind": of.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_uids(obj: JSON) -> Iterable[str]:
    """Indexer: objects by the uid of their controller; those without one by their namespace."""
    reference = controller_of(obj)
    if reference is None:
        return (f"orphans/{obj['metadata'].get('namespace', '')}",)
    return (reference["uid"],)


async def claim(
    owner: JSON,
    of: ResourceType,
    selector: JSON,
    dependents: Informer,
    read_owner: Callable[[], Awaitable[JSON]],
    adoption_patch: Callable[[JSON], JSON] | None = None,
) -> list[JSON]:
    """The dependents that `owner` controls, after adopting matching orphans and releasing what matches no longer.

    Needs the index ``controller`` (`controller_uids`) on `dependents`.

    Args:
        read_owner: reads the owner from the server; nothing is adopted for an owner that is gone or going.
        adoption_patch: more to patch on adoption, merged into the patch's metadata.
    """
    uid = owner["metadata"]["uid"]
    going = bool(owner["metadata"].get("deletionTimestamp"))
    claimed = []
    for obj in dependents.by_index("controller", uid):
        if labels.matches(selector, obj["metadata"].get("labels")):
            claimed.append(obj)
        elif not going:
            await _release(obj, uid, dependents)
    if going:
        return claimed
    checked = False
    for obj in dependents.by_index("controller", f"orphans/{owner['metadata'].get('namespace', '')}"):
        meta = obj["metadata"]
        if meta.get("deletionTimestamp") or not labels.matches(selector, meta.get("labels")):
            continue
        if not checked:
            fresh = await read_owner()
            if fresh["metadata"]["uid"] != uid or fresh["metadata"].get("deletionTimestamp"):
                return claimed
            checked = True
        patch: JSON = {"metadata": {"uid": meta["uid"], "ownerReferences": [controller_reference(owner, of)]}}
        if adoption_patch is not None:
            patch["metadata"] |= adoption_patch(obj)
        try:
            claimed.append(await dependents.patch(obj, patch, type=PatchType.STRATEGIC))
        except NotFound:
            continue
        except ApiStatusError as error:
            # Another controller was first, or the object is another one of the same name.
            if error.code not in (409, 422):
                raise
    return claimed


async def _release(obj: JSON, uid: str, dependents: Informer) -> None:
    patch = {"metadata": {"uid": obj["metadata"]["uid"], "ownerReferences": [{"$patch": "delete", "uid": uid}]}}
    try:
        await dependents.patch(obj, patch, type=PatchType.STRATEGIC)
    except ApiStatusError as error:
        if error.code not in (404, 409, 422):
            raise
