"""The commands that make a page, in outline: what an evaluation tells of them where none is on record."""

from __future__ import annotations

from collections.abc import Sequence

from glm2x.report.format import clean
from glm2x.report.results import Results
from glm2x.report.runs import Joint


def commands(results: Results, runs: Sequence[str], joint: Joint | None = None) -> str:
    """Return the commands that make the page again; in capitals what the evaluation does not know."""
    if joint is not None:
        trained = [f"glm2x train {name}/config.yml" for name in map(clean, runs)]
        return "\n".join([*trained, f"glm2x report {' '.join(map(clean, joint.results))} --out DIR"])
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
