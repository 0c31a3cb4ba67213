"""Writing aside and renaming, checksums, and JSON: nothing half-written is ever left under a final name."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import os
import platform
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

from glm2x.errors import DataError, Glm2xError, UsageError
from glm2x.place import Place, place
from glm2x.seal import sealed, unsealed
from glm2x.url import Url

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
def write_aside(target: Place | str, *, force: bool = False) -> Iterator[Path]:
    """Give a path beside `target` to write to; rename it to `target` when the block succeeds.

    In object storage, `target` becomes an object then, of a file that was written on this machine.

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
    target = place(target)
    if isinstance(target, Url):
        with _sent(target, force=force) as file:
            yield file
        return
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


def refuse_existing(target: Place | str, *, force: bool) -> None:
    """Raise `UsageError` when `target` is there and may not be replaced.

    Without `force` nothing is. With it a file is, and a folder that is empty or that one of the
    `MARKERS` shows to be ours; never a folder of somebody's own.
    """
    target = place(target)
    if isinstance(target, Url):
        if not force and target.exists():
            raise _there(target)
        return
    if not os.path.lexists(target):
        return
    if not force:
        raise _there(target)
    if target.is_dir() and any(target.iterdir()) and not any((target / m).is_file() for m in MARKERS):
        raise UsageError(
            f"{target.name or target} is a folder that glm2x did not write, and is not replaced",
            where=str(target.resolve()),
            wanted=f"a folder that holds one of {', '.join(MARKERS)}",
            do="give another --out, or remove it yourself",
        )


def _there(target: Place) -> UsageError:
    return UsageError(
        f"{target.name} is there already, and nothing is overwritten unasked",
        where=str(target),
        do="give --force to replace it, or another --out",
    )


@contextmanager
def staying(folder: Place) -> Iterator[None]:
    """Refuse to write below a folder, as long as the block lasts, when it is not there any more.

    Without that, what is written after somebody has removed or moved the folder would make it again, with the
    rest of its files missing. One that was made anew under its name is another. In object storage folders are
    no more than names.
    """
    if isinstance(folder, Url):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with _kept(folder, descriptor):
            yield
    finally:
        os.close(descriptor)


def require_staying(path: Place) -> None:
    """Raise `DataError` when a folder that `staying` keeps, and in which `path` lies, has gone."""
    inside = str(path.absolute())
    for folder, descriptor in _KEPT:
        if inside.startswith(f"{folder}{os.sep}") and not _is_there(folder, descriptor):
            raise DataError(
                f"{Path(folder).name} has gone while it was being written to",
                where=folder,
                got="another folder" if os.path.lexists(folder) else "nothing at that path",
                do="look for what removed or moved it, and give the command again",
            )


def disk_full(target: Path, do: str = "choose an --out on another disk") -> DataError:
    """Return the error that says the disk is full, with the bytes that are free."""
    free = shutil.disk_usage(target.parent).free
    return DataError(
        f"the disk is full; {target.name} was not written",
        where=str(target.parent),
        got=f"{free / 1e6:.1f} MB free",
        do=f"free some room, or {do}; what was half-written is removed",
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


def mapped(path: Path) -> mmap.mmap:
    """Map a file of ours, which is not empty, into memory for reading."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def give_back(file: mmap.mmap) -> None:
    """Give back the memory of what was read of a file that is mapped for reading alone.

    What is looked at again is read again. Where the system cannot be asked to, nothing happens.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def require_sha256(path: Path, wanted: Any) -> None:
    """Compare a file with the SHA-256 that it had; nothing is said where that is no text: it was not taken.

    Raises
    ------
    DataError
        It is missing, or is not what was written.
    """
    if not isinstance(wanted, str):
        return
    got = sha256(require_file(path))
    if got != wanted:
        raise DataError(
            f"{path.name} was changed after it was made: its SHA-256 is another",
            where=str(path),
            got=got[:12],
            wanted=wanted[:12],
            do="restore it from a copy, or make the folder again",
        )


def write_json(path: Place | str, value: Any, *, force: bool = False) -> None:
    """Write a JSON value, indented, aside and renamed; an object with its checksum. NaN is refused."""
    text = json.dumps(sealed(value), indent=2, allow_nan=False) + "\n"
    with write_aside(path, force=force) as aside:
        aside.write_text(text)


def read_text(path: Place | str, *, kind: str = "file") -> str:
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


def read_json(path: Place | str, *, verify: bool = True) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    verify
        Compare its checksum and leave it out, as `unsealed` does. Without it the caller does so, after it has
        looked for what it can say more about: another version, a key that is no longer there.

    Raises
    ------
    DataError
        The file is missing, is not JSON, or is not what was written.
    """
    path = place(path)
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not readable as JSON", where=str(path), got=str(error)) from error
    return unsealed(value, path) if verify else value


@overload
def require_file(path: Path | str, *, kind: str = "file") -> Path: ...
@overload
def require_file(path: Place, *, kind: str = "file") -> Place: ...
def require_file(path: Place | str, *, kind: str = "file") -> Place:
    """Return `path`, a text as the place that it names, when it is a file that exists.

    Raises
    ------
    DataError
        There is no such file.
    """
    path = place(path)
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


@contextmanager
def _sent(target: Url, *, force: bool) -> Iterator[Path]:
    """Give a path of this machine to write to; send what is there when the block succeeds."""
    refuse_existing(target, force=force)
    with tempfile.TemporaryDirectory(prefix="glm2x-") as folder:
        file = Path(folder) / target.name
        try:
            yield file
        except Exception as error:
            if _is_full(error, file.parent):
                raise disk_full(file, "set TMPDIR to a folder on another disk") from error
            raise
        try:
            target.upload(file, force=force)
        except FileExistsError as error:
            raise _there(target) from error


def _make_parents(target: Path) -> None:
    """Make the folders that a target lies in; not those that must stay (`staying`)."""
    inside = target.absolute()
    keeping = [folder for folder, _ in _KEPT if str(inside).startswith(f"{folder}{os.sep}")]
    if not keeping:
        target.parent.mkdir(parents=True, exist_ok=True)
        return
    require_staying(target)
    folder = Path(max(keeping, key=len))
    try:
        for part in inside.parent.relative_to(folder).parts:
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
