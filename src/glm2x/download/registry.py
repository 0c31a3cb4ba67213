"""What there is to download: the addresses, checksums and contig lengths of registry.yml as typed values."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict

from glm2x.errors import UsageError

Thing = Literal["reference", "genotypes", "expression"]

# the registry of the package; a file, so that a test can serve small files by one of its own
REGISTRY = Path(str(resources.files("glm2x.download") / "registry.yml"))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """One file: its address, the contig it holds where it is of one, and its public checksum or none."""

    url: str
    contig: str | None = None
    checksum: str | None = None

    @property
    def name(self) -> str:
        """The file's name, which is the same on every mirror."""
        return urlsplit(self.url).path.rpartition("/")[2]


class Collection(_Strict):
    """Files of one kind.

    `copies` of each must have room on the disk at once; `notes` are said after a download; `lengths`
    are the contig lengths (bp) that a FASTA must have.
    """

    form: Literal["fasta", "vcf", "table"]
    copies: int
    notes: tuple[str, ...]
    files: tuple[Source, ...]
    lengths: dict[str, int] = {}


def load_collection(thing: Thing, registry: Path | None = None) -> Collection:
    """Return the files of one thing, from the package's registry or another."""
    values = yaml.safe_load((registry or REGISTRY).read_text())
    return Collection.model_validate(values[thing])


def choose(
    collection: Collection, *, contigs: str | None = None, base_url: str | None = None
) -> tuple[Source, ...]:
    """Return the sources to fetch.

    Parameters
    ----------
    collection
        What there is.
    contigs
        Names by commas, with or without ``chr`` (default: all).
    base_url
        Where a mirror has the files: it replaces scheme, host and directory of every address.

    Raises
    ------
    UsageError
        A contig has no file, the files are not by contig, or the mirror's address is not http(s).
    """
    sources = collection.files
    if contigs is not None:
        sources = _of_contigs(sources, contigs)
    if base_url is not None:
        place = urlsplit(base_url)
        if place.scheme not in ("http", "https") or not place.hostname or place.query or place.fragment:
            raise UsageError(
                "--base-url is not the address of a folder on a web server",
                got=base_url,
                wanted="http://HOST/FOLDER or https://HOST/FOLDER",
                do="give the address that the file names are appended to",
            )
        folder = base_url.rstrip("/")
        sources = tuple(source.model_copy(update={"url": f"{folder}/{source.name}"}) for source in sources)
    return sources


def _of_contigs(sources: tuple[Source, ...], contigs: str) -> tuple[Source, ...]:
    """Return the sources of the named contigs, in the registry's order."""
    known = [source.contig for source in sources if source.contig is not None]
    if not known:
        raise UsageError(
            "--contigs takes some of the genotype files, and these are not genotypes",
            got=contigs,
            do="leave --contigs out",
        )
    wanted = [name.strip().removeprefix("chr") for name in contigs.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise UsageError(
            "--contigs names a contig that there is no file of" if unknown else "--contigs names no contig",
            got=", ".join(unknown) or repr(contigs),
            wanted=", ".join(known),
            do="name contigs by commas, e.g. --contigs 21,22",
        )
    return tuple(source for source in sources if source.contig in wanted)
