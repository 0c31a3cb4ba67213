"""Sidecars: the small files that say how what lies beside them was made.

A folder has ``made.json`` in it, a file ``NAME.made.json`` beside it. They are hints: whoever reads one that
is missing, damaged or of another thing goes on without it. What they say is text that anybody may have
written, of bounded size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

from glm2x.errors import DataError, Glm2xError
from glm2x.place import Place, place
from glm2x.seal import sealed, unsealed
from glm2x.url import Url

FORMAT_VERSION = 1
IN_FOLDER = "made.json"
BESIDE_FILE = ".made.json"

MADE_BY_US = ("cohort", "split", "checkpoint", "store", "weights", "predictions")
"""Roles of things that a command of glm2x writes: where one has no sidecar, a stage is not on record."""

_MOST_BYTES = 2_000_000
_MOST_COMMANDS = 200
_MOST_ITEMS = 2_000  # words, inputs or outputs of a command
_LONGEST = 4_096  # characters of a word or path
_PARENTS = 3  # a checkpoint lies three folders below its run at most

_T = TypeVar("_T")


@dataclass(frozen=True)
class Artefact:
    """Something that a command read or wrote.

    Attributes
    ----------
    role
        What it was to the command, such as ``cohort``.
    path
        As the command named it.
    digest
        SHA-256: of a file, or the digest by which an artefact of ours is known; None where it was not taken.
    size
        Bytes of a file; None of a folder.
    """

    role: str
    path: str
    digest: str | None = None
    size: int | None = None

    def is_that(self, other: Artefact) -> bool:
        """Whether two mentions are of the same thing, as far as they say it."""
        if self.digest is not None and other.digest is not None:
            return self.digest == other.digest
        same_name = Path(self.path).name == Path(other.path).name
        return same_name and (self.size == other.size or None in (self.size, other.size))


@dataclass(frozen=True)
class Made:
    """One command that has written something.

    Attributes
    ----------
    words
        The command as it was typed, after ``glm2x``.
    inputs, outputs
        What it read and wrote.
    versions
        Of glm2x, Python and the libraries that results depend on.
    machine
        System and architecture.
    cores
        That the command could use.
    processes, a_node
        That torchrun had started, in all and on a machine; 1 without it.
    device
        Where models were computed, such as ``cpu``; None where there was none.
    seconds
        Wall time, of all parts of a training that was interrupted.
    peak, child_peak
        Bytes: largest resident memory of the process, and of its largest child (None: it had none).
    windows, passes
        How many windows were asked for, and how many unique haplotypes of them were computed; None where
        nothing of the kind was.
    """

    words: tuple[str, ...]
    inputs: tuple[Artefact, ...] = ()
    outputs: tuple[Artefact, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    cores: int | None = None
    processes: int = 1
    a_node: int = 1
    device: str | None = None
    seconds: float | None = None
    peak: int | None = None
    child_peak: int | None = None
    windows: int | None = None
    passes: int | None = None


@dataclass(frozen=True)
class History:
    """The commands that led to something, in an order in which they can be given again.

    Attributes
    ----------
    made
        The commands.
    unrecorded
        What they read of ours that no sidecar says the making of.
    """

    made: tuple[Made, ...] = ()
    unrecorded: tuple[Artefact, ...] = ()


@overload
def sidecar_of(path: Path) -> Path: ...
@overload
def sidecar_of(path: Url) -> Url: ...
@overload
def sidecar_of(path: Place) -> Place: ...
def sidecar_of(path: Place) -> Place:
    """Return where the sidecar of a file or folder lies."""
    return path / IN_FOLDER if path.is_dir() else path.with_name(path.name + BESIDE_FILE)


def dump(history: History) -> str:
    """Return the content of a sidecar."""
    content = {"format_version": FORMAT_VERSION, **asdict(history)}
    return json.dumps(sealed(content), indent=1, allow_nan=False) + "\n"


def read(path: Place) -> History | None:
    """Return what a sidecar says; None where it is missing, too large, or not what we write."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return parse(path.read_text("utf-8"), path)
    except (Glm2xError, OSError, ValueError):
        return None


