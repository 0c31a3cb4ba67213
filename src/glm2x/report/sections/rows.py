"""Every row: the summary of each model and baseline, what stands behind it, and the differences."""

from __future__ import annotations

from typing import Any

from glm2x.report.further_tables import BEHIND_NOTE, behind_tables, seed_table
from glm2x.report.parts import Missing
from glm2x.report.results import cell_words
from glm2x.report.section import Subject
from glm2x.report.tables import main_table, other_table

_MAIN_NOTE = (
    "All summaries are over genes, of a value across people. r: Pearson; a prediction that is the "
    "same for everybody "
    "is null and counts as r = 0. ρ: Spearman. R²: against the gene's mean over training people, "
    "negative where that "
    "mean predicts better. Significant: 5 % FDR (Benjamini-Hochberg). CI: two-way, genes by block "
    "and people by family."
)
_ONE_SEED = "Each row is one seed: how far a result moves from seed to seed is not known here."


def context(subject: Subject) -> dict[str, Any]:
    """Return the tables of rows, those of the main cell first."""
    results, follow = subject.results, subject.follow
    main, seeds = main_table(results, follow), seed_table(results)
    behind, more_behind = behind_tables(results, follow)
    return {
        "cell": cell_words(results.main_cell),
        "main": main,
        "main_note": _MAIN_NOTE if seeds else f"{_MAIN_NOTE} {_ONE_SEED}",
        "missing_parts": []
        if main
        else [Missing("There is no row to show. To make one:", "glm2x evaluate PREDICTIONS... --out DIR")],
        "behind": behind,
        "behind_note": BEHIND_NOTE,
        "more_behind": more_behind,
        "seeds": seeds,
        "others": other_table(results),
    }
