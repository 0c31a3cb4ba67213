"""Who is making what: the command that runs, and its record beside what it has written.

The command line opens a `command`; whatever writes an artefact calls `record` when it is there. Outside a
command, where a program uses the package, nothing is recorded. Artefacts themselves hold no times, so that
the same command writes the same bytes; sidecars do.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path

from glm2x import __version__
from glm2x.console import say
from glm2x.errors import Glm2xError
from glm2x.files import sha256, staying, write_aside
from glm2x.place import Place, place
from glm2x.sidecar import Artefact, History, Made, dump, history_of, parse, read, sidecar_of
from glm2x.url import Url

_HASHED = 64_000_000  # bytes; larger files are known by their size
_TRIES = 20  # at adding to a sidecar to which other processes add
_KEPT = 50  # commands of one artefact: the first, and the last ones
_LIBRARIES = ("numpy", "polars", "sklearn", "torch", "transformers")


@dataclass
class _Command:
    """A command that runs: its words, when it began, and what it was counted to have done."""

    words: tuple[str, ...]
    started: float = field(default_factory=time.monotonic)
    children: frozenset[int] = frozenset()
    reaped: int = 0
    peak: int = 0
    windows: int | None = None
    passes: int | None = None


_running: ContextVar[_Command | None] = ContextVar("command", default=None)


@contextmanager
def command(words: Sequence[str]) -> Iterator[None]:
    """Be the command of these words (after ``glm2x``), from now on until the block ends.

    A command may run another (`glm2x demo` does): each has its own time and its own peak of memory, where
    the system lets the peak be reset (Linux); elsewhere the inner one has that of the process so far.
    """
    outer = _running.get()
    if outer is not None:
        outer.peak = max(outer.peak, _peak())
    with suppress(OSError):  # not on this system: the peak stays that of the process
        Path("/proc/self/clear_refs").write_text("5")
    mine = _Command(tuple(words), children=frozenset(_children()), reaped=_reaped_peak())
    token = _running.set(mine)
    try:
        yield
    finally:
        _running.reset(token)
        if outer is not None:
            outer.peak = max(outer.peak, mine.peak, _peak())


def words() -> tuple[str, ...] | None:
    """Return the words of the command that runs; None outside one."""
    running = _running.get()
    return None if running is None else running.words


def count_passes(windows: int, passes: int) -> None:
    """Count windows that were asked for, and the passes through a model that they took."""
    running = _running.get()
    if running is not None:
        running.windows = (running.windows or 0) + windows
        running.passes = (running.passes or 0) + passes


def peak_memory() -> tuple[int, int | None]:
    """Return the bytes that the running command's process had at most, and its largest child (None: none)."""
    running = _running.get()
    known = running.children if running is not None else frozenset()
    reaped = _reaped_peak()
    child = max((_peak(pid) for pid in _children() if pid not in known), default=0)
    if running is None or reaped > running.reaped:
        child = max(child, reaped)
    return max(_peak(), running.peak if running is not None else 0), child or None


def artefact(role: str, path: Place | str, digest: str | None = None, size: int | None = None) -> Artefact:
    """Return a mention of something, with the SHA-256 of a file of this machine that is not large.

    Parameters
    ----------
    role
        What it is to the command; see `glm2x.sidecar.MADE_BY_US`.
    digest, size
        Those that are known already.
    """
    where = place(path)
    if digest is None and size is None and where.is_file():
        size = where.stat().st_size
        digest = sha256(where) if isinstance(where, Path) and size <= _HASHED else None
    return Artefact(role, str(path), digest, size)


def artefacts(**paths: Place | str | None) -> tuple[Artefact, ...]:
    """Return mentions of the files that were given, by role."""
    return tuple(artefact(role, path) for role, path in paths.items() if path is not None)


