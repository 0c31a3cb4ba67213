"""The one unit of work: make a shard, unless it is there; every launcher calls it, and nothing else.

======================== =========================================================================
``claims/NAME``           locked while a process has the shard in hand (`glm2x.claims`)
``errors/NAME.txt``       what the last attempt at a shard that is not done failed of
``log/HOST-PID.jsonl``    what a process did: a line when it starts on a shard, and one when it ends
======================== =========================================================================
"""

from __future__ import annotations

import json
import os
import platform
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from glm2x.claims import claimed
from glm2x.errors import DataError, Glm2xError
from glm2x.files import require_staying, staying, write_aside
from glm2x.place import Place
from glm2x.url import Url

ERRORS, LOG = "errors", "log"
_STARTED = f"{time.time_ns():x}"
_LINES: dict[Url, list[str]] = {}  # of this process's logs in object storage

State = Literal["done", "there", "elsewhere", "failed"]


class Work(Protocol):
    """Work that is planned: a number of shards, each of which any process can make.

    Attributes
    ----------
    folder
        Where it lies; all processes see it.
    kind
        What is made: ``baseline``, ``predict``, ``sweep`` or ``embed``.
    threads
        Of a worker on a CPU; None: as many as the libraries take.
    device
        What computes: ``cpu``, ``cuda`` or ``mps``.
    """

    @property
    def folder(self) -> Place: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def threads(self) -> int | None: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102

    def __len__(self) -> int:
        """Return the number of shards."""

    def name(self, i: int) -> str:
        """Return the name of a shard's files."""

    def title(self, i: int) -> str:
        """Return what a shard holds, for people to read."""

    def lacking(self, i: int) -> str | None:
        """Return why a shard is not done: it is missing, or damaged; None where it is there and sound."""

    def compute(self, i: int) -> None:
        """Make a shard and put it in its place."""

    def undone(self) -> list[int]:
        """Return the shards that are not done."""


MISSING = "missing"


@dataclass(frozen=True)
class Outcome:
    """What came of a call of `run_shard`.

    Attributes
    ----------
    shard
        Its number.
    state
        ``done`` now; ``there`` before; in the hands of a process ``elsewhere``; or ``failed``.
    said
        The first line of the error; or what was wrong with a shard that was made again.
    """

    shard: int
    state: State
    said: str = ""

    def as_json(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Return what `as_json` made a line of."""
        return cls(**json.loads(text))


def run_shard(work: Work, i: int) -> Outcome:
    """Make shard `i`, unless it is there and sound or a process has it in hand.

    An error is recorded in ``errors/`` and returned as an outcome: other shards go on. What ends the process
    (`KeyboardInterrupt`, `SystemExit`) is let through, and leaves the shard as if it had not been begun; and
    so is, where nothing can be recorded, that the work's folder has gone (`DataError`).
    Where object storage is away, so that nothing can be recorded there, the outcome alone says so.
    """
    try:
        with staying(work.folder):
            return _run_shard(work, i)
    except DataError as error:
        if not isinstance(work.folder, Url):
            raise
        return Outcome(i, "failed", f"{error.what}: {error.got}")


def _run_shard(work: Work, i: int) -> Outcome:
    lacking = work.lacking(i)
    if lacking is None:
        return Outcome(i, "there")
    name = work.name(i)
    with claimed(work.folder, name) as mine:
        if not mine:
            return Outcome(i, "elsewhere")
        lacking = work.lacking(i)  # the process that had it in hand may have ended meanwhile
        if lacking is None:
            return Outcome(i, "there")
        started = time.monotonic()
        _log(work.folder, name, "start")
        try:
            work.compute(i)
        except Exception as error:
            require_staying(error_path(work, i))
            _log(work.folder, name, "failed", seconds=time.monotonic() - started)
            return Outcome(i, "failed", record_error(work, i, error))
        _log(work.folder, name, "done", seconds=time.monotonic() - started)
        error_path(work, i).unlink(missing_ok=True)
    return Outcome(i, "done", "" if lacking == MISSING else lacking)


def error_path(work: Work, i: int) -> Place:
    """Return where the error of a shard lies, if it has one."""
    return work.folder / ERRORS / f"{work.name(i)}.txt"


def record_error(work: Work, i: int, error: Exception | str) -> str:
    """Write what a shard failed of; return its first line. An unforeseen error keeps its traceback."""
    if isinstance(error, str | Glm2xError):
        text = str(error)
    else:
        text = "".join([f"{type(error).__name__}: {error}\n\n", *traceback.format_exception(error)])
    with write_aside(error_path(work, i), force=True) as aside:
        aside.write_text(f"{work.title(i)}\n{text.rstrip()}\n")
    return text.partition("\n")[0]


def read_errors(work: Work) -> dict[int, str]:
    """Return the errors of shards that are not done, each below the shard's title, without tracebacks."""
    there = {path.stem for path in (work.folder / ERRORS).glob("*.txt")}
    if not there:
        return {}
    failed = [i for i in range(len(work)) if work.name(i) in there]
    texts = {i: error_path(work, i).read_text() for i in failed if work.lacking(i) is not None}
    return {i: text.partition("\n\n")[0].rstrip() for i, text in texts.items()}


def read_log(folder: Place) -> Iterator[dict[str, Any]]:
    """Yield what processes did, by process; a last line that a killed one left torn is passed over."""
    paths: list[Place] = [*(folder / LOG).glob("*.jsonl")]
    for path in sorted(paths, key=str):
        for line in path.read_text(errors="replace").splitlines():
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                break
            if isinstance(told, dict):
                yield told


def _log(folder: Place, name: str, event: str, **facts: Any) -> None:
    """Append a line to this process's own file: several writers of one may tear lines on a network's disk.

    An object cannot be appended to: it is written again with all lines so far, which are in memory.
    """
    line = json.dumps({"shard": name, "event": event, "time": time.time(), **facts}) + "\n"
    process = f"{platform.node()}-{os.getpid()}"
    if isinstance(folder, Url):
        path = (
            folder / LOG / f"{process}-{_STARTED}.jsonl"
        )  # on other machines processes have that number, too
        _LINES.setdefault(path, []).append(line)
        path.put("".join(_LINES[path]).encode())
        return
    file = folder / LOG / f"{process}.jsonl"
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as handle:
        handle.write(line)