def parse(text: str, path: Place) -> History | None:
    """Return what the text of a sidecar says; None where it is not what we write."""
    try:
        return _history(unsealed(json.loads(text), path))
    except (DataError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
        return None


def history_of(inputs: Iterable[Artefact]) -> History:
    """Follow sidecars from some inputs back to the first command; each command once.

    A sidecar counts where one of the outputs it names is what the next command read: what was made again
    since has another digest, and its command would be the wrong one. What sidecars name in object storage is
    looked at only in buckets that the inputs themselves are in: anybody may have written them.
    """
    inputs = list(inputs)
    buckets = {where.bucket for one in inputs if isinstance(where := _place(one), Url)}
    made: list[Made] = []
    unrecorded: dict[Artefact, None] = {}
    visited: set[Artefact] = set()

    def follow(one: Artefact) -> None:
        if one in visited or len(visited) > _MOST_ITEMS:
            return
        visited.add(one)
        found = _makers(one, buckets)
        if not found and one.role in MADE_BY_US:
            unrecorded[one] = None
        for maker in found:
            for before in maker.inputs:
                follow(before)
            if maker not in made:
                made.append(maker)

    for one in inputs:
        follow(one)
    return History(tuple(made)[:_MOST_COMMANDS], tuple(unrecorded))


def _makers(one: Artefact, buckets: set[str]) -> tuple[Made, ...]:
    """Return the commands that made something, by its own sidecar or that of a folder around it."""
    path = _place(one)
    if path is None or (isinstance(path, Url) and path.bucket not in buckets):
        return ()
    around: list[Place] = [*path.parents]
    for where in (*_sidecar_of(path), *(folder / IN_FOLDER for folder in around[:_PARENTS])):
        said = read(where)
        if said is not None and any(one.is_that(output) for maker in said.made for output in maker.outputs):
            return said.made
    return ()


def _place(one: Artefact) -> Place | None:
    try:
        return place(one.path)
    except Glm2xError:
        return None


def _sidecar_of(path: Place) -> list[Place]:
    try:
        return [sidecar_of(path)]
    except Glm2xError:
        return []


def _history(content: Any) -> History:
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError("another format version")
    made = tuple(_made(one) for one in _items(content["made"], dict)[:_MOST_COMMANDS])
    return History(made, _artefacts(content["unrecorded"]))


def _made(content: dict[str, Any]) -> Made:
    versions = {_text(key): _text(value) for key, value in dict(content["versions"]).items()}
    return Made(
        words=tuple(_text(word) for word in _items(content["words"], str)),
        inputs=_artefacts(content["inputs"]),
        outputs=_artefacts(content["outputs"]),
        versions=dict(list(versions.items())[:50]),
        machine=_text(content["machine"]),
        cores=_maybe(_count, content["cores"]),
        processes=_count(content["processes"]),
        a_node=_count(content["a_node"]),
        device=_maybe(_text, content["device"]),
        seconds=_maybe(_seconds, content["seconds"]),
        peak=_maybe(_count, content["peak"]),
        child_peak=_maybe(_count, content["child_peak"]),
        windows=_maybe(_count, content["windows"]),
        passes=_maybe(_count, content["passes"]),
    )


def _artefacts(content: Any) -> tuple[Artefact, ...]:
    return tuple(
        Artefact(
            _text(one["role"]),
            _text(one["path"]),
            _maybe(_text, one["digest"]),
            _maybe(_count, one["size"]),
        )
        for one in _items(content, dict)
    )


def _items(content: Any, kind: type) -> list[Any]:
    if not isinstance(content, list) or len(content) > _MOST_ITEMS:
        raise ValueError("no list, or too long a one")
    if not all(isinstance(one, kind) for one in content):
        raise ValueError(f"something else than {kind.__name__}")
    return content


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError("no text, or too long a one")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no count")
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError("no duration")
    return float(value)


def _maybe(parse: Callable[[Any], _T], value: Any) -> _T | None:
    return None if value is None else parse(value)
