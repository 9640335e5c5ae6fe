"""Column definitions of tables, and the descriptions of fields that they take from the published OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from localcluster.apiserver import schema

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_API = "io.k8s.api."


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        description: a text, or with ``field`` the field whose published description it is.
        field: for example ``core.v1.PodStatus.podIP``; ``meta.ObjectMeta.name`` for those of apimachinery.
        priority: above 0 it is shown by ``-o wide`` only.
    """

    name: str
    type: str = "string"
    description: str = ""
    field: str = ""
    priority: int = 0
    format: str = ""


def plain(name: str, description: str, type: str = "string", priority: int = 0) -> Column:
    return Column(name, type, description, "", priority)


def of_field(name: str, field: str, type: str = "string", priority: int = 0) -> Column:
    return Column(name, type, "", field, priority)


NAME = Column("Name", field="meta.ObjectMeta.name", format="name")
AGE = of_field("Age", "meta.ObjectMeta.creationTimestamp")
CREATED_AT = of_field("Created At", "meta.ObjectMeta.creationTimestamp", "date")
CONTAINERS = plain("Containers", "Names of each container in the template.", priority=1)
IMAGES = plain("Images", "Images referenced by each container in the template.", priority=1)

_descriptions: dict[str, str] = {}


def prepare(columns: Iterable[Column]) -> None:
    """Reads the descriptions of all these columns at once: the OpenAPI file is large and is not kept."""
    wanted = {c.field for c in columns if c.field} - _descriptions.keys()
    if not wanted:
        return
    definitions = schema.read_definitions()
    for field in wanted:
        owner, _, name = field.rpartition(".")
        full = _META + owner[5:] if owner.startswith("meta.") else _API + owner
        properties: dict[str, Any] = definitions.get(full, {}).get("properties", {})
        _descriptions[field] = properties.get(name, {}).get("description", "")


@cache
def definition(column: Column) -> dict[str, Any]:
    """The column as a Table's ``columnDefinitions`` has it. Not to be changed."""
    if column.field and column.field not in _descriptions:
        prepare([column])
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": _descriptions[column.field] if column.field else column.description,
        "priority": column.priority,
    }
