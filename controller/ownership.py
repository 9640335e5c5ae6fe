"""Whose a live object is: ours to change, somebody else's to be left alone, or one that is on its way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeless import labels
from kubeless.api.function import KIND, Function

JSON = dict[str, Any]


class NameConflict(Exception):
    """An object of a wanted name is not ours. The message is for the Function's author."""


class Leaving(Exception):
    """An object of a wanted name is being deleted; when it is gone there is room for ours."""


def check(live: Mapping[str, Any], function: Function) -> None:
    """Raises NameConflict or Leaving if `live` must not be changed for this Function.

    Objects that Kubeless itself made for the function carry the same labels, and are taken over.
    """
    metadata = live["metadata"]
    kind, name = live["kind"], metadata["name"]
    owner = next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None)
    ours = owner is not None and owner.get("uid") == function.metadata.uid
    # Labels that somebody took away are put back.
    if not ours and not labels.is_made_for(live, function.name):
        raise NameConflict(
            f"there is a {kind} {name} already that does not belong to this function; delete or rename it, or give the"
            " function another name"
        )
    if metadata.get("deletionTimestamp"):
        raise Leaving(f"the {kind} {name} is being deleted")
    if owner is None or ours:
        return
    if owner.get("kind") == KIND and owner.get("name") == function.name:
        # Of a Function of the same name that was deleted: the garbage collector is on its way.
        raise Leaving(f"the {kind} {name} of an earlier function of this name is being deleted")
    raise NameConflict(
        f"the {kind} {name} belongs to the {owner.get('kind')} {owner.get('name')}; delete that, or give the function"
        " another name"
    )


def is_owned(live: Mapping[str, Any], function: Function) -> bool:
    """Whether `live` goes with this very Function."""
    references = live["metadata"].get("ownerReferences") or []
    return any(reference.get("uid") == function.metadata.uid for reference in references)
