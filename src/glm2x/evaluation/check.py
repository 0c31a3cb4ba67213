"""What one check of an evaluation came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail", "not run"]


@dataclass(frozen=True)
class Check:
    """One check's outcome. A failed `leak` check makes the command end with exit code 3."""

    name: str
    status: Status
    detail: str
    leak: bool


def not_run(name: str, lacks: str, *, leak: bool) -> Check:
    """Return the outcome of a check that lacks an input."""
    return Check(name, "not run", f"needs {lacks}", leak)


def some(names: Sequence[object], limit: int = 3) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
