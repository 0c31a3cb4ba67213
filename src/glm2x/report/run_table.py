"""Training runs side by side: the settings in which they differ, and what came of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from glm2x.report.data import Data, frame
from glm2x.report.format import MISSING, clean, count, counted, duration, interval, is_number, number
from glm2x.report.parts import Cell, Column, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.roles import Row
from glm2x.report.runs import Phase, Run

_FIRST = {
    "backbone.name": "backbone",
    "head.name": "head",
    "strategy": "strategy",
    "target": "target",
    "window": "window, bp",
    "loss.kind": "loss",
    "loss.pairwise": "pairwise loss",
    "training.learning_rate": "learning rate",
    "training.epochs": "epochs",
    "training.batch_size": "batch",
    "training.seed": "seed",
}
"""What a reader asks for first, and how it is called; any other setting goes by its own name."""

_NO_SETTINGS = ("cohort", "split", "out", "embeddings", "start_from", "training.device", "training.devices")
"""Where things lie and are computed."""


def shared_settings(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the settings that a reader asks for first and that all runs share."""
    shared = [key for key in _FIRST if key not in _differing(runs)]
    pairs = [(_FIRST[key], _plain(runs[0].setting(key))) for key in shared]
    parameters = {run.facts.get("parameters") for run in runs}
    if len(parameters) == 1:
        pairs.append(("parameters", _plain(*parameters)))
    return [(key, value) for key, value in pairs if value != MISSING]


def run_table(results: Results, runs: Sequence[Run]) -> Table | None:
    """Return a line a run, and one of the mean of runs that are seeds of one model; None of a single run.

    Mean r is that of the run's own seed in the main cell. The interval is that of the model: of its mean
    over seeds, where it has several.
    """
    if len(runs) < 2:
        return None
    differing = _differing(runs)
    first, others = [k for k in differing if k in _FIRST], [k for k in differing if k not in _FIRST]
    sized = len({run.facts.get("parameters") for run in runs}) > 1
    outcome = (
        *([Column("parameters")] if sized else []),
        Column("mean\N{NO-BREAK SPACE}r", help=f"{cell_words(results.main_cell)}; of several seeds with SD"),
        Column("95 % CI", help="two-way: genes by block, people by family; of the mean over seeds"),
        Column("lowest validation loss", help="of the last phase; its epoch was kept"),
        Column("validation\N{NO-BREAK SPACE}r", help="of that epoch"),
        Column("time"),
    )
    rows: list[TableRow] = []
    for row, members in _by_row(results, runs):
        look = None if row is None else row.look
        for run in members:
            cells = [
                *(Cell(_shown(run, key)) for key in first),
                *([Cell(_plain(run.facts.get("parameters")))] if sized else []),
                Cell(number(_own_r(results, row, run))),
                _ci(results, row if len(members) == 1 else None),
                *_outcome(run),
                *(Cell(_shown(run, key)) for key in others),
            ]
            rows.append(TableRow(clean(run.name), tuple(cells), look=look))
        if row is not None and len(members) > 1:
            blank = [Cell("")] * (len(first) + sized)
            mean = [_over_seeds(results, row), _ci(results, row), *[Cell("")] * (3 + len(others))]
            head = f"mean of {counted(len(members), 'run')}"
            rows.append(TableRow(head, (*blank, *mean), look=look, css="focus"))
    columns = (
        Column("run"),
        *(_column(runs, key) for key in first),
        *outcome,
        *(_column(runs, key) for key in others),
    )
    title = f"{counted(len(runs), 'run')}: what differs, and what came of it"
    return Table(title, columns, tuple(rows), data=_data(results, runs))


def _data(results: Results, runs: Sequence[Run]) -> Data:
    numbers = ("mean_pearson", "validation_loss", "validation_pearson", "seconds")
    schema = {"run": pl.String, "row": pl.String, "seed": pl.Int64} | dict.fromkeys(numbers, pl.Float64)
    lines = []
    for row, members in _by_row(results, runs):
        for run in members:
            values = (_own_r(results, row, run), *_lowest(run), _seconds(run))
            named = {"run": run.name, "row": None if row is None else row.label}
            lines.append(
                named | {"seed": run.setting("training.seed")} | dict(zip(numbers, values, strict=True))
            )
    return Data("runs", "One line a run; its whole configuration stands on the page.", frame(lines, schema))


