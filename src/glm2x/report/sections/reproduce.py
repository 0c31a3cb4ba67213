"""The commands that led to the page as they were typed, what they took, and what they read."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from glm2x.provenance import words as words_of_running
from glm2x.report.data import Data, frame
from glm2x.report.format import MISSING, clean, count, counted, duration, join_words, number
from glm2x.report.outline import commands
from glm2x.report.parts import Cell, Column, Missing, Table, TableRow, without_empty
from glm2x.report.section import Subject
from glm2x.sidecar import IN_FOLDER, MADE_BY_US, Artefact, History, Made, read

_TWO_WORDS = ("cohort", "embed", "weights", "config")
_PACKAGES = {"glm2x": "glm2x", "python": "Python", "sklearn": "scikit-learn"}
_FILES = 60  # input files that the table shows at most


@dataclass(frozen=True)
class Line:
    """One command as it is typed in a shell, and in words what it took."""

    command: str
    cost: str


def context(subject: Subject) -> dict[str, Any]:
    """Return the commands, their cost, the files they read and the versions; what is missing of these."""
    history = read(subject.results.folder / IN_FOLDER)
    outline = commands(subject.results, [run.name for run in subject.runs], subject.joint)
    if history is None or not history.made:
        lacking = (
            "No record of the commands lies beside this evaluation, so they stand here in outline; in "
            f"capitals what the evaluation does not know. glm2x evaluate writes the record ({IN_FOLDER})."
        )
        none: dict[str, Any] = {
            "lines": [],
            "note": "",
            "cost": None,
            "cost_note": "",
            "files": None,
            "versions": [],
        }
        return {**none, "missing_parts": [Missing(lacking)], "outline": outline}
    lines = [Line(_typed(made), _cost(made)) for made in history.made]
    if words_of_running() != history.made[-1].words:  # a comparison is evaluated and drawn by one command
        lines.append(Line(_report_command(subject, history), "this page"))
    lacking_parts = [Missing(_unrecorded(one)) for one in history.unrecorded]
    return {
        "lines": lines,
        "note": _note(lines, history),
        "cost": _cost_table(history),
        "cost_note": _COST_NOTE,
        "files": _files_table(history),
        "versions": _versions(history),
        "missing_parts": lacking_parts,
        "outline": outline if lacking_parts else "",
    }


_COST_NOTE = (
    "Time is wall time, of a training that was interrupted that of all its parts. Memory is the largest "
    "resident set of the process (and of its largest child where it had some), not of a GPU. Passes: what a "
    "model computes once for each unique haplotype of a gene, where there are as many windows as people "
    "have haplotypes."
)


def _note(lines: Sequence[Line], history: History) -> str:
    text = (
        f"The {counted(len(lines), 'command')} as typed, in an order that works. Given again in a folder "
        "where the input files below have the same paths, with the same versions and type of processor, they "
        "make the same numbers."
    )
    if any("--force" in made.words for made in history.made):
        text += " Where --force stands, something was replaced; in an empty folder it does nothing."
    return text


def _unrecorded(one: Artefact) -> str:
    what = f"{clean(one.path)} ({clean(one.role)})"
    return f"How {what} was made is not on record: the commands below lack that stage."


def _typed(made: Made) -> str:
    """Return the command for a shell; of several processes, as torchrun starts them."""
    words = ["glm2x", *made.words]
    if made.processes > 1:
        nodes = made.processes // max(made.a_node, 1)
        where = ["--standalone"] if nodes < 2 else ["--nnodes", str(nodes)]
        words = ["torchrun", *where, "--nproc-per-node", str(made.a_node), "-m", *words]
    return clean(shlex.join(words))


def _report_command(subject: Subject, history: History) -> str:
    words = words_of_running()
    if words is None or words[:1] != ("report",):
        folder = history.made[-1].outputs[0].path if history.made[-1].outputs else "DIR"
        words = ("report", folder, *(word for run in subject.runs for word in ("--run", run.name)))
    return clean(shlex.join(["glm2x", *words]))


def _cost(made: Made) -> str:
    parts = [duration(made.seconds) if made.seconds is not None else "", _memory(made.peak, made.child_peak)]
    if made.processes > 1:
        parts.append(f"{made.processes} processes")
    return ", ".join(part for part in parts if part not in ("", MISSING))


def _cost_table(history: History) -> Table:
    """Return time, memory and passes of each command, and the sum of times."""
    rows = []
    for made in history.made:
        saved = made.windows is not None and made.passes
        rows.append(
            TableRow(
                clean(stage(made)),
                (
                    Cell(clean(", ".join(Path(o.path).name for o in made.outputs[:1])), css="text"),
                    Cell(duration(made.seconds)),
                    Cell(_memory(made.peak, made.child_peak) or MISSING),
                    Cell(clean(made.device or MISSING)),
                    Cell(count(made.windows)),
                    Cell(count(made.passes)),
                    Cell(f"{number((made.windows or 0) / (made.passes or 1), 1)}×" if saved else MISSING),
                ),
            )
        )
    total = sum(made.seconds or 0 for made in history.made)
    rows.append(TableRow("all", (Cell(""), Cell(duration(total)), *[Cell(MISSING)] * 5), css="focus"))
    columns = (
        Column("command"),
        Column("what it wrote", css="text"),
        Column("time"),
        Column("peak memory"),
        Column("device"),
        Column("windows"),
        Column("passes"),
        Column("saved"),
    )
    title = "Time, memory and passes of each command"
    return without_empty(Table(title, columns, tuple(rows), data=_cost_data(history)))


def _cost_data(history: History) -> Data:
    whole = dict.fromkeys(("peak_bytes", "child_peak_bytes"), pl.Int64)
    counts = dict.fromkeys(("windows", "passes"), pl.Int64)
    schema = {"command": pl.String, "wrote": pl.String, "seconds": pl.Float64, **whole}
    lines = [
        {
            "command": clean(shlex.join(made.words)),
            "wrote": clean(made.outputs[0].path) if made.outputs else None,
            "seconds": made.seconds,
            "peak_bytes": made.peak,
            "child_peak_bytes": made.child_peak,
            "device": clean(made.device) if made.device else None,
            "windows": made.windows,
            "passes": made.passes,
        }
        for made in history.made
    ]
    return Data("cost", "One line a command.", frame(lines, schema | {"device": pl.String} | counts))


def stage(made: Made) -> str:
    """Return a command's verb, such as `cohort build`."""
    return " ".join(made.words[: 2 if made.words[:1] and made.words[0] in _TWO_WORDS else 1])