def record(
    out: Place | str,
    *,
    outputs: Iterable[Artefact],
    inputs: Iterable[Artefact] = (),
    device: str | None = None,
    earlier: float = 0.0,
    add: bool = False,
) -> None:
    """Write beside `out`, which is there, how the running command made it.

    What cannot be written is told and nothing else: the artefact is whole without it.

    Parameters
    ----------
    out
        The file or folder.
    outputs
        The things by which a later command may know it: itself, or what lies in it.
    inputs
        What the command read.
    device
        Where models were computed.
    earlier
        Seconds of work that this command went on with.
    add
        Several commands make it: add this one to those that are on record.
    """
    made = _of_running(inputs, outputs, device, earlier)
    if made is None:
        return
    with _telling(out):
        where = place(out)
        if not add:
            _write(where, History((made,)))
        elif isinstance(where, Url):
            _add_remotely(sidecar_of(where), made)
        else:
            with _alone(where):
                _write(where, _with(read(sidecar_of(where)), made))


def record_with_history(out: Place | str, *, outputs: Iterable[Artefact], inputs: Sequence[Artefact]) -> None:
    """Write beside `out` all commands that led to it, gathered from its inputs, the running one last."""
    made = _of_running(inputs, outputs)
    if made is not None:
        before = history_of(inputs)
        with _telling(out):
            _write(place(out), replace(before, made=(*before.made, made)))


def _of_running(
    inputs: Iterable[Artefact],
    outputs: Iterable[Artefact],
    device: str | None = None,
    earlier: float = 0.0,
) -> Made | None:
    """Return the record of the running command; None outside one."""
    running = _running.get()
    if running is None:
        return None
    peak, child = peak_memory()
    return Made(
        words=running.words,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        versions={
            "glm2x": __version__,
            "python": platform.python_version(),
            **{
                name: str(getattr(sys.modules[name], "__version__", ""))
                for name in _LIBRARIES
                if name in sys.modules
            },
        },
        machine=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        processes=_started_by_torchrun("WORLD_SIZE"),
        a_node=_started_by_torchrun("LOCAL_WORLD_SIZE"),
        device=device,
        seconds=round(time.monotonic() - running.started + earlier, 3),
        peak=peak,
        child_peak=child,
        windows=running.windows,
        passes=running.passes,
    )


def _with(before: History | None, made: Made) -> History:
    before = before or History()
    there = before.made[:1] + before.made[1:][-(_KEPT - 2) :]
    return replace(before, made=(*there, made))


def _add_remotely(sidecar: Url, made: Made) -> None:
    """Add a command to a sidecar; where another process has added its own meanwhile, to that."""
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            try:
                content, status = sidecar.read()
            except FileNotFoundError:
                sidecar.create(dump(_with(None, made)).encode())
            else:
                before = parse(bytes(content).decode(errors="replace"), sidecar)
                sidecar.replace(dump(_with(before, made)).encode(), status.mark)
            return
    raise OSError("other processes add to it all the time")


def _write(out: Place, history: History) -> None:
    sidecar = sidecar_of(out)
    # what has gone is not made again for its record alone
    with staying(sidecar.parent), write_aside(sidecar, force=True) as aside:
        aside.write_text(dump(history), encoding="utf-8")


@contextmanager
def _telling(out: Place | str) -> Iterator[None]:
    """Tell that a record could not be written, and go on."""
    try:
        yield
    except (OSError, Glm2xError) as error:
        say(f"  note: how {out} was made could not be recorded: {error}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from adding to a folder's sidecar meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _started_by_torchrun(variable: str) -> int:
    """Return how many processes torchrun has started, by the variable that says so; 1 without it."""
    said = os.environ.get(variable, "") if "TORCHELASTIC_RUN_ID" in os.environ else ""
    return int(said) if said.isascii() and said.isdigit() else 1


def _peak(pid: int | None = None) -> int:
    """Return the largest resident memory of a process, bytes; 0 where the system does not tell of another."""
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid or 'self'}/status").read_text("utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0 if pid is not None else _largest(resource.RUSAGE_SELF)


def _reaped_peak() -> int:
    """Return the largest resident memory of the children that have ended, bytes."""
    return _largest(resource.RUSAGE_CHILDREN)


def _largest(who: int) -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kB elsewhere
    return resource.getrusage(who).ru_maxrss * unit


def _children() -> set[int]:
    """Return the processes that this one has started and that run; none where the system does not tell."""
    found: set[int] = set()
    with suppress(OSError, ValueError):
        for listed in Path("/proc/self/task").glob("*/children"):
            found |= {int(pid) for pid in listed.read_text("utf-8").split()}
    return found
