"""`glm2x evaluate`: any predictions, ours or a stranger's, measured, compared and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from glm2x.commands.options import AnyPlace
from glm2x.console import Columns, print_json, progress, say, show_table

_RIGHT: Literal["right"] = "right"
_NUMBERS = ("mean r", "95 % CI", "median r", "signif.", "null")


def evaluate(
    *predictions: AnyPlace,
    out: Path,
    cohort: Path | None = None,
    split: Path | None = None,
    genes: Path | None = None,
    target: Literal["log", "residual", "residual-all", "z-score", "inverse-normal"] | None = None,
    json: bool = False,
    loci: str | None = None,
    force: bool = False,
) -> None:
    """Measure and compare predictions; exit code 3 when a leak check fails.

    Parameters
    ----------
    predictions
        Tables: .parquet of glm2x, or .csv with at least the columns gene, individual, predicted; or URLs of
        such.
    out
        The folder to write: metrics.json, per_gene.parquet, comparisons.parquet, few_shot.parquet,
        loci.parquet.
    cohort
        Adds measurements that tables lack, populations, positions of genes, and checks.
    split
        Adds sides that tables lack, h2 (with --cohort), and checks.
    genes
        Judge only these genes, one a line: the same for all models, where tables hold different ones.
    target
        What tables that do not say it predict (default: log, where measurements are filled in).
    json
        Print the content of metrics.json on standard output instead of a table: among others target, data,
        cells (by cell and row mean_pearson, ci95_mean_pearson, ...), comparisons, checks and notes.
    loci
        Genes whose window the report shows beside those it chooses, by commas (with --cohort).
    force
        Replace what is there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import of_cohort, of_split
    from glm2x.errors import UsageError
    from glm2x.evaluation.evaluate import evaluate as measure
    from glm2x.evaluation.stored import PredictionFiles
    from glm2x.files import read_list
    from glm2x.provenance import artefact, record_with_history

    if not predictions:
        raise UsageError("no table of predictions was given", wanted="one or more .parquet or .csv files")
    opened, sides = Cohort.open(cohort) if cohort else None, Split.load(split) if split else None
    wanted = None if genes is None else read_list(genes)
    result = measure(
        PredictionFiles(predictions, wanted),
        out,
        cohort=opened,
        split=sides,
        force=force,
        target=target,
        progress=progress,
        loci=[name.strip() for name in loci.split(",") if name.strip()] if loci else (),
    )
    record_with_history(
        out,
        outputs=[artefact("evaluation", out)],
        inputs=[
            *([of_cohort(opened, cohort)] if opened and cohort else []),
            *of_split(sides, split),
            *([artefact("genes", genes)] if genes else []),
            *(artefact("predictions", path) for path in predictions),
        ],
    )
    if json:
        print_json(result.metrics)
    else:
        _show(result.metrics)
    say(f"written to {out}")
    result.raise_leaks()


def _show(metrics: dict[str, Any]) -> None:
    """Print the main cell as a table that 80 columns hold, and every check that did not pass."""
    from glm2x.evaluation.tables import MAIN_CELL

    cells = metrics["cells"]
    name = MAIN_CELL if MAIN_CELL in cells else next(iter(cells))
    size = metrics["data"]["cells"][name]
    say(
        f"r across people, by gene: {name} ({size['genes']} genes, {size['individuals']} people), "
        f"target {metrics['target'] or 'unknown'}"
    )
    columns: Columns = {"model": "left", **dict.fromkeys(_NUMBERS, _RIGHT)}
    rows = []
    for label, row in cells[name].items():
        interval = row["ci95_mean_pearson"]
        rows.append(
            (
                label,
                _number(row["mean_pearson"]),
                f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "",
                _number(row["median_pearson"]),
                _share(row["share_significant"]),
                _share(row["null_share"]),
            )
        )
    show_table(columns, rows)
    for check in metrics["checks"]:
        if check["status"] != "pass":
            say(f"  {check['status']}: {check['name']}: {check['detail']}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"
