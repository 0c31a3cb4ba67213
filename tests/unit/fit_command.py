"""`glm2x baseline`, called with its options as keywords."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from glm2x.commands import baseline as command
from glm2x.commands.options import FitOptions


def baseline(cohort: Path, **options: Any) -> None:
    """Call the command."""
    names = {one.name for one in fields(FitOptions)}
    fit = FitOptions(**{name: value for name, value in options.items() if name in names})
    command.baseline(cohort, fit, **{name: value for name, value in options.items() if name not in names})
