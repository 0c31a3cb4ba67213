"""Runs: the training runs side by side, and what was merged and told apart among the results."""

from __future__ import annotations

from typing import Any

from glm2x.report.format import clean
from glm2x.report.run_table import run_table, shared_settings
from glm2x.report.section import Subject

_NOTE = (
    "Mean r of a run is that of its own seed; the interval is of genes and people, and holds nothing of how "
    "far seeds differ. The validation loss of runs with different losses or targets is not on one scale."
)


def context(subject: Subject) -> dict[str, Any] | None:
    """Return the table of runs; None of a page with fewer than two runs that compares nothing."""
    table = run_table(subject.results, subject.runs)
    notes = [] if subject.joint is None else [clean(note) for note in subject.joint.notes]
    if table is None and not notes:
        return None
    return {
        "table_of_runs": table,
        "note": _NOTE,
        "shared": shared_settings(subject.runs) if table is not None else [],
        "notes": notes,
    }
