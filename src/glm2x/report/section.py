"""What a section of the page is, and what it is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from glm2x.report.results import Results
from glm2x.report.roles import Row
from glm2x.report.runs import Run


@dataclass(frozen=True)
class Subject:
    """What the page is about.

    Attributes
    ----------
    results
        The evaluation.
    follow
        The row that headline and figures follow; None where all rows are baselines.
    runs
        The training runs that were given.
    """

    results: Results
    follow: Row | None
    runs: tuple[Run, ...]

    @cached_property
    def predictions(self) -> pl.DataFrame | None:
        """Gene, individual, observed and predicted of the followed row, read once; None where absent."""
        return None if self.follow is None else self.results.predictions(self.follow)


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes
    ----------
    id
        Its anchor; `templates/sections/<id>.html.j2` draws it, its heading included.
    title
        Its name in the navigation.
    context
        Returns the template's variables; None where this page has no such section.
    """

    id: str
    title: str
    context: Callable[[Subject], Mapping[str, Any] | None]

    @property
    def template(self) -> str:
        """The name of its template."""
        return f"sections/{self.id}.html.j2"
