"""`download`: each file of a thing is fetched, checked, recorded and put in its place, or left alone.

Beside `NAME` lies `NAME.download.json`: where it came from, and the length and SHA-256 of what came
and of what was made of it. It is the checksum that holds from then on where none is public.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from glm2x.download import content, problems
from glm2x.download.content import Say
from glm2x.download.registry import Collection, Source, Thing, choose, load_collection
from glm2x.download.transfer import Progress, ResumingDownload
from glm2x.errors import DataError
from glm2x.files import read_json, sha256, write_json

_FORMAT_VERSION = 1


def download(
    thing: Thing,
    folder: Path,
    *,
    contigs: str | None = None,
    base_url: str | None = None,
    force: bool = False,
    registry: Path | None = None,
    progress: Progress = lambda name, done, total: None,
    say: Say = lambda sentence: None,
) -> list[Path]:
    """Fetch the public files of one thing into a folder.

    A file that is complete is checked and left alone; one that was interrupted goes on.

    Parameters
    ----------
    thing
        reference, genotypes or expression.
    folder
        Where the files go; made if it is not there.
    contigs
        Of the genotypes, those of these contigs, by commas (default: all).
    base_url
        The folder of a mirror.
    force
        Fetch again what is there already, and replace it once what came is whole and checked.
    registry
        Another registry than the package's.
    progress, say
        Told how far a file is (bytes); told in sentences what happens.

    Returns
    -------
    The files, in the registry's order.

    Raises
    ------
    UsageError
        A contig or the mirror's address makes no sense.
    DataError
        Anything that is wrong with the network, the server, the files or the disk.
    """
    collection = load_collection(thing, registry)
    sources = choose(collection, contigs=contigs, base_url=base_url)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for source in sources:
        target = folder / source.name
        if target.exists() and not force:
            _check_present(target, collection, progress=progress)
            _hidden(target, "fetched").unlink(missing_ok=True)  # of a process killed at its very end
            say(f"{source.name}: complete; left alone")
        else:
            _fetch(source, target, collection, force=force, progress=progress, say=say)
        if collection.form == "vcf" and not Path(f"{target}.tbi").exists():
            say(f"{source.name}: indexing")
            content.index_vcf(target)
        paths.append(target)
    return paths


def _fetch(
    source: Source, target: Path, collection: Collection, *, force: bool, progress: Progress, say: Say
) -> None:
    """Fetch one file, record it, and make of it what stands under the final name."""
    record = _read_record(target)
    before = record["source_sha256"] if record else None
    recorded = f"sha256:{before}" if before and not force else None
    fetched = _retrieve(source, target, collection, recorded, progress=progress, say=say)
    try:
        if not content.is_gzip(fetched):
            raise _not_gzip(source, fetched)
        came = {"source_bytes": fetched.stat().st_size, "source_sha256": sha256(fetched)}
        if target.exists():
            _record_of(target).unlink(missing_ok=True)  # it is of the file that is now replaced
        if collection.form == "fasta":
            content.make_reference(fetched, target, collection.lengths, progress=progress, say=say)
        elif collection.form == "vcf":
            content.make_vcf(fetched, target, progress=progress, say=say)
        else:
            content.check_table(fetched, name=source.name, progress=progress)
            fetched.replace(target)
    except problems.UselessError:
        fetched.unlink(missing_ok=True)  # or it would be taken for good next time
        raise
    _write_record(target, source.url, came)
    fetched.unlink(missing_ok=True)
    if source.checksum is None and before is None:
        say(f"{source.name}: no public checksum is known; its SHA-256 is recorded and holds from now on")
    elif before is not None and before != came["source_sha256"]:
        say(f"{source.name}: is another file than before: SHA-256 {came['source_sha256']}")


def _retrieve(
    source: Source,
    target: Path,
    collection: Collection,
    recorded: str | None,
    *,
    progress: Progress,
    say: Say,
) -> Path:
    """Let pooch fetch and check a file under a hidden name, and return that."""
    import pooch  # type: ignore[import-untyped]

    pooch.get_logger().setLevel("WARNING")  # it announces each file; so do we
    known = source.checksum or recorded
    say(f"{source.name}: from {source.url}")
    downloader = ResumingDownload(
        source.name,
        _hidden(target, "partial"),
        progress=progress,
        say=say,
        copies=collection.copies,
    )
    try:
        fetched = pooch.retrieve(
            source.url,
            known_hash=known,
            fname=_hidden(target, "fetched").name,
            path=target.parent,
            downloader=downloader,
        )
    except ValueError as error:
        found = re.search(r"but got (\w+)", str(error))
        if known is None or found is None:
            raise
        raise problems.checksum_differs(
            source.name,
            source.url,
            got=found[1],
            wanted=known,
            published=source.checksum is not None,
        ) from error
    path = Path(fetched)
    if downloader.blind and content.is_bgzip(path) and not content.ends_as_bgzip(path):
        path.unlink()
        raise problems.damaged(source.name, target.parent, "a bgzip file without its last block")
    return path


def _check_present(target: Path, collection: Collection, *, progress: Progress) -> None:
    """Compare a file that is there with its record; one that has none is checked by itself and recorded.

    Raises
    ------
    DataError
        It has changed, or is not what it should be.
    """
    record = _read_record(target)
    if record is not None:
        length = target.stat().st_size
        if length != record["bytes"]:
            raise problems.changed(target, got=f"{length:,} bytes", wanted=f"{record['bytes']:,} bytes")
        found = sha256(target)
        if found != record["sha256"]:
            raise problems.changed(target, got=f"SHA-256 {found}", wanted=f"SHA-256 {record['sha256']}")
        if collection.form == "fasta":
            content.check_reference(target, collection.lengths)
        return
    if not content.is_gzip(target):
        raise problems.not_usable(target, got="not gzip", wanted="a .gz file")
    if collection.form == "table":
        content.check_table(target, name=target.name, progress=progress)
    elif not content.is_bgzip(target):
        raise problems.not_usable(target, got="plain gzip", wanted="bgzip, which can be indexed")
    elif not content.ends_as_bgzip(target):
        raise problems.not_usable(target, got="a bgzip file without its last block", wanted="a whole one")
    if collection.form == "fasta":
        content.check_reference(target, collection.lengths)
    _write_record(target, None, {})


def _hidden(target: Path, stage: str) -> Path:
    return target.with_name(f".{target.name}.{stage}")


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.download.json")


def _read_record(target: Path) -> dict[str, Any] | None:
    path = _record_of(target)
    if not path.exists():
        return None
    record: dict[str, Any] = read_json(path)
    if record.get("format_version") != _FORMAT_VERSION:
        raise DataError(
            f"{path.name} is of another version of glm2x",
            where=str(path),
            got=f"format version {record.get('format_version')}",
            wanted=f"format version {_FORMAT_VERSION}",
            do="remove it; the next download writes a new one",
        )
    return record


def _write_record(target: Path, url: str | None, came: dict[str, Any]) -> None:
    """Record a file; `came` describes what was fetched, and is empty for a file found in its place."""
    made = {"bytes": target.stat().st_size, "sha256": sha256(target)}
    unknown = {"source_bytes": None, "source_sha256": None}
    record = {"format_version": _FORMAT_VERSION, "url": url, **unknown, **came, **made}
    write_json(_record_of(target), record, force=True)


def _not_gzip(source: Source, fetched: Path) -> problems.UselessError:
    with fetched.open("rb") as handle:
        head = handle.read(40)
    return problems.UselessError(
        f"what came as {source.name} is not a gzip file; nothing of it was kept",
        where=source.url,
        got=f"bytes that begin {head!r}" if head else "an empty file",
        wanted="gzip",
        do="see in a browser what the address shows: a login or an error page? Or name a mirror (--base-url)",
    )
