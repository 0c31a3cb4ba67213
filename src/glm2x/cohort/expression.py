"""Reading expression: a phenotype BED, a plain matrix, or the published partition table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.partition import is_partition, read_partition
from glm2x.cohort.tables import MISSING, names_of, numbers_of, positions_of
from glm2x.errors import DataError, UsageError
from glm2x.genome.annotation import CONTIG_NAMES, Annotation, read_annotation
from glm2x.genome.counts import Counts
from glm2x.genome.genes import Gene, GeneSide, Strand, contig_key
from glm2x.text import Delimited, column_named, open_delimited, refuse_repeats

ExpressionScale = Literal["rpkm", "tpm", "log2", "normalised"]

KIND = "expression file"

# columns that stand between `end` and the individuals in the BED dialects of FastQTL, QTLtools and tensorQTL
BED_ANNOTATIONS = frozenset(
    {"gene", "gene_id", "gid", "pid", "id", "phenotype_id", "trait", "gene_name", "name"}
    | {"length", "score", "info", "group", "grp", "group_id", "strand", "biotype", "gene_type"}
)
# and those that stand between the gene and the individuals of a matrix
MATRIX_ANNOTATIONS = BED_ANNOTATIONS | frozenset(
    {"targetid", "gene_symbol", "genesymbol", "symbol", "genename", "description", "gene_biotype"}
    | {*CONTIG_NAMES, "coord", "tss", "start", "end", "transcript_id(s)"}
)


@dataclass(frozen=True)
class ExpressionTable:
    """Expression as it was read.

    Attributes
    ----------
    genes, individuals
        In the order of the rows and columns of `values`.
    values
        float64 ``[genes, individuals]``, NaN where not measured.
    scale
        What the format itself says of the values; None where the user has to say.
    reference
        float64 ``[genes]``, the target of the reference sequence, NaN where there is none; None where
        the format has no such thing.
    gene_sides
        The side of each gene in the format's own split of genes; None where it has none.
    counts, first
        What was left out, matched loosely or disagrees with the annotation: how many, and the first.
    """

    genes: tuple[Gene, ...]
    individuals: tuple[str, ...]
    values: NDArray[np.float64]
    scale: ExpressionScale | None = None
    reference: NDArray[np.float64] | None = None
    gene_sides: tuple[GeneSide | None, ...] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)


def read_expression(
    path: Path | str, *, annotation: Path | None = None, genotyped: Collection[str] = ()
) -> ExpressionTable:
    """Read expression from a file whose format is seen from its header, plain or gzipped.

    Phenotype BED
        ``#chr start end gene``, annotations such as ``strand``, then one column an individual. The TSS
        is `start` (0-based), the same base as `end` (1-based). Without a strand column the strand is
        the annotation's, and genes that it does not know are left out. With one, the BED's own columns
        hold even where an annotation is given, because they go with the values, and TSSs move between
        releases of an annotation; what differs is counted, so that a wrong release or genome build, or
        a base too many, is seen.
    Matrix
        Tab- or comma-separated: the gene, columns such as ``Gene_Symbol Chr Coord`` (GEUVADIS) or
        ``Description`` (GTEx's GCT), then one column an individual. Contig, TSS and strand are the
        annotation's, and genes that it does not know are left out.
    Published partition
        See `read_partition`. It places its genes itself.

    Parameters
    ----------
    annotation
        GTF, GFF3 or table of TSSs, see `read_annotation`. Versions (``.12``) are ignored where the very
        name is not in it.
    genotyped
        Names of people. A column that has an annotation's name is an individual where it is one of them.

    Raises
    ------
    UsageError
        A matrix without an annotation, or a published partition with one.
    DataError
        The file is missing, damaged or none of these, a gene or an individual stands twice, a value is
        no finite number, no gene is in the annotation, or one is there at several places.
    """
    table = open_delimited(path, kind=KIND)
    if is_partition(table.columns):
        return _from_partition(table, annotation)
    names = [name.lstrip("#").lower() for name in table.columns]
    if len(names) >= 5 and names[1:3] == ["start", "end"]:
        return _read_bed(table, annotation, genotyped)
    return _read_matrix(table, annotation, genotyped)


class _Notes(Counts):
    """What was left out or disagrees."""

    def compare(self, what: str, gene: str, here: object, there: object) -> None:
        if here != there:
            self.add(what, f"{gene}: {here}, in the annotation {there}")


def _from_partition(table: Delimited, annotation: Path | None) -> ExpressionTable:
    if annotation is not None:
        raise UsageError(
            "the published partition table places its genes itself, and --genes would place them again",
            where=str(annotation),
            do="leave --genes out",
        )
    found = read_partition(table)
    return ExpressionTable(
        found.genes, found.individuals, found.values, "log2", found.reference, found.gene_sides
    )


def _read_bed(table: Delimited, annotation: Path | None, genotyped: Collection[str]) -> ExpressionTable:
    path, columns = table.path, table.columns
    contig, start_column, end_column, label = columns[:4]
    people = tuple(n for n in columns[4:] if n in genotyped or n.lower() not in BED_ANNOTATIONS)
    strand = next((n for n in columns[4:] if n.lower() == "strand" and n not in people), None)
    if strand is None and annotation is None:
        raise DataError(
            "the phenotype BED has no strand column, and a gene's direction decides its sequence",
            where=str(path),
            got=f"columns {', '.join(n for n in columns if n not in people)}",
            wanted="a column named strand holding + or -, or the annotation it was counted with",
            do="give --genes GTF, or add the column",
        )
    known = read_annotation(annotation) if annotation is not None else None
    rows, values = _collect(table.frames(), table, people, label)
    names = names_of(rows, label, path)
    contigs = names_of(rows, contig, path)
    start = positions_of(rows, start_column, label, path)
    _require_one_base(start, positions_of(rows, end_column, label, path), names, path)
    notes = _Notes()
    if strand is not None:
        strands = _strands(rows, strand, names, path)
        genes = [Gene(*row) for row in zip(names, contigs, start.tolist(), strands, strict=True)]
        if known is not None:
            _compare_places(genes, known, notes)
        return ExpressionTable(tuple(genes), people, values, counts=notes.counts, first=notes.first)
    assert known is not None
    kept, found = _find_all(names, known, notes, path)
    genes = [
        Gene(names[i], contigs[i], int(start[i]), place.strand) for i, place in zip(kept, found, strict=True)
    ]
    for gene, place in zip(genes, found, strict=True):
        notes.compare("contig_differs", gene.gene, contig_key(gene.contig), contig_key(place.contig))
        notes.compare("tss_differs", gene.gene, gene.tss, place.tss)
    return ExpressionTable(tuple(genes), people, values[kept], counts=notes.counts, first=notes.first)


def _compare_places(genes: Iterable[Gene], known: Annotation, notes: _Notes) -> None:
    """Count where a BED's own places and the annotation differ."""
    for gene in genes:
        places = known.places(gene.gene)
        if len(places) != 1:
            what = "kept_at_two_places_in_annotation" if places else "kept_not_in_annotation"
            notes.add(what, gene.gene)
            continue
        place = places[0]
        notes.compare("contig_differs", gene.gene, contig_key(gene.contig), contig_key(place.contig))
        notes.compare("strand_differs", gene.gene, gene.strand, place.strand)
        notes.compare("tss_differs", gene.gene, gene.tss, place.tss)


def _read_matrix(table: Delimited, annotation: Path | None, genotyped: Collection[str]) -> ExpressionTable:
    path, label = table.path, table.columns[0]

    def described(name: str) -> bool:
        return name not in genotyped and name.lstrip("#").lower() in MATRIX_ANNOTATIONS

    lead = len(list(takewhile(described, table.columns[1:])))
    people = table.columns[1 + lead :]
    frames = table.frames()
    head = next(frames, None)
    looks_right = people and not any(map(described, people)) and (head is None or _has_number(head, people))
    if not looks_right:
        raise DataError(
            "the expression file does not look like a phenotype BED, a matrix or the published partition",
            where=str(path),
            got=f"columns {', '.join(table.columns[:7])}"
            + (f"; first row {', '.join(str(c) for c in head.row(0)[:7])}" if head is not None else ""),
            wanted="#chr start end gene [strand ...] and one column an individual (BED); a gene, columns "
            "that describe it and one column of numbers an individual (matrix); or sample, gene, chr, TSS, "
            "strand, split and log_TPM (published)",
        )
    if annotation is None:
        raise UsageError(
            "the expression file is a matrix, which does not say where its genes begin",
            where=str(path),
            got=f"columns {', '.join(table.columns[:5])}",
            do="give --genes GTF (or GFF3, or a table of TSSs), the annotation it was counted with",
        )
    known = read_annotation(annotation)
    rows, values = _collect(frames if head is None else chain([head], frames), table, people, label)
    names = names_of(rows, label, path)
    if table.declared is not None and table.declared != values.shape:
        raise DataError(
            "the GCT has not as many rows and columns as its second line says",
            where=str(path),
            got=f"{values.shape[0]:,} genes and {values.shape[1]:,} individuals",
            wanted=f"{table.declared[0]:,} and {table.declared[1]:,}",
            do="it may be cut short: copy or download it again",
        )
    notes = _Notes()
    kept, found = _find_all(names, known, notes, path)
    _compare_coordinates(rows[kept], names, kept, found, notes)
    genes = tuple(Gene(names[i], p.contig, p.tss, p.strand) for i, p in zip(kept, found, strict=True))
    return ExpressionTable(genes, people, values[kept], counts=notes.counts, first=notes.first)


def _compare_coordinates(
    rows: pl.DataFrame, names: Sequence[str], kept: Sequence[int], found: Sequence[Gene], notes: _Notes
) -> None:
    """Count where the columns `Chr` and `Coord` of a matrix differ from the annotation.

    They are not said to be 0- or 1-based, so either agrees.
    """
    contig, tss = column_named(rows.columns, *CONTIG_NAMES), column_named(rows.columns, "coord", "tss")
    contigs = rows[contig] if contig is not None else [None] * len(found)
    starts = rows[tss].cast(pl.Int64, strict=False) if tss is not None else [None] * len(found)
    for i, place, here, start in zip(kept, found, contigs, starts, strict=True):
        if here is not None:
            notes.compare("contig_differs", names[i], contig_key(here), contig_key(place.contig))
        if start is not None and start - place.tss not in (0, 1):
            notes.compare("tss_differs", names[i], start, place.tss)


def _find_all(
    names: Sequence[str], known: Annotation, notes: _Notes, path: Path
) -> tuple[list[int], list[Gene]]:
    """Return the rows of the genes that the annotation knows, and their places."""
    kept: list[int] = []
    found: list[Gene] = []
    for i, name in enumerate(names):
        place = known.find(name)
        if place is None:
            notes.add("left_out_not_in_annotation", name)
            continue
        if place.gene != name:
            notes.add("matched_without_version", f"{name} as {place.gene}")
        kept.append(i)
        found.append(place)
    if not kept:
        raise DataError(
            "no gene of the expression file is in the annotation",
            where=str(path),
            got=f"such as {', '.join(names[:2])} here, and {', '.join(list(known.genes)[:2])} there",
            wanted="the same kind of identifier in both (versions such as .12 may differ)",
            do="give the annotation that the expression was counted with",
        )
    for what, count in known.counts.items():
        notes.counts[f"annotation_{what}"] = count
        notes.first[f"annotation_{what}"] = known.first[what]
    return kept, found


def _collect(
    frames: Iterable[pl.DataFrame], table: Delimited, people: Sequence[str], label: str
) -> tuple[pl.DataFrame, NDArray[np.float64]]:
    """Return the columns that are no people as text, and the people's as float64 ``[genes, people]``."""
    among = set(people)
    described = [name for name in table.columns if name not in among]
    texts: list[pl.DataFrame] = []
    values: list[NDArray[np.float64]] = []
    for frame in frames:
        texts.append(frame.select(described))
        values.append(numbers_of(frame, people, label, table.path))
    if not texts:
        raise DataError("the expression file has no gene", where=str(table.path), wanted="one row a gene")
    rows = pl.concat(texts)
    refuse_repeats(names_of(rows, label, table.path), "gene", table.path)
    return rows, np.concatenate(values)


def _has_number(frame: pl.DataFrame, people: Sequence[str]) -> bool:
    """Whether the first row has a number, or a missing one, for anybody."""
    cells = pl.Series([frame[name][0] for name in people], dtype=pl.String).fill_null("")
    return bool((cells.cast(pl.Float64, strict=False).is_not_null() | cells.is_in(MISSING)).any())


def _require_one_base(
    start: NDArray[np.int64], end: NDArray[np.int64], names: Sequence[str], path: Path
) -> None:
    wide = np.flatnonzero(end - start != 1)
    if wide.size:
        row = int(wide[0])
        raise DataError(
            f"{wide.size} rows of the phenotype BED span more than their TSS",
            where=f"{names[row]} in {path}",
            got=f"{start[row]:,}-{end[row]:,}",
            wanted="start = TSS (0-based) and end = start + 1",
            do="write the TSS into start and end",
        )


def _strands(rows: pl.DataFrame, column: str, names: Sequence[str], path: Path) -> list[Strand]:
    strands = rows[column].to_list()
    odd = next((i for i, strand in enumerate(strands) if strand not in ("+", "-")), None)
    if odd is not None:
        raise DataError(
            "a strand is neither + nor -",
            where=f"{names[odd]} in {path}",
            got=repr(strands[odd]),
            wanted="+ or -",
        )
    return strands
