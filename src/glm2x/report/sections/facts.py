"""Where the numbers come from: versions, digests, files, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glm2x.report.format import MISSING, base_pairs, clean, count, join_words
from glm2x.report.results import Results
from glm2x.report.runs import run_facts
from glm2x.report.section import Subject
from glm2x.report.target import described


def context(subject: Subject) -> dict[str, Any]:
    """Return the facts of the evaluation and of each run."""
    return {"facts": facts(subject.results), "runs": run_facts(list(subject.runs))}


def facts(results: Results) -> list[tuple[str, str]]:
    """Return where the numbers come from: versions, target, window, digests, files, what was left out."""
    data = results.data
    pairs = [
        ("evaluated with", f"glm2x {results.metrics.get('glm2x_version') or 'of unknown version'}"),
        ("target", described(results)),
        ("window", base_pairs(results.metrics.get("window"))),
        ("cohort digest", clean(str(data.get("cohort_digest") or "not stated"))),
        ("split digest", clean(str(data.get("split_digest") or "not stated"))),
        (
            "predictions",
            f"{count(data.get('rows'))} rows, {count(data.get('genes'))} genes, "
            f"{count(data.get('individuals'))} people",
        ),
        (
            "not measured",
            f"{count(data.get('rows_without_observed'))} rows have no measurement and are not judged",
        ),
        ("validation people", f"{count(data.get('validation_individuals'))}, in no result"),
        ("seeds and draws", join_words(_replicates(results)) or MISSING),
    ]
    for file in data.get("files") or []:
        version = file.get("glm2x_version")
        made = f"written by glm2x {version}" if version else "not written by glm2x"
        pairs.append(("file", clean(f"{file.get('name')}, {made}")))
    if data.get("ignored_columns"):
        pairs.append(("columns not used", clean(", ".join(data["ignored_columns"]))))
    return pairs


def _replicates(results: Results) -> Sequence[str]:
    names: dict[str, None] = {}
    for row in (results.cells.get(results.main_cell) or {}).values():
        found: Mapping[str, Any] = (row.get("seeds") or {}).get("mean_pearson_by_seed") or {}
        names |= dict.fromkeys(clean(f"seed {n}" if n.isdigit() else n) for n in found)
    return list(names)[:20]