def _column(runs: Sequence[Run], key: str) -> Column:
    title = _FIRST.get(key, key.removeprefix("training.").replace(".", " ").replace("_", " "))
    is_text = any(isinstance(run.setting(key), str) for run in runs)
    return Column(title, css="text" if is_text else "", help=key)


def _by_row(results: Results, runs: Sequence[Run]) -> Iterator[tuple[Row | None, list[Run]]]:
    """Give the runs of each row of the evaluation together, and each run that is in none by itself."""
    members: dict[str, list[Run]] = {}
    rows = {}
    for run in runs:
        row = _row_of(results, run)
        key = f"run {run.name}" if row is None else f"row {row.label}"
        rows[key] = row
        members.setdefault(key, []).append(run)
    for key, found in members.items():
        yield rows[key], found


def _row_of(results: Results, run: Run) -> Row | None:
    """Return the run's row; None where its model, strategy and number of people are in none."""
    found = [
        row
        for row in results.rows
        if (row.model, row.strategy) == (run.model, run.setting("strategy"))
        and row.train_individuals in (None, run.train_individuals)
    ]
    return found[0] if len(found) == 1 else None


def _metrics(results: Results, row: Row | None) -> Mapping[str, Any]:
    cell = results.cells.get(results.main_cell) or {}
    return cell.get(row.label) or {} if row is not None else {}


def _own_r(results: Results, row: Row | None, run: Run) -> float | None:
    """Return mean r of the run's own seed and draw."""
    seed = str(run.setting("training.seed") or 0)
    name = seed if run.draw is None else f"draw {run.draw} seed {seed}"
    means = (_metrics(results, row).get("seeds") or {}).get("mean_pearson_by_seed") or {}
    return float(means[name]) if is_number(means.get(name)) else None


def _over_seeds(results: Results, row: Row) -> Cell:
    metrics = _metrics(results, row)
    mean, sd = metrics.get("mean_pearson"), (metrics.get("seeds") or {}).get("sd")
    text = number(float(mean) if is_number(mean) else None)
    return Cell(f"{text} (SD {number(float(sd))})" if is_number(sd) else text)


def _ci(results: Results, row: Row | None) -> Cell:
    return Cell(interval(_metrics(results, row).get("ci95_mean_pearson")))


def _outcome(run: Run) -> tuple[Cell, ...]:
    """Return the lowest validation loss of the last phase, r there, and the time of training."""
    loss, r = _lowest(run)
    return (Cell(number(loss, 4)), Cell(number(r)), Cell(duration(_seconds(run))))


def _lowest(run: Run) -> tuple[float | None, float | None]:
    """Return the lowest validation loss of the last phase, and r there."""
    last: Phase | None = run.phases[-1] if run.phases else None
    if last is None or last.chosen is None:
        return None, None
    at = last.epochs.index(last.chosen)
    return last.validation[at], last.pearson[at]


def _seconds(run: Run) -> float | None:
    seconds = run.facts.get("seconds")
    return float(seconds) if is_number(seconds) else None


def _differing(runs: Sequence[Run]) -> list[str]:
    """Return the settings in which runs differ, those first that a reader asks for first."""
    every = dict.fromkeys(key for run in runs for key in _keys(run.config))
    values = {key: {repr(run.setting(key)) for run in runs if _applies(run, key)} for key in every}
    differing = [key for key in every if len(values[key]) > 1]
    first = [key for key in _FIRST if key in differing]
    return [*first, *(key for key in differing if key not in (*_FIRST, *_NO_SETTINGS))]


def _keys(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _applies(run: Run, key: str) -> bool:
    """Whether a setting plays a part in a run: those of the reference phase do where there is one."""
    return run.setting("strategy") != "personal" or not key.startswith("training.reference.")


def _shown(run: Run, key: str) -> str:
    return _plain(run.setting(key)) if _applies(run, key) else MISSING


def _plain(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:g}" if isinstance(value, float) else clean(str(value))
