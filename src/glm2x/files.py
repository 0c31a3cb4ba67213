"""Writing aside and renaming, checksums, and JSON: nothing half-written is ever left under a final name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
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

_NO_ROOM = 1_000_000  # bytes that are as good as none
CHECKSUM = "checksum"  # the last key of the JSON objects that we write
_KIND = "sha256:"  # what its value begins with: another program's file may have such a key, too


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
        The disk is full.
    """
    target = Path(target)
    if target.is_symlink():
        target = target.resolve()
    refuse_existing(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(target)
    aside = target.parent / f".{target.name}.partial-{platform.node()}-{os.getpid()}"
    _remove(aside)
    try:
        yield aside
        _sync(aside)
        refuse_existing(target, force=force)  # somebody else may have been quicker
        _replace(aside, target)
    except BaseException as error:
        full = _is_full(error, target.parent)
        _remove(aside)
        if full:
            raise disk_full(target) from error
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


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def sealed(value: Any) -> Any:
    """Return a JSON object with the checksum of all else that it holds; other values as they are."""
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key != CHECKSUM}
    return {**kept, CHECKSUM: _checksum(json.loads(json.dumps(kept, allow_nan=False)))}


def unsealed(value: Any, path: Path | str) -> Any:
    """Return what `sealed` was given, after its checksum was compared.

    What has none is returned as it is: it was written by hand, by another program or by an earlier version.

    Raises
    ------
    DataError
        The checksum is of something else.
    """
    seals = (key for key in reversed(value) if _is_seal(key, value[key])) if isinstance(value, dict) else ()
    key = next(iter(seals), None)
    if key is None:
        return value
    said, kept = value[key], {name: item for name, item in value.items() if name != key}
    try:
        got = _checksum(kept)
    except (ValueError, RecursionError) as error:  # a number that is not finite
        got = str(error)
    if key != CHECKSUM or got != said:
        name = Path(path).name
        raise DataError(
            f"{name} was changed after it was made: its digest is another",
            where=str(path),
            got=got.removeprefix(_KIND)[:12],
            wanted=said.removeprefix(_KIND)[:12],
            do=f"make it again, or restore it from a copy; where {name} was changed on purpose, take its key "
            f"{CHECKSUM} out",
        )
    return kept


def _is_seal(key: str, value: Any) -> bool:
    """Whether a key and its value are a checksum of ours, or were one before a letter of either was lost."""
    if not isinstance(value, str) or len(value) != len(_KIND) + 64:
        return False
    return key == CHECKSUM or value.startswith(_KIND)


def _checksum(value: dict[str, Any]) -> str:
    return _KIND + digest(value)


def write_json(path: Path | str, value: Any, *, force: bool = False) -> None:
    """Write a JSON value, indented, aside and renamed; an object with its checksum. NaN is refused."""
    text = json.dumps(sealed(value), indent=2, allow_nan=False) + "\n"
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


def read_json(path: Path | str, *, verify: bool = True) -> Any:
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
    path = Path(path)
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is not readable as JSON", where=str(path), got=str(error)) from error
    return unsealed(value, path) if verify else value


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


def _is_full(error: BaseException, folder: Path) -> bool:
    """Whether an error came of a full disk; numpy, polars and safetensors hide the system's own code."""
    if isinstance(error, Glm2xError) or not isinstance(error, Exception):
        return False
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return shutil.disk_usage(folder).free < _NO_ROOM


def _sync(path: Path) -> None:
    """Flush a file, or every file of a folder, to the disk, so that a rename never names torn data."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
    old = target.parent / f".{target.name}.replaced-{os.getpid()}"
    target.rename(old)
    aside.rename(target)
    shutil.rmtree(old)


def _remove_orphans(target: Path) -> None:
    """Remove what killed processes of this machine left half-written for the same target."""
    if not Path("/proc/self").exists():
        return  # it cannot be told who is alive
    start = f".{target.name}.partial-{platform.node()}-"
    for name in os.listdir(target.parent):  # noqa: PTH208 (a Path for each of many thousands takes long)
        pid = name.removeprefix(start)
        if name.startswith(start) and pid.isdigit() and not Path("/proc", pid).exists():
            _remove(target.parent / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
