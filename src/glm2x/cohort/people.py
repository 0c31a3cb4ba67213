"""Whom a split trains on and tests: what every way to choose them shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glm2x.cohort.cohort import Cohort

Relatives = Literal["together", "ignore"]

_SHOWN = 3


@dataclass(frozen=True)
class People:
    """Three lists of individuals and how they came about.

    Attributes
    ----------
    train, validation, test
        Individuals.
    preset
        The name of the way they were chosen.
    relatives
        What was done about relatives, in a sentence; None for lists, which are taken as they are.
    warnings
        What the user should know.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    preset: str
    relatives: str | None = None
    warnings: tuple[str, ...] = ()


def measured(cohort: Cohort) -> list[str]:
    """Return the people who have expression of some gene, in the cohort's order."""
    known = np.isfinite(cohort.expression).any(axis=0)
    return [cohort.individuals[i] for i in np.flatnonzero(known)]


def some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
