"""`write_report`: an evaluation folder as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

import glm2x
from glm2x.files import refuse_existing, write_aside
from glm2x.report import sections
from glm2x.report.few_shot_parts import few_shot_plate, few_shot_tables
from glm2x.report.format import base_pairs, clean, count
from glm2x.report.further_tables import BEHIND_NOTE, behind_tables, seed_table
from glm2x.report.gene_parts import gene_plates, gene_table, people_panels
from glm2x.report.headline import make_headline
from glm2x.report.parts import Missing
from glm2x.report.results import Results, cell_words, read_results
from glm2x.report.roles import followed
from glm2x.report.runs import Run, curve_plates, read_run, run_facts
from glm2x.report.tables import comparison_tables, control_table, main_table, other_table

_SECTIONS = (
    ("summary", "In short"),
    ("rows", "Every row"),
    ("genes-figure", "Across genes"),
    ("few-shot", "Few-shot curve"),
    ("people", "Predicted and observed"),
    ("training", "Training"),
    ("split", "Split"),
    ("checks", "Checks and controls"),
    ("per-gene", "Every gene"),
    ("facts", "How this was made"),
)


def write_report(
    folder: Path | str,
    *,
    runs: Sequence[Path | str] = (),
    out: Path | str | None = None,
    force: bool = False,
) -> Path:
    """Write the report of an evaluation as one HTML file.

    Parameters
    ----------
    folder
        A folder of `glm2x evaluate`: `metrics.json`, `per_gene.parquet`, `predictions.parquet`, and
        `split.json` where there was one.
    runs
        Run folders of `glm2x train`, for the training curves and the facts of the run.
    out
        The file to write; `report.html` in `folder` when not given.
    force
        Replace a report that is there.

    Returns
    -------
    Path
        The file that was written. It holds its styles, figures and script, and loads nothing.

    Raises
    ------
    DataError
        The folder is no evaluation, a run is no run folder, or a file in one is damaged.
    UsageError
        The file exists and `force` is not set.
    """
    target = Path(folder) / "report.html" if out is None else Path(out)
    refuse_existing(target, force=force)
    page = render(read_results(folder), [read_run(run) for run in runs])
    with write_aside(target, force=force) as aside:
        aside.write_text(page, encoding="utf-8")
    return target


def render(results: Results, runs: Sequence[Run]) -> str:
    """Return the page as HTML.

    Everything that comes from a table, a configuration or a history is escaped by the template. As they
    are go in only the figures (matplotlib escapes their text), the style sheet and the script; the
    page's content security policy allows this one script and no loading.
    """
    here = files("glm2x.report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (here / "templates" / name).read_text("utf-8")),
        autoescape=True,
        finalize=_keep_together,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (here / "sort.js").read_text("utf-8")
    shown = context(results, runs)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        css=(here / "report.css").read_text("utf-8"),
        script=script,
        script_hash=f"sha256-{digest}",
        version=glm2x.__version__,
        sections=[s for s in _SECTIONS if s[0] != "few-shot" or shown["few_shot_plate"]],
        **shown,
    )


def context(results: Results, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the template draws, section by section."""
    follow = followed([r for r in results.rows if r.label in results.cells.get(results.main_cell, {})])
    differences, more_differences = comparison_tables(results, follow)
    main = main_table(results, follow)
    plates, gene_missing = gene_plates(results, follow)
    panels, people_caption, people_missing = people_panels(results, follow, sections.unit(results))
    curves, curve_missing = curve_plates(list(runs))
    split_table, split_pairs, excluded, split_missing = sections.split_section(results)
    found, check_words, check_missing = sections.checks(results)
    genes, gene_note, table_missing = gene_table(results, follow)
    few_shot, more_few_shot = few_shot_tables(results)
    behind, more_behind = behind_tables(results, follow)
    seeds = seed_table(results)
    return {
        "title": "Personal gene expression: " + (follow.words if follow else "baselines"),
        "subtitle": _subtitle(results),
        "alerts": [check for check in found if check.status == "fail"],
        "headline": make_headline(results, follow),
        "main_cell": cell_words(results.main_cell),
        "main_table": main,
        "main_note": _MAIN_NOTE if seeds else f"{_MAIN_NOTE} {_ONE_SEED}",
        "behind_table": behind,
        "behind_note": BEHIND_NOTE,
        "more_behind": more_behind,
        "seed_table": seeds,
        "rows_missing": []
        if main
        else [Missing("There is no row to show. To make one:", "glm2x evaluate PREDICTIONS... --out DIR")],
        "comparison_table": differences,
        "more_comparisons": more_differences,
        "comparison_note": _COMPARISON_NOTE,
        "control_table": control_table(results),
        "other_table": other_table(results),
        "gene_plates": plates,
        "gene_missing": gene_missing,
        "few_shot_plate": few_shot_plate(results, follow),
        "few_shot_table": few_shot,
        "more_few_shot": more_few_shot,
        "people_panels": panels,
        "people_caption": people_caption,
        "people_missing": people_missing,
        "curve_plates": curves,
        "curve_missing": curve_missing,
        "split_table": split_table,
        "split_pairs": split_pairs,
        "excluded_table": excluded,
        "split_missing": split_missing,
        "checks": found,
        "check_words": check_words,
        "check_missing": check_missing,
        "gene_table": genes,
        "gene_note": gene_note,
        "table_missing": table_missing,
        "facts": sections.facts(results),
        "run_facts": run_facts(list(runs)),
        "commands": sections.commands(results, [run.name for run in runs]),
    }


def _keep_together(value: Any) -> Any:
    """Keep a number and its per cent sign on one line, in text that is still to be escaped."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


_MAIN_NOTE = (
    "All summaries are over genes, of a value across people. r: Pearson; a prediction that is the "
    "same for everybody "
    "is null and counts as r = 0. ρ: Spearman. R²: against the gene's mean over training people, "
    "negative where that "
    "mean predicts better. Significant: 5 % FDR (Benjamini-Hochberg). CI: two-way, genes by block "
    "and people by family."
)
_ONE_SEED = "Each row is one seed: how far a result moves from seed to seed is not known here."
_COMPARISON_NOTE = (
    "An interval that leaves out 0 tells two rows apart. “Smallest that would show” is the "
    "difference these data "
    "detect with 80 % power at a two-sided 5 %. Genes better and worse: Williams test, 5 % FDR."
)


def _subtitle(results: Results) -> str:
    data = results.data
    parts = [
        sections.target_words(results),
        f"window {base_pairs(results.metrics.get('window'))}" if results.metrics.get("window") else "",
        f"{count(data.get('genes'))} genes and {count(data.get('individuals'))} people in the predictions",
        f"split {clean(str(data['split_preset']))}" if data.get("split_preset") else "",
    ]
    return " · ".join(part for part in parts if part)
