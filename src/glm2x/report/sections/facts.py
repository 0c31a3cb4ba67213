"""How the page was made: versions, digests, files, runs, and the commands that make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glm2x.report.format import MISSING, base_pairs, clean, count, join_words
from glm2x.report.results import Results
from glm2x.report.runs import run_facts
from glm2x.report.section import Subject
from glm2x.report.target import described


def context(subject: Subject) -> dict[str, Any]:
    """Return the facts of the evaluation and of each run, and the commands."""
    return {
        "facts": facts(subject.results),
        "runs": run_facts(list(subject.runs)),
        "commands": commands(subject.results, [run.name for run in subject.runs]),
    }


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


def commands(results: Results, runs: Sequence[str]) -> str:
    """Return the commands that make the page again; in capitals what the evaluation does not know."""
    linear = dict.fromkeys(clean(row.model) for row in results.rows if row.role == "baseline")
    target, window = results.target or "TARGET", f"--window {results.metrics.get('window') or 'BP'}"
    if any(model.startswith("informed-") for model in linear):
        # The evaluation holds the largest window alone, and that is the prior's.
        window = f"--window BP --prior-window {results.metrics.get('window') or 'BP'}"
    lines = []
    if linear:
        lines.append(
            f"glm2x baseline COHORT --split split.json --models {','.join(linear)} --target {target} "
            f"{window}{_few_shot_options(results)} --out BASELINES.parquet"
        )
    for name in map(clean, runs):
        lines += [
            f"glm2x train {name}/config.yml",
            f"glm2x predict {name}/checkpoint --cohort COHORT --out MODEL.parquet",
        ]
    files = [clean(str(f.get("name"))) for f in results.data.get("files") or []] or ["PREDICTIONS..."]
    split = " --split split.json" if results.split is not None else ""
    lines.append(f"glm2x evaluate {' '.join(files)} --cohort COHORT{split} --out DIR")
    lines.append("glm2x report DIR" + "".join(f" --run {clean(name)}" for name in runs))
    return "\n".join(lines)


def _few_shot_options(results: Results) -> str:
    """Return the options that draw the baselines' few-shot curve again; empty where there is none."""
    drawn = {row.model for row in results.rows if row.role == "baseline"}
    points = [p for p in results.few_shot_points(results.main_cell) if p.get("model") in drawn]
    if not points:
        return ""
    split = results.split or {}
    everybody = len(split.get("train") or ()) + len(split.get("validation") or ())
    sizes = sorted({int(p["train_individuals"]) for p in points})
    named = ",".join("all" if size == everybody else str(size) for size in sizes)
    return f" --few-shot {named} --draws {max(int(p['draws']) for p in points)}"