def _files_table(history: History) -> Table | None:
    """Return the files that no command of glm2x wrote, with their SHA-256."""
    files = dict.fromkeys(one for made in history.made for one in made.inputs if one.role not in MADE_BY_US)
    if not files:
        return None
    shown = list(files)[:_FILES]
    rows = tuple(
        TableRow(
            clean(one.path),
            (Cell(clean(one.role)), Cell(count(one.size)), Cell(clean(one.digest or "not taken: large"))),
        )
        for one in shown
    )
    columns = (
        Column("file"),
        Column("as", css="text"),
        Column("bytes"),
        Column("SHA-256", css="text digest"),
    )
    more = f"; {count(len(files) - len(shown))} more are in {IN_FOLDER}" if len(files) > len(shown) else ""
    return Table(f"Input files: {count(len(files))}{more}", columns, rows)


def _versions(history: History) -> list[tuple[str, str]]:
    """Return what the commands ran under; several where they differ."""
    found: dict[str, dict[str, None]] = {}
    for made in history.made:
        for name, version in made.versions.items():
            found.setdefault(_PACKAGES.get(name, name), {})[version] = None
        cores = "" if made.cores is None else f", {counted(made.cores, 'core')}"
        found.setdefault("machine", {})[f"{made.machine}{cores}"] = None
    order = sorted(found, key=lambda name: (name == "machine", name not in _PACKAGES.values()))
    return [(clean(name), clean(join_words([v for v in found[name] if v]) or MISSING)) for name in order]


def _memory(own: int | None, child: int | None) -> str:
    if own is None:
        return ""
    return _size(own) if child is None else f"{_size(own)} and {_size(child)}"


def _size(value: int) -> str:
    return f"{number(value / 1e9, 2)} GB" if value >= 1e9 else f"{count(value / 1e6)} MB"
