"""Writing aside and renaming, checksums, and JSON: nothing half-written is ever left under a final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from glm2x.errors import DataError, Glm2xError, UsageError

# one lies in each folder of ours
MARKERS = (
    "cohort.json",
    "metrics.json",
    "report-data.json",
    "run.json",
    "state.json",
    "store.json",
    "truth.json",
)

FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM = 1_000_000  # bytes that are as good as none
_KEPT: list[tuple[str, int | None]] = []  # folders that must stay, each with a descriptor of it, if any
_NUMPY_FULL = "Not enough free space"
_IN_TEXT = re.compile(r"\(os error (\d+)\)")


@contextmanager
def write_aside(target: Path | str, *, force: bool = False) -> Iterator[Path]:
    """Give a path beside `target` to write to; rename it to `target` when the block succeeds.

    The block creates a file or a folder at the path it is given. When it raises, what it wrote is
    removed. A process that is killed leaves only a hidden `.{name}.partial-{host}-{pid}`, which the
    next one on the same machine removes.

    Parameters
    ----------
    target
        The final path, a file or a folder.
    force
        Replace what is there: a file by a file, a folder of ours by a folder. The old folder is
        first moved out of the way, then removed.

    Raises
    ------
    UsageError
        `target` may not be replaced, see `refuse_existing`.
    DataError
        The disk is full; or a folder that this one lies in has gone, see `staying`.
    OSError
        The system refuses to write for another reason, also where a library has hidden that.
    """
    target = Path(target)
    if target.is_symlink():
        target = target.resolve()
    refuse_existing(target, force=force)
    _make_parents(target)
    _remove_orphans(target, "partial")
    aside = target.parent / _hidden(target, "partial")
    _remove(aside)
    try:
        with _kept(aside, None):
            yield aside
        _sync(aside)
        require_staying(target)
        refuse_existing(target, force=force)  # somebody else may have been quicker
        _put(aside, target, force=force)
        if target.is_dir():
            _remove_orphans(target, "replaced")
    except BaseException as error:
        full, code = _is_full(error, target.parent), _code(error)
        _remove(aside)
        _settle(target)
        if full:
            raise disk_full(target) from error
        if code is not None and not isinstance(error, OSError):
            raise OSError(code, os.strerror(code), str(target)) from error
        raise


def refuse_existing(target: Path | str, *, force: bool) -> None:
    """Raise `UsageError` when `target` is there and may not be replaced.

    Without `force` nothing is. With it a file is, and a folder that is empty or that one of the
    `MARKERS` shows to be ours; never a folder of somebody's own.
    """
    target = Path(target)
    if not os.path.lexists(target):
        return
    if not force:
        raise UsageError(
            f"{target.name} is there already, and nothing is overwritten unasked",
            where=str(target),
            do="give --force to replace it, or another --out",
        )
    if target.is_dir() and any(target.iterdir()) and not any((target / m).is_file() for m in MARKERS):
        raise UsageError(
            f"{target.name or target} is a folder that glm2x did not write, and is not replaced",
            where=str(target.resolve()),
            wanted=f"a folder that holds one of {', '.join(MARKERS)}",
            do="give another --out, or remove it yourself",
        )


@contextmanager
def staying(folder: Path) -> Iterator[None]:
    """Refuse to write below a folder, as long as the block lasts, when it is not there any more.

    Without that, what is written after somebody has removed or moved the folder would make it again, with the
    rest of its files missing. One that was made anew under its name is another.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _kept(folder, descriptor):
            yield
    finally:
        os.close(descriptor)


def require_staying(path: Path) -> None:
    """Raise `DataError` when a folder that `staying` keeps, and in which `path` lies, has gone."""
    place = str(path.absolute())
    for folder, descriptor in _KEPT:
        if place.startswith(f"{folder}{os.sep}") and not _is_there(folder, descriptor):
            raise DataError(
                f"{Path(folder).name} has gone while it was being written to",
                where=folder,
                got="another folder" if os.path.lexists(folder) else "nothing at that path",
                do="look for what removed or moved it, and give the command again",
            )


def disk_full(target: Path) -> DataError:
    """Return the error that says the disk is full, with the bytes that are free."""
    free = shutil.disk_usage(target.parent).free
    return DataError(
        f"the disk is full; {target.name} was not written",
        where=str(target.parent),
        got=f"{free / 1e6:.1f} MB free",
        do="free some room, or choose an --out on another disk; what was half-written is removed",
    )


def distinct_names(paths: Sequence[Path | str]) -> list[str]:
    """Return the last part of each path, with as many folders before it as tell it from the others."""
    parts = [Path(path).absolute().parts for path in paths]
    names = []
    for these in parts:
        length = 1
        while length < len(these) and sum(other[-length:] == these[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(these[-length:]))
    return names


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_json(path: Path | str, value: Any, *, force: bool = False) -> None:
    """Write a JSON value, indented, aside and renamed. NaN is refused: JSON has none."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    with write_aside(path, force=force) as aside:
        aside.write_text(text)


def read_text(path: Path | str, *, kind: str = "file") -> str:
    """Return the text of a UTF-8 file, with or without a byte-order mark.

    Raises
    ------
    DataError
        The file is missing or is not UTF-8.
    """
    path = require_file(path, kind=kind)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the {kind} {path.name} is not text", where=str(path), got=str(error), wanted="UTF-8"
        ) from error


def read_list(path: Path | str) -> tuple[str, ...]:
    """Read names, one a line; blank lines and lines that start with ``#`` are passed over.

    Raises
    ------
    DataError
        The file is missing, is not text, holds no name, or one twice.
    """
    lines = (line.strip() for line in read_text(path, kind="list").splitlines())
    names = tuple(line for line in lines if line and not line.startswith("#"))
    if not names:
        raise DataError("a list holds no name", where=str(path), wanted="one name a line")
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise DataError(f"{repeated} stands twice in a list", where=str(path), wanted="each name once")
    return names


def read_json(path: Path | str) -> Any:
    """Read a JSON file.

    Raises
    ------
    DataError
        The file is missing or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path.name} is not readable as JSON", where=str(path), got=str(error)) from error


