"""What is made of a file that came: a reference that has random access, an indexed VCF, a whole table."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pysam

from glm2x.bgzf import ends_as_bgzip as ends_as_bgzip  # also for `fetch`
from glm2x.download.problems import UselessError, damaged, no_room
from glm2x.download.transfer import Progress
from glm2x.errors import DataError
from glm2x.files import write_aside

Say = Callable[[str], None]

_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20  # compressed bytes read at once
_INDEXES = (".fai", ".gzi")
_NO_ROOM = 1_000_000  # bytes that are as good as none; pysam hides the system's own code
_MOST = 1 << 23  # inflated bytes held at once: runs of N inflate a thousandfold


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip does."""
    with path.open("rb") as handle:
        return handle.read(2) == _GZIP


def is_bgzip(path: Path) -> bool:
    """Whether a file is gzip in blocks, which has random access."""
    with path.open("rb") as handle:
        head = handle.read(18)
    return head[:2] == _GZIP and head[12:14] == b"BC"


def inflate(
    path: Path, *, members: int | None = None, name: str | None = None
) -> Iterator[tuple[bytes, int]]:
    """Inflate a gzip file a few megabytes at a time.

    Parameters
    ----------
    path
        The file. Bytes after its gzip streams that are none themselves are left out, as gunzip does.
    members
        How many of the streams that follow one another to inflate (default: all).
    name
        The file's name, for messages (default: the path's).

    Yields
    ------
    A piece of the text, and how many compressed bytes have gone into what was yielded so far.

    Raises
    ------
    DataError
        The file ends within a stream, or a stream is damaged.
    """
    used = done = 0
    name = name or path.name
    with path.open("rb") as handle:
        stream, pending = zlib.decompressobj(31), b""
        while True:
            pending = pending or handle.read(_CHUNK)
            try:
                piece = stream.decompress(pending, _MOST)
            except zlib.error as error:
                raise damaged(name, path.parent, f"{error}, near byte {used:,}") from error
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
            if not (piece or pending or stream.eof):
                raise damaged(name, path.parent, f"it ends within a stream, after {used:,} bytes")
            used += len(pending) - len(rest)
            pending = rest
            if piece:
                yield piece, used
            if stream.eof:
                done += 1
                if len(pending) < len(_GZIP):
                    pending += handle.read(max(_CHUNK, len(_GZIP)))
                if done == members or not pending.startswith(_GZIP):
                    return
                stream = zlib.decompressobj(31)


def rewrite_as_bgzip(
    source: Path, target: Path, *, name: str, members: int | None, progress: Progress, say: Say
) -> None:
    """Write the text of a gzip file bgzipped; memory is bounded whatever the file's size.

    Parameters
    ----------
    source, target
        The gzip file, and the file to write (not aside: the caller does that).
    name
        The file's name, for messages.
    members
        As of `inflate`.
    progress, say
        Told the compressed bytes gone through; told of bytes after the streams.
    """
    total = source.stat().st_size
    used = 0
    with pysam.BGZFile(str(target), "wb", index=None) as out:
        for piece, used in inflate(source, members=members, name=name):
            out.write(piece)
            progress(f"{name} to bgzip", used, total)
    if not ends_as_bgzip(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))  # closing it failed silently
    if used < total:
        progress(f"{name} to bgzip", total, total)
        say(f"{name}: {total - used:,} bytes after its gzip stream are no part of it and were left out")


def make_reference(
    fetched: Path, target: Path, lengths: dict[str, int], *, progress: Progress, say: Say
) -> None:
    """Turn the FASTA that came into a bgzipped one with `.fai` and `.gzi`; the FASTA appears last.

    hs37d5.fa.gz is plain gzip with bytes of an old random-access format after its one stream, on which
    gunzip warns and Python raises; the first stream is the FASTA.

    Raises
    ------
    DataError
        It is damaged, is no FASTA, or its contigs have not the lengths of the build.
    """
    with _room(target) as room:
        made = room / target.name
        if is_bgzip(fetched):
            shutil.copyfile(fetched, made)
        else:
            rewrite_as_bgzip(fetched, made, name=target.name, members=1, progress=progress, say=say)
        say(f"{target.name}: indexing")
        _require_lengths(made, lengths, where=target)
        target.unlink(missing_ok=True)
        for suffix in (*_INDEXES, ""):
            made.with_name(made.name + suffix).replace(target.with_name(target.name + suffix))


