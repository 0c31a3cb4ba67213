"""A VCF or BCF as a file: opening it, its individuals and contigs, its records in order."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cyvcf2 import VCF
from numpy.typing import NDArray

from glm2x.bgzf import refuse_truncated
from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.genes import contig_forms
from glm2x.genome.vcf.htslib import complaint, standard_error_aside

CHROM_PLACEHOLDER = "{chrom}"  # in the name of a variant file, where a contig's name stands


def individuals_of(path: Path | str) -> tuple[str, ...]:
    """Return the names of the individuals of a VCF, in its order."""
    with names_as_text(Path(path)):
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
    with names_as_text(Path(path)):
        named = tuple(reader.seqnames)
        return named or tuple(dict.fromkeys(record.CHROM for record in read_records(reader, Path(path))))


def expand_variants(given: Sequence[Path], contigs: Iterable[str]) -> list[Path]:
    """Return the files, each once, that names with or without ``{chrom}`` mean.

    Parameters
    ----------
    given
        As the user wrote them.
    contigs
        The contigs that are wanted; a file's name may have each with or without ``chr``.

    Raises
    ------
    DataError
        A file does not exist, or none of a pattern.
    """
    contigs = list(contigs)
    files: list[Path] = []
    for path in given:
        if CHROM_PLACEHOLDER not in str(path):
            files.append(require_file(path, kind="variant file"))
            continue
        names = dict.fromkeys(form for name in contigs for form in contig_forms(name))
        paths = [Path(str(path).replace(CHROM_PLACEHOLDER, name)) for name in names]
        found = [candidate for candidate in paths if candidate.is_file()]
        if not found:
            others = f" and {len(paths) - 1} others" if len(paths) > 1 else ""
            raise DataError(
                "no variant file has a name of this pattern",
                where=str(path),
                got=f"nothing at {paths[0]}{others}" if paths else "no contig to look for",
                wanted=f"a file a contig, with the contig's name in the place of {CHROM_PLACEHOLDER}",
                do="check --variants",
            )
        files.extend(found)
    return list(dict.fromkeys(files))


@contextmanager
def names_as_text(path: Path) -> Iterator[None]:
    """Turn letters that are no text, where cyvcf2 reads names and alleles, into one message."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            "the variant file holds letters that are no text",
            where=str(path),
            got=repr(error.object[:40]),
            wanted="UTF-8",
            do="copy it again, or rename what is not (bcftools reheader, bcftools annotate)",
        ) from error


def open_variants(path: Path, individuals: Sequence[str] | None) -> Any:
    """Open a variant file, with only some individuals where they are given (none: the records alone)."""
    require_file(path, kind="variant file")
    refuse_truncated(path, kind="variant file")
    with standard_error_aside(), warnings.catch_warnings():
        # somebody who is not in the file is named by `row_order`
        warnings.filterwarnings("ignore", "not all requested samples found")
        try:
            return VCF(str(path), samples=None if individuals is None else list(individuals), lazy=True)
        except Exception as error:  # cyvcf2 raises bare Exception for a header it cannot read
            raise DataError(
                "the variant file cannot be opened",
                where=str(path),
                got=complaint() or str(error),
                wanted="a VCF, VCF.gz or BCF",
            ) from error


def read_records(reader: Any, path: Path) -> Generator[Any]:
    """Yield every record; htslib's own failures become one message.

    Until it is closed or at its end, what htslib says itself is kept from the terminal.
    """
    with standard_error_aside():
        try:
            yield from reader
        except DataError:
            raise
        except Exception as error:  # cyvcf2 raises bare Exception for a damaged record
            raise DataError(
                "the variant file is damaged",
                where=str(path),
                got=complaint() or str(error),
                do="copy or download it again",
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
    return f"{record.CHROM}:{record.start + 1:,}"


def unsorted(path: Path, record: Any, got: str) -> DataError:
    """Return the error of a record that stands in the wrong place."""
    return DataError(
        "the variant file is not sorted by position",
        where=f"{site(record)} of {path}",
        got=got,
        wanted="ascending positions within each contig",
        do=f"bcftools sort {path.name}",
    )
