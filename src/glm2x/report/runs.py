"""Run folders of `glm2x train`: what they hold, as facts and as training curves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from glm2x.errors import DataError
from glm2x.files import read_json, read_text, require_sha256
from glm2x.report.data import Data, frame
from glm2x.report.figures.curves import loss_curves
from glm2x.report.format import clean, count, counted, duration, is_number, number
from glm2x.report.parts import Missing, Plate
from glm2x.seal import unsealed

_TRAIN_COMMAND = "glm2x train CONFIG.yml, then glm2x report DIR --run RUN"


@dataclass(frozen=True)
class Phase:
    """One phase of a run: [epochs] losses as recorded, and the epoch whose weights were kept."""

    name: str
    epochs: list[int]
    train: list[float | None]
    validation: list[float | None]
    pearson: list[float | None]
    seconds: float | None
    chosen: int | None


@dataclass(frozen=True)
class RunOf:
    """A run folder to draw, the name it goes by, and its model in the predictions.

    Without a name it is the folder's; without a model it is the backbone's. An empty model is in no row.
    """

    folder: Path
    name: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Joint:
    """That an evaluation compares several results: their names, and what was merged and told apart."""

    results: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One run folder: its name, resolved configuration (as text and parsed), facts and phases.

    `model` is what it is called in the predictions, and `draw` its draw of a few people, if it is of one.
    """

    name: str
    config: dict[str, Any]
    config_text: str
    facts: dict[str, Any]
    phases: tuple[Phase, ...]
    model: str
    train_individuals: int | None = None
    draw: int | None = None

    def setting(self, key: str) -> Any:
        """Return a setting by its dotted name; None where the configuration has none."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True)
class RunFacts:
    """What the page says about one run."""

    title: str
    pairs: list[tuple[str, str]]
    config: str
    config_title: str


def read_run(given: Path | str | RunOf) -> Run:
    """Read a run folder.

    Raises
    ------
    DataError
        The folder or one of `config.yml` and `history.jsonl` is missing or not readable.
    """
    named = given if isinstance(given, RunOf) else RunOf(Path(given))
    folder = named.folder
    if not folder.is_dir():
        raise DataError(
            "the run is not a folder",
            where=str(folder),
            wanted="a folder written by glm2x train",
            do="give the folder that `out` in the training configuration names",
        )
    read = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    facts: dict[str, Any] = read if isinstance(read, dict) else {}
    for name in ("config.yml", "history.jsonl"):
        require_sha256(folder / name, facts.pop(f"{name.partition('.')[0]}_sha256", None))
    config_text = read_text(folder / "config.yml", kind="configuration")
    try:
        config = yaml.safe_load(config_text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError("config.yml is not readable as YAML", where=str(folder), got=str(error)) from error
    history = _read_history(folder / "history.jsonl")
    names = list(dict.fromkeys(str(line.get("phase", "training")) for line in history))
    config = config if isinstance(config, dict) else {}
    backbone = config.get("backbone")
    own = str(backbone.get("name")) if isinstance(backbone, dict) else ""
    people, draw = _learnt(folder / "checkpoint")
    return Run(
        name=named.name or folder.name,
        config=config,
        config_text=config_text,
        facts=facts,
        phases=tuple(_phase(n, history) for n in names),
        model=own if named.model is None else named.model,
        train_individuals=people,
        draw=draw,
    )


def _learnt(checkpoint: Path) -> tuple[int | None, int | None]:
    """Return how many people a checkpoint learnt from, and their draw; None where it does not say."""
    found: list[int | None] = []
    for name, keys in (("state.json", ("metadata", "train_individuals")), ("split.json", ("draw",))):
        value: Any = read_json(checkpoint / name) if (checkpoint / name).is_file() else None
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        found.append(value if isinstance(value, int) else None)
    return found[0], found[1]


def _read_history(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for i, text in enumerate(read_text(path, kind="history").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = unsealed(json.loads(text), path)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"line {i} of history.jsonl is not readable as JSON",
                where=str(path),
                got=text[:80],
                do="resume the run (glm2x train CONFIG.yml --resume), which mends a torn last line",
            ) from error
        if isinstance(line, dict) and is_number(line.get("epoch")):
            lines.append(line)
    return lines


def _phase(name: str, history: list[dict[str, Any]]) -> Phase:
    lines = [line for line in history if str(line.get("phase", "training")) == name]

    def column(key: str) -> list[float | None]:
        return [float(line[key]) if is_number(line.get(key)) else None for line in lines]

    epochs = [int(line["epoch"]) for line in lines]
    validation, seconds = column("validation_loss"), [s for s in column("seconds") if s is not None]
    known = [(v, e) for v, e in zip(validation, epochs, strict=True) if v is not None]
    return Phase(
        name=name,
        epochs=epochs,
        train=column("train_loss"),
        validation=validation,
        pearson=column("validation_pearson"),
        seconds=math.fsum(seconds) if seconds else None,
        chosen=min(known)[1] if known else None,
    )


def curve_plates(runs: list[Run]) -> tuple[list[Plate], list[Missing]]:
    """Return one plate a phase of every run, and what is missing."""
    if not runs:
        return [], [
            Missing("No training run was given, so there are no training curves. To add one:", _TRAIN_COMMAND)
        ]
    plates, missing, data = [], [], _data(runs)
    for i, run in enumerate(runs):
        if not any(phase.epochs for phase in run.phases):
            missing.append(
                Missing(
                    f"{clean(run.name)} holds no finished epoch. To go on with it:",
                    "glm2x train CONFIG.yml --resume",
                )
            )
        for j, phase in enumerate(p for p in run.phases if p.epochs):
            name = clean(phase.name)
            title = f"{clean(run.name)}, {name} phase" if len(runs) > 1 else f"{name.capitalize()} phase"
            plates.append(
                Plate(
                    loss_curves(
                        phase.epochs,
                        phase.train,
                        phase.validation,
                        chosen=phase.chosen,
                        name=f"curve{i}-{j}",
                        alt=f"Training and validation loss against epoch, {name} phase",
                    ),
                    title,
                    _caption(phase),
                    data,
                )
            )
    return plates, missing


def _data(runs: list[Run]) -> Data:
    """Return what the curves of all runs draw."""
    numbers = ("train_loss", "validation_loss", "validation_pearson")
    schema = {"run": pl.String, "phase": pl.String, "epoch": pl.Int64, **dict.fromkeys(numbers, pl.Float64)}
    lines = [
        {"run": run.name, "phase": phase.name, "epoch": epoch, "chosen": epoch == phase.chosen}
        | dict(zip(numbers, values, strict=True))
        for run in runs
        for phase in run.phases
        for epoch, *values in zip(phase.epochs, phase.train, phase.validation, phase.pearson, strict=True)
    ]
    return Data("training", "One line an epoch.", frame(lines, {**schema, "chosen": pl.Boolean}))


def _caption(phase: Phase) -> str:
    text = f"Training and validation loss after each of {counted(len(phase.epochs), 'epoch')}"
    text += f", {duration(phase.seconds)} in all. " if phase.seconds is not None else ". "
    if phase.chosen is None:
        return text + (
            "What to see: whether the loss still falls. No validation loss was recorded, so no epoch was "
            "chosen by one: the last was kept."
        )
    text += "What to see: validation loss that rises while training loss falls is overfitting. "
    i = phase.epochs.index(phase.chosen)
    text += (
        f"Chosen by the lowest validation loss: epoch {phase.chosen}, loss {number(phase.validation[i], 4)}"
    )
    if phase.pearson[i] is not None:
        text += f", validation r {number(phase.pearson[i])}"
    return text + "."


def run_facts(runs: list[Run]) -> list[RunFacts]:
    """Return what the page says about each run: its settings first, then every fact of `run.json`."""
    return [
        RunFacts(
            title=f"Run {clean(run.name)}",
            pairs=[*_settings(run.config), *_flatten(run.facts)],
            config=run.config_text,
            config_title=f"The resolved configuration of {clean(run.name)}",
        )
        for run in runs
    ]


def _settings(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the settings that a reader asks for first; the whole configuration is printed below them."""

    def inner(key: str, field: str) -> Any:
        value = config.get(key)
        return value.get(field) if isinstance(value, dict) else value

    found = [
        ("backbone", inner("backbone", "name")),
        ("head", inner("head", "name")),
        ("strategy", config.get("strategy")),
        ("target", config.get("target")),
        ("window, bp", config.get("window")),
        ("seed", inner("training", "seed")),
    ]
    return [(key, _plain(value)) for key, value in found if value is not None]


def _flatten(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in facts.items():
        title = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            pairs += _flatten(value, f"{title}: ")
        elif key == "seconds" and is_number(value):
            pairs.append((f"{prefix}time", duration(float(value))))
        elif value is not None:
            pairs.append((clean(title), _plain(value)))
    return pairs


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value) if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_plain(v) for v in value)
    return clean(str(value))