def check_reference(target: Path, lengths: dict[str, int]) -> None:
    """Check a bgzipped FASTA's contig lengths (bp), and make the indexes that it lacks, aside and renamed.

    Raises
    ------
    DataError
        As of `make_reference`.
    """
    missing = [suffix for suffix in _INDEXES if not Path(f"{target}{suffix}").exists()]
    if not missing:
        _require_lengths(target, lengths, where=target)
        return
    with _room(target) as room:
        linked = room / target.name
        linked.symlink_to(target.resolve())
        _require_lengths(linked, lengths, where=target)
        for suffix in _INDEXES:
            linked.with_name(linked.name + suffix).replace(target.with_name(target.name + suffix))


@contextmanager
def _room(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside `target` to make things in; a killed process's is emptied first."""
    room = target.with_name(f".{target.name}.making")
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    try:
        yield room
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or shutil.disk_usage(room).free < _NO_ROOM:
            raise no_room(target.name, target.parent, None) from error
        raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _require_lengths(path: Path, lengths: dict[str, int], *, where: Path) -> None:
    """Index the FASTA at `path` where it is not, and compare its contigs with the known lengths (bp)."""
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.FastaFile(str(path)) as fasta:
            found = dict(zip(fasta.references, fasta.lengths, strict=True))
    except (OSError, ValueError) as error:
        raise UselessError(
            f"{where.name} is not a FASTA that can be indexed",
            where=str(where),
            got=str(error),
            wanted="a FASTA",
            do="see what the address serves, or name a mirror with --base-url",
        ) from error
    finally:
        pysam.set_verbosity(verbosity)
    wrong = [name for name, length in lengths.items() if found.get(name) != length]
    if wrong:
        shown = wrong[:3]
        more = f", and {len(wrong) - 3} contigs more" if len(wrong) > 3 else ""
        raise UselessError(
            f"{where.name} is not the build that it should be: contig lengths differ",
            where=str(where),
            got=", ".join(f"{name}: {_length(found.get(name))}" for name in shown) + more,
            wanted=", ".join(f"{name}: {_length(lengths[name])}" for name in shown),
            do="the genotypes were called against build b37: fetch hs37d5 from another mirror (--base-url)",
        )


def make_vcf(fetched: Path, target: Path, *, progress: Progress, say: Say) -> None:
    """Put a VCF in its place, bgzipped if it came as plain gzip; an index of an earlier one goes first."""
    Path(f"{target}.tbi").unlink(missing_ok=True)
    if is_bgzip(fetched):
        fetched.replace(target)
        return
    say(f"{target.name}: came as plain gzip; writing it bgzipped, so that it can be indexed")
    with write_aside(target, force=True) as aside:
        rewrite_as_bgzip(fetched, aside, name=target.name, members=None, progress=progress, say=say)


def index_vcf(path: Path) -> bool:
    """Make the `.tbi` of a VCF where it has none, aside and renamed; return whether it was made.

    Raises
    ------
    DataError
        The VCF cannot be indexed: it is not sorted, or it is damaged.
    """
    index = Path(f"{path}.tbi")
    if index.exists():
        return False
    verbosity = pysam.set_verbosity(0)
    try:
        with write_aside(index) as aside:
            pysam.tabix_index(str(path), preset="vcf", index=str(aside), keep_original=True)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path.name} cannot be indexed",
            where=str(path),
            got=str(error),
            wanted="a bgzipped VCF, sorted by position",
            do="give --force to fetch it again; if that does not help, bcftools sort it",
        ) from error
    finally:
        pysam.set_verbosity(verbosity)
    return True


def check_table(path: Path, *, name: str, progress: Progress) -> None:
    """Inflate a gzip file to its end, which checks every byte of it.

    Raises
    ------
    DataError
        It is damaged or cut.
    """
    total = path.stat().st_size
    for _, used in inflate(path, name=name):
        progress(f"{name}: checking", used, total)


def _length(length: int | None) -> str:
    return "absent" if length is None else f"{length:,} bp"
