"""A run's folder: what is in it, who may write to it, and when it may be gone on with.

======================== =======================================================================
``config.yml``            the complete, resolved configuration
``run.json``              format version, digests, counts and facts; ``done: true`` at the end
``history.jsonl``         one line an epoch
``phases/NAME/last``      checkpoint after the last finished epoch of a phase
``phases/NAME/best``      checkpoint of the lowest validation loss, where there is validation data
``checkpoint``            what `glm2x predict` reads: the last phase's best, else its last
======================== =======================================================================
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from glm2x import __version__
from glm2x.config import TrainConfig, dump_config
from glm2x.errors import DataError, UsageError
from glm2x.files import (
    read_json,
    read_text,
    require_sha256,
    require_staying,
    sha256,
    staying,
    write_aside,
    write_json,
)
from glm2x.seal import sealed, unsealed
from glm2x.training.checkpoint import recover
from glm2x.training.restarts import BY, starters

FORMAT_VERSION = 1

# what they name is compared by digest, however it is spelt
_NAMES = {"out", "cohort", "split", "embeddings", "start_from", "genes.reference", "genes.personal"}


class RunFolder:
    """The paths and records of one run.

    Parameters
    ----------
    path
        The folder, as `start` made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yml"
        self.run = path / "run.json"
        self.history = path / "history.jsonl"
        self.checkpoint = path / "checkpoint"

    def phase(self, name: str) -> Path:
        """Return a phase's folder."""
        return self.path / "phases" / name

    def result(self, name: str) -> Path:
        """Return a phase's best checkpoint where it has one, else its last."""
        best = self.phase(name) / "best"
        return best if best.is_dir() else self.phase(name) / "last"

    def facts(self) -> dict[str, Any]:
        """Return the content of run.json."""
        content = read_json(self.run, verify=False)
        if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
            raise DataError(
                "run.json is not of a format version that this glm2x reads",
                where=str(self.run),
                wanted=f"version {FORMAT_VERSION}",
                do="use the glm2x that wrote it, or train again with --force",
            )
        facts: dict[str, Any] = unsealed(content, self.run)
        return facts

    def record(self, **facts: Any) -> None:
        """Add facts to run.json."""
        write_json(self.run, self.facts() | facts, force=True)

    def finish(self, seconds: float) -> None:
        """Say in run.json that the run is done, and what its history is."""
        self.record(seconds=round(seconds, 3), done=True, history_sha256=sha256(self.history))

    def read_history(self) -> list[dict[str, Any]]:
        """Return one mapping an epoch; a last line that a killed process left torn is passed over."""
        text = self.history.read_text(errors="replace") if self.history.is_file() else ""
        lines, epochs = text.splitlines(), []
        for number, line in enumerate(lines, start=1):
            try:
                epochs.append(unsealed(json.loads(line), self.history))
            except ValueError as error:
                if number == len(lines) and not text.endswith("\n"):
                    break
                where = f"line {number} of {self.history}"
                raise _damaged(where, line[:80], "JSON, as glm2x train writes it") from error
        return epochs

    def add_history(self, epoch: dict[str, Any]) -> None:
        """Append one line."""
        require_staying(self.history)
        with self.history.open("a") as handle:
            handle.write(json.dumps(sealed(epoch), allow_nan=False) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def cut_history(self, finished: dict[str, int]) -> None:
        """Keep the lines of finished epochs; `finished` says how many each phase has.

        Raises
        ------
        DataError
            One is missing: it was written before its epoch was called finished.
        """
        kept = [e for e in self.read_history() if e["epoch"] <= finished.get(e["phase"], 0)]
        for phase, epochs in finished.items():
            there = sum(epoch["phase"] == phase for epoch in kept)
            if there < epochs:
                got = f"{there} lines of the {phase} phase"
                raise _damaged(str(self.history), got, f"{epochs}, as its checkpoint says")
        with write_aside(self.history, force=True) as aside:
            aside.write_text("".join(json.dumps(sealed(epoch)) + "\n" for epoch in kept))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the run; a killed process holds no lock.

        When the folder is removed meanwhile, writing to it is refused (`glm2x.files.staying`).

        Raises
        ------
        UsageError
            Another process is at it.
        """
        with (self.path / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    "another process is training in this run folder",
                    where=str(self.path),
                    do="wait for it, or give another out",
                ) from error
            with staying(self.path):
                yield


def start(
    config: TrainConfig, identity: dict[str, str | None], *, resume: bool = False, force: bool = False
) -> RunFolder:
    """Make the run's folder, or find the one that is to be gone on with.

    Parameters
    ----------
    config
        The configuration; the folder is its ``out``.
    identity
        What the run is of beside the configuration: ``cohort_digest``, ``split_digest``,
        ``start_from_digest`` (null without) and, for each phase, ``NAME_samples_digest``.
    resume
        Go on with the run that is there (a new one is started where there is none).
    force
        Remove the run that is there. A folder that is no run is never removed.

    Raises
    ------
    UsageError
        A folder is there and neither is allowed; or the run there has another configuration.
    DataError
        The run there is of another cohort, split, starting checkpoint or list of genes.
    """
    folder = RunFolder(Path(config.out))
    require_startable(folder, resume=resume, force=force)
    if not _occupied(folder):
        return _make(folder, config, identity)
    if force:
        with folder.locked():
            shutil.rmtree(folder.path)
        return _make(folder, config, identity)
    with folder.locked():
        recover(folder.path)
    _require_same(folder, config, identity)
    return folder


def require_startable(folder: RunFolder, *, resume: bool, force: bool) -> None:
    """Refuse a folder that is in the way, and touch nothing; see `start`.

    Raises
    ------
    UsageError
        A folder is there, and may neither be gone on with nor removed.
    """
    if resume and force:
        raise UsageError("--resume goes on with a run and --force removes it: give one of them")
    if not _occupied(folder):
        return
    if not folder.run.is_file():
        raise UsageError(
            "the output folder is there and holds no run, so it is not touched",
            where=str(folder.path),
            do="give another out, or remove it",
        )
    if not (resume or force):
        _refuse(folder)


def _occupied(folder: RunFolder) -> bool:
    return folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir()))


def _make(folder: RunFolder, config: TrainConfig, identity: dict[str, str | None]) -> RunFolder:
    if folder.path.exists():
        folder.path.resolve().rmdir()  # it is empty; what another process has put there meanwhile is kept
    with write_aside(folder.path) as aside:
        aside.mkdir()
        (aside / folder.config.name).write_text(dump_config(config))
        facts = {"format_version": FORMAT_VERSION, "done": False, "glm2x_version": __version__}
        if starters():
            facts[BY] = list(starters())
        facts |= {"config_sha256": sha256(aside / folder.config.name)}
        write_json(aside / folder.run.name, facts | identity)
    return folder


def _refuse(folder: RunFolder) -> None:
    done = folder.facts().get("done")
    raise UsageError(
        "the output folder holds a finished run" if done else "the output folder holds an interrupted run",
        where=str(folder.path),
        do="--force replaces it; or give another out"
        if done
        else "--resume goes on where it stopped; --force starts anew",
    )


def _require_same(folder: RunFolder, config: TrainConfig, identity: dict[str, str | None]) -> None:
    """Refuse to go on with another configuration or with other data."""
    try:
        there = _flat(yaml.safe_load(read_text(folder.config, kind="configuration")))
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError) as error:
        raise DataError("the run's configuration is not readable", where=str(folder.config)) from error
    require_sha256(folder.config, folder.facts().get("config_sha256"))
    here = _flat(config.model_dump(mode="json"))
    keys = (there.keys() | here.keys()) - _NAMES
    differing = sorted(key for key in keys if there.get(key) != here.get(key))
    if differing:
        raise UsageError(
            "the interrupted run was started with another configuration",
            where=str(folder.config),
            got=", ".join(f"{key}: {here.get(key)}" for key in differing),
            wanted=", ".join(f"{key}: {there.get(key)}" for key in differing),
            do="set these back, or give another out or --force",
        )
    facts = folder.facts()
    for key, value in identity.items():
        if facts.get(key) != value:
            raise DataError(
                f"the interrupted run was started with {_described(key)}",
                where=str(folder.run),
                got=f"{key} {value}",
                wanted=f"{key} {facts.get(key)}",
                do="give the same one, or --force to start anew",
            )


def _damaged(where: str, got: str, wanted: str) -> DataError:
    return DataError(
        "the history of a run is damaged",
        where=where,
        got=got,
        wanted=wanted,
        do="restore it from a copy, or train again with --force",
    )


def _described(key: str) -> str:
    name = key.removesuffix("_digest")
    if name.endswith("_samples"):
        phase = name.removesuffix("_samples")
        return f"other samples of the {phase} phase (its list of genes, people or expression)"
    return "another checkpoint in start_from" if name == "start_from" else f"another {name}"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
