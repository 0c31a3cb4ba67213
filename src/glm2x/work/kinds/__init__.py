"""The kinds of work, by name; each is imported when it is needed, torch only where it computes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from glm2x.errors import DataError

if TYPE_CHECKING:
    from glm2x.work.planned import Kind

KINDS = ("baseline", "predict", "sweep")
"""Those of a work folder; an embedding store is a work of its own, `glm2x.work.kinds.embed`."""


def kind_of(name: str, where: str) -> Kind:
    """Return a kind by its name (`DataError` for an unknown one)."""
    if name not in KINDS:
        raise DataError("work of a kind that is not known", where=where, got=name, wanted=", ".join(KINDS))
    kind: Kind = import_module(f"glm2x.work.kinds.{name}").KIND
    return kind