def require_file(path: Path | str, *, kind: str = "file") -> Path:
    """Return `path` as a Path when it is a file that exists.

    Raises
    ------
    DataError
        There is no such file.
    """
    path = Path(path)
    if not path.is_file():
        got = "a folder" if path.is_dir() else "nothing at that path"
        raise DataError(
            f"the {kind} {path.name or path} does not exist",
            where=str(path),
            got=got,
            wanted=f"a {kind}",
            do="check the path",
        )
    return path


def _make_parents(target: Path) -> None:
    """Make the folders that a target lies in; not those that must stay (`staying`)."""
    place = target.absolute()
    keeping = [folder for folder, _ in _KEPT if str(place).startswith(f"{folder}{os.sep}")]
    if not keeping:
        target.parent.mkdir(parents=True, exist_ok=True)
        return
    require_staying(target)
    folder = Path(max(keeping, key=len))
    try:
        for part in place.parent.relative_to(folder).parts:
            folder /= part
            folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        require_staying(target)
        raise


@contextmanager
def _kept(folder: Path, descriptor: int | None) -> Iterator[None]:
    entry = (str(folder.absolute()), descriptor)
    _KEPT.append(entry)
    try:
        yield
    finally:
        _KEPT.remove(entry)


def _is_there(folder: str, descriptor: int | None) -> bool:
    """Whether a folder is there and, where a descriptor of it is given, is that one."""
    try:
        found = os.stat(folder)  # noqa: PTH116 (paths are text here: they are many)
        return descriptor is None or os.path.samestat(found, os.fstat(descriptor))
    except OSError:
        return False


def _is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error came of a full disk; numpy, polars and safetensors hide the system's own code."""
    if isinstance(error, Glm2xError) or not isinstance(error, Exception):
        return False
    if _code(error) in FULL or _NUMPY_FULL in str(error):
        return True
    return folder.is_dir() and shutil.disk_usage(folder).free < _NO_ROOM


def _code(error: BaseException) -> int | None:
    """Return the system's code for what went wrong; polars and safetensors write it into their text."""
    if isinstance(error, OSError):
        return error.errno
    found = _IN_TEXT.search(str(error)) if isinstance(error, Exception) else None
    return None if found is None or isinstance(error, Glm2xError) else int(found[1])


def _sync(path: Path) -> None:
    """Flush a file, or every file of a folder, to the disk, so that a rename never names torn data."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put(aside: Path, target: Path, *, force: bool) -> None:
    """Rename `aside` to `target`; without `force`, a folder that has come there at this moment is kept."""
    if force or not aside.is_dir():
        _replace(aside, target)
        return
    try:
        aside.rename(target)
    except OSError:
        refuse_existing(target, force=False)
        raise


def _replace(aside: Path, target: Path) -> None:
    """Rename `aside` to `target`; a folder that is there already is moved away first."""
    if not target.exists():
        aside.rename(target)
        return
    if target.is_dir() != aside.is_dir():
        kinds = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise UsageError(
            f"{target.name} is {kinds[0]}, and {kinds[1]} would be written in its place",
            where=str(target),
            do="give another --out",
        )
    if target.is_file():
        aside.replace(target)
        return
    target.rename(target.parent / _hidden(target, "replaced"))
    aside.rename(target)
    _settle(target)


def _settle(target: Path) -> None:
    """End the replacement of a folder, wherever it was broken off: the old one goes, or comes back."""
    old = target.parent / _hidden(target, "replaced")
    if not old.exists():
        return
    if target.exists():
        shutil.rmtree(old)
    else:
        old.rename(target)


def _hidden(target: Path, kind: str) -> str:
    """Return the name of something of this process beside a target; it ends with the process's number."""
    return f".{target.name}.{kind}-{platform.node()}-{os.getpid()}"


def _remove_orphans(target: Path, kind: str) -> None:
    """Remove what killed processes of this machine left beside a target: ``partial``, or ``replaced`` by it.

    Where one was killed between moving an old folder away and the new one in, ``replaced`` is all there is:
    it goes when the target is there again.
    """
    if not Path("/proc/self").exists():
        return  # it cannot be told who is alive
    start = _hidden(target, kind).removesuffix(str(os.getpid()))
    for name in os.listdir(target.parent):  # noqa: PTH208 (a Path for each of many thousands takes long)
        pid = name.removeprefix(start)
        if name.startswith(start) and pid.isdigit() and not Path("/proc", pid).exists():
            _remove(target.parent / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
