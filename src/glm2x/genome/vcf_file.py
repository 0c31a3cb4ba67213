"""A VCF or BCF as a file: opening it, its individuals and contigs, its records in order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cyvcf2 import VCF
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import require_file

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@dataclass
class VariantCounts:
    """How many records or genotypes met each fate, and the first of each."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, fate: str, example: str, count: int = 1) -> None:
        """Count `count` of a fate, and keep the first example."""
        self.counts[fate] = self.counts.get(fate, 0) + count
        self.first.setdefault(fate, example)


def individuals_of(path: Path | str) -> tuple[str, ...]:
    """Return the names of the individuals of a VCF, in its order."""
    samples = tuple(open_variants(Path(path), None).samples)
    if not samples:
        raise DataError(
            "the variant file holds no genotypes",
            where=str(path),
            got="no individual in its #CHROM line",
            wanted="phased genotypes of a cohort",
        )
    return samples


def contigs_of(path: Path | str) -> tuple[str, ...]:
    """Return the contigs that a VCF's header names, or those of its records where it names none."""
    reader = open_variants(Path(path), [])
    named = tuple(reader.seqnames)
    return named or tuple(dict.fromkeys(record.CHROM for record in read_records(reader, Path(path))))


def open_variants(path: Path, individuals: Sequence[str] | None) -> Any:
    """Open a variant file, with only some individuals where they are given (none: the records alone)."""
    require_file(path, kind="variant file")
    _refuse_truncated(path)
    try:
        with warnings.catch_warnings():  # somebody who is not in the file is named by `row_order`
            warnings.filterwarnings("ignore", "not all requested samples found")
            return VCF(str(path), samples=None if individuals is None else list(individuals), lazy=True)
    except Exception as error:  # cyvcf2 raises bare Exception for a header it cannot read
        raise DataError(
            "the variant file cannot be opened",
            where=str(path),
            got=str(error),
            wanted="a VCF, VCF.gz or BCF",
        ) from error


def read_records(reader: Any, path: Path) -> Iterator[Any]:
    """Yield every record; htslib's own failures become one message."""
    try:
        yield from reader
    except DataError:
        raise
    except Exception as error:  # cyvcf2 raises bare Exception for a damaged record
        raise DataError(
            "the variant file is damaged", where=str(path), got=str(error), do="copy or download it again"
        ) from error


def row_order(samples: list[str], individuals: Sequence[str], path: Path) -> NDArray[np.intp]:
    """Return the index into the reader's samples (the file's order) of each individual."""
    place = {name: i for i, name in enumerate(samples)}
    absent = [name for name in individuals if name not in place]
    if absent:
        raise DataError(
            f"{len(absent)} individuals are not in the variant file",
            where=str(path),
            got=f"first: {', '.join(absent[:3])}",
            wanted="individuals of its #CHROM line",
            do="check the names, or leave them out",
        )
    return np.asarray([place[name] for name in individuals], dtype=np.intp)


def site(record: Any) -> str:
    """Return a record's place as people write it, 1-based."""
    return f"{record.CHROM}:{record.POS:,}"


def unsorted(path: Path, record: Any, got: str) -> DataError:
    """Return the error of a record that stands in the wrong place."""
    return DataError(
        "the variant file is not sorted by position",
        where=f"{site(record)} of {path}",
        got=got,
        wanted="ascending positions within each contig",
        do=f"bcftools sort {path.name}",
    )


def _refuse_truncated(path: Path) -> None:
    """Raise when a BGZF file lacks its closing block, as one cut short in a download does."""
    with path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b":
            return
        handle.seek(max(path.stat().st_size - len(BGZF_END), 0))
        if handle.read() != BGZF_END:
            raise DataError(
                "the variant file is truncated (or compressed with plain gzip): it has no BGZF end block",
                where=str(path),
                got=f"{path.stat().st_size:,} bytes",
                wanted="a whole bgzipped file",
                do="copy or download it again; gunzip and bgzip it where it is plain gzip",
            )
