"""`write_report`: an evaluation folder as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2

import glm2x
from glm2x.files import refuse_existing, write_aside
from glm2x.progress import Progress, silent
from glm2x.report.data import Data, collect
from glm2x.report.export import by_name, data_folder, write_data
from glm2x.report.format import base_pairs, clean, count, counted, join_words
from glm2x.report.results import Results, read_results
from glm2x.report.roles import followed
from glm2x.report.runs import Joint, Run, RunOf, read_run
from glm2x.report.section import Section, Subject
from glm2x.report.sections import (
    against,
    calibration,
    cells,
    checks,
    compared,
    facts,
    few_shot,
    genes,
    loci,
    people,
    per_gene,
    populations,
    reproduce,
    rows,
    split,
    summary,
    training,
)
from glm2x.report.target import target_words

SECTIONS = (
    Section("summary", "In short", summary.context),
    Section("cells", "Four cells", cells.context),
    Section("rows", "Every row", rows.context),
    Section("against", "Against linear models", against.context),
    Section("genes-figure", "Across genes", genes.context),
    Section("populations", "Populations", populations.context),
    Section("calibration", "Calibration", calibration.context),
    Section("few-shot", "Few-shot curve", few_shot.context),
    Section("people", "Best and worst genes", people.context),
    Section("runs", "Runs", compared.context),
    Section("loci", "Loci", loci.context),
    Section("training", "Training", training.context),
    Section("split", "Split", split.context),
    Section("checks", "Checks and controls", checks.context),
    Section("per-gene", "Every gene", per_gene.context),
    Section("facts", "How this was made", facts.context),
    Section("reproduce", "To reproduce", reproduce.context),
)
"""The sections in their order on the page."""

_NAMED = 4  # results that a title names


def write_report(
    folder: Path | str,
    *,
    runs: Sequence[Path | str | RunOf] = (),
    joint: Joint | None = None,
    out: Path | str | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write the report of an evaluation as one HTML file, and its numbers as tables beside it.

    Parameters
    ----------
    folder
        A folder of `glm2x evaluate`: `metrics.json`, `per_gene.parquet`, `predictions.parquet`, and
        `split.json` where there was one.
    runs
        Run folders of `glm2x train`, for the training curves and the facts of the run.
    joint
        What the evaluation compares, where it was made of several results.
    out
        The file to write; `report.html` in `folder` when not given. The tables go to a folder beside it:
        `report-data` beside `report.html` (`glm2x.report.export.data_folder`).
    force
        Replace a report and tables that are there.
    progress
        Counts sections.

    Returns
    -------
    Path
        The file that was written. It holds its styles, figures and script, and loads nothing.

    Raises
    ------
    DataError
        The folder is no evaluation, a run is no run folder, or a file in one is damaged.
    UsageError
        The file or the folder of tables exists and `force` is not set, or the folder is none of ours.
    """
    target = Path(folder) / "report.html" if out is None else Path(out)
    beside = data_folder(target)
    for path in (target, beside):
        refuse_existing(path, force=force)
    results = read_results(folder)
    page, found = render(
        results, [read_run(run) for run in runs], joint, data=quote(beside.name), progress=progress
    )
    with write_aside(beside, force=force) as tables, write_aside(target, force=force) as aside:
        write_data(tables, by_name(found), page=target.name, about=_subtitle(results))
        aside.write_text(page, encoding="utf-8")
    return target


def render(
    results: Results,
    runs: Sequence[Run],
    joint: Joint | None = None,
    *,
    data: str,
    progress: Progress = silent,
) -> tuple[str, list[Data]]:
    """Return the page as HTML, and the numbers that its parts show; `data` is the address of their folder.

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
    script = (here / "gene_table.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    tested = [row for row in results.rows if row.label in results.cells.get(results.main_cell, {})]
    subject = Subject(results, followed(tested), tuple(runs), joint)
    environment.globals["data_folder"] = data
    sections, found = _drawn(subject, environment, progress)
    page = environment.get_template("report.html.j2").render(
        css=(here / "report.css").read_text("utf-8"),
        script=script,
        script_hash=f"sha256-{digest}",
        version=glm2x.__version__,
        title=f"Personal gene expression: {_about(subject)}",
        subtitle=_subtitle(results),
        sections=sections,
        data_folder_name=unquote(data),
    )
    return page, found


def _about(subject: Subject) -> str:
    """Return what the page is about, for its title."""
    if subject.joint is not None:
        names = [clean(name) for name in subject.joint.results]
        many = len(names) > _NAMED
        return f"comparison of {counted(len(names), 'result') if many else join_words(names)}"
    return subject.follow.words if subject.follow else "baselines"


def _drawn(
    subject: Subject, environment: jinja2.Environment, progress: Progress
) -> tuple[list[tuple[Section, str]], list[Data]]:
    """Return the sections that this page has, each with its HTML, and the numbers in all of them."""
    drawn: list[tuple[Section, str]] = []
    found: list[Data] = []
    with progress("report", len(SECTIONS), "sections") as bar:
        for section in SECTIONS:
            values = section.context(subject)
            if values is not None:
                drawn.append((section, environment.get_template(section.template).render(values)))
                found += collect(values)
            bar.advance(1, section.title)
    return drawn, found


def _keep_together(value: Any) -> Any:
    """Keep a number and its per cent sign on one line, in text that is still to be escaped."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if type(value) is str else value


def _subtitle(results: Results) -> str:
    data = results.data
    parts = [
        target_words(results),
        f"window {base_pairs(results.metrics.get('window'))}" if results.metrics.get("window") else "",
        f"{count(data.get('genes'))} genes and {count(data.get('individuals'))} people in the predictions",
        f"split {clean(str(data['split_preset']))}" if data.get("split_preset") else "",
    ]
    return " · ".join(part for part in parts if part)
