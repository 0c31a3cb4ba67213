"""Reading phased variants from VCF or BCF files, one pass over each, onto disk column by column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.genome.counts import Counts
from glm2x.genome.genes import contig_key
from glm2x.genome.haplotypes.storage import VariantsWriter
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.vcf.alleles import VariantKind
from glm2x.genome.vcf.columns import ContigColumns, Unphased
from glm2x.genome.vcf.file import (
    names_as_text,
    open_variants,
    read_records,
    row_order,
    site,
    unsorted,
)
from glm2x.genome.vcf.lines import refuse_uneven_lines
from glm2x.progress import Advance, Progress, silent

_MB = 1_000_000
_TOLD_EVERY = 1_000  # records


def read_variants(
    paths: Sequence[Path],
    folder: Path,
    *,
    individuals: Sequence[str],
    contigs: Mapping[str, NDArray[np.uint8] | None],
    kind: VariantKind = "snp",
    unphased: Unphased = "mask",
    ends: Mapping[str, int] | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, PhasedVariants], Counts]:
    """Read the phased variants of some individuals, and write them to a folder as they come.

    Memory holds a record and the table of one contig's alleles, whatever the number of people.

    Parameters
    ----------
    paths
        VCF, VCF.gz or BCF, sorted by position; a contig stands in one of them. No index is needed.
    folder
        Where the files of `VariantsWriter` go.
    individuals
        Who is read; they become the rows, in this order. Each file must have them all.
    contigs
        By contig, the reference's uint8 codes, or None without a reference. `22` in the one and `chr22` in
        the other are the same. Records of other contigs are counted.
    kind
        `snp`, or `all` for indels, MNPs and other changes of letters too.
    unphased
        What an unphased heterozygote becomes: N (`mask`) or an error.
    ends
        By contig, about where its records end, 0-based in bp: what `progress` is measured by.
    progress
        Counts megabases.

    Returns
    -------
    The variants of each contig that has a record, and what was counted.

    Raises
    ------
    DataError
        A file is missing, truncated, unsorted or holds no genotypes; a REF differs from the reference;
        an individual is not in it; a genotype has more than two alleles; a contig comes twice.
    """
    wanted = {contig_key(contig): contig for contig in contigs}
    counts = Counts()
    found: dict[str, PhasedVariants] = {}
    source: dict[str, Path] = {}
    ends = ends or {}
    with progress("reading variants", sum(_megabases(end) for end in ends.values()), "Mb") as bar:
        for path in paths:
            refuse_uneven_lines(path)
            reader = open_variants(path, individuals)
            order = row_order(reader.samples, individuals, path)
            in_order = np.array_equal(order, np.arange(len(reader.samples)))
            with names_as_text(path), closing(read_records(reader, path)) as records:
                for name, on_contig in groupby(records, key=attrgetter("CHROM")):
                    contig = wanted.get(contig_key(name))
                    if contig is None:
                        bar.advance(0, f"passing over {name}")
                        for record in on_contig:
                            counts.add("other_contig", site(record))
                        continue
                    first = next(on_contig)
                    _refuse_second(contig, first, path, source)
                    with closing(VariantsWriter(folder, contig, len(individuals))) as writer:
                        columns = ContigColumns(
                            contig,
                            contigs[contig],
                            individuals=individuals,
                            order=None if in_order else order,
                            out=writer,
                            counts=counts,
                            path=path,
                            kind=kind,
                            unphased=unphased,
                        )
                        for record in _told(chain([first], on_contig), ends.get(contig, 0), bar):
                            columns.add(record)
                        found[contig] = columns.finish()
    return found, counts


def _megabases(position: int) -> int:
    return -(-position // _MB)


def _told(records: Iterable[Any], end: int, bar: Advance) -> Iterator[Any]:
    """Give a contig's records, and tell how far they are towards its end."""
    last, told = _megabases(end), 0
    for number, record in enumerate(records, start=1):
        yield record
        if number % _TOLD_EVERY == 0:
            reached = min(record.POS // _MB, last)
            bar.advance(reached - told, record.CHROM)
            told = reached
    bar.advance(last - told)


def _refuse_second(contig: str, record: Any, path: Path, source: dict[str, Path]) -> None:
    """Raise where a contig's records come a second time; remember where they came first."""
    if source.get(contig) is path and contig != record.CHROM:
        raise DataError(
            f"one file has contig {contig} under two names",
            where=f"{site(record)} of {path}",
            got=record.CHROM,
            wanted="one name (22 and chr22 are the same)",
            do="bcftools annotate --rename-chrs gives one",
        )
    if source.get(contig) is path:
        raise unsorted(path, record, "the contig came before")
    if contig in source:
        raise DataError(
            f"contig {contig} is in two of the variant files",
            where=f"{source[contig]} and {path}",
            wanted="each contig in one file",
            do="bcftools concat (parts of a contig), bcftools merge (people), or leave one file out",
        )
    source[contig] = path
