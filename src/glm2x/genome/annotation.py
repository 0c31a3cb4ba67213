"""Where genes begin: read from a GTF, a GFF3 or a table of TSSs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from glm2x.errors import DataError
from glm2x.genome.genes import Gene, index_of_names, unversioned
from glm2x.text import column_named, open_delimited, text_blocks

KIND = "gene annotation"
GENE_NAMES = ("gene_id", "gene", "geneid", "gene_name", "id", "name")
CONTIG_NAMES = ("chr", "chrom", "contig", "chromosome", "seqname", "seqid")
HIGHEST_POSITION = 1 << 40  # no contig is longer; sums of positions stay far from the end of int64

_GENES = ("gene", "ncRNA_gene", "pseudogene")  # Ensembl's GFF3 has all three
_PARTS = ("transcript", "mRNA", "exon")
_FIELDS = ("contig", "source", "type", "start", "end", "score", "strand", "phase", "attributes")
_FIRST_FIELDS = ("contig", "type", "start", "end", "strand")
# gene_id "X" of a GTF, gene_id=X of a GFF3, geneID=X of gffread
_GENE_ID = r'(?:^|;)\s*gene(?:_id|ID)(?:\s*=\s*|\s+)"?([^";]+)'
_ID = r"(?:^|;)\s*ID=(?:gene[:-])?([^;]+)"


@dataclass(frozen=True)
class Annotation:
    """Genes and their places.

    Attributes
    ----------
    path
        The file.
    genes
        By identifier, as the file writes it: those that stand at one place.
    ambiguous
        Those that stand at several, as ``Y_RNA`` where names are identifiers; see `find`.
    counts, first
        What was left out, and the first example: `strand_unknown`, `stands_at_two_places` (or more).
    """

    path: Path
    genes: dict[str, Gene]
    ambiguous: dict[str, tuple[Gene, ...]]
    counts: dict[str, int]
    first: dict[str, str]

    def places(self, name: str) -> tuple[Gene, ...]:
        """Return where a gene stands, by its name, else by that without version where only one has it."""
        row = self._rows.get(name, self._rows.get(unversioned(name)))
        return () if row is None else self._places[row]

    def find(self, name: str) -> Gene | None:
        """Return a gene by its name, else by its name without version where only one gene has it.

        Raises
        ------
        DataError
            It stands at several places.
        """
        places = self.places(name)
        if len(places) > 1:
            shown = "; ".join(f"{gene.contig}:{gene.tss + 1:,} {gene.strand}" for gene in places[:3])
            raise DataError(
                f"{name} stands at {len(places)} places in the gene annotation",
                where=str(self.path),
                got=shown + (f" and {len(places) - 3} more" if len(places) > 3 else ""),
                wanted=f"one TSS a gene (1-based here); {len(self.ambiguous)} names of it have several",
                do="leave out all but one of its lines, or the gene from the expression; identifiers such as "
                "ENSG00000206176 stand at one place, names such as Y_RNA do not",
            )
        return places[0] if places else None

    @cached_property
    def _rows(self) -> dict[str, int]:
        return index_of_names((*self.genes, *self.ambiguous))

    @cached_property
    def _places(self) -> tuple[tuple[Gene, ...], ...]:
        return (*((gene,) for gene in self.genes.values()), *self.ambiguous.values())


def read_annotation(path: Path | str) -> Annotation:
    """Read the TSS and the strand of every gene, from a file whose format is seen from its content.

    GTF and GFF3
        The TSS is the first base of a `gene` feature in its direction: its start on ``+``, its end on
        ``-``. Where a file has no such feature, a gene reaches over all its transcripts and exons. The
        identifier is `gene_id`, else the GFF3's `ID` without ``gene:``; `ID` too where it tells a gene
        on Y from its namesake on X, as GENCODE's ``ENSG00000182378.15_PAR_Y``. Lines that say nothing of
        a gene's place are not looked at beyond the number of their columns.
    Table
        Tab- or comma-separated with a header: the gene (`gene_id`, `gene`), the contig (`chr`,
        `chrom`, `contig`), `strand`, and the TSS. A column `tss` is **1-based**, as browsers, GTFs and
        BioMart count. Without it, `start` and `end` are **0-based and half-open**, as in a BED: the TSS
        is `start` on ``+`` and ``end - 1`` on ``-``. Where all three are there, `tss` is taken.

    A file may be gzipped. TSSs are returned 0-based. Genes whose strand is ``.`` (``?``) are left out
    and counted. Names that stand at several places are kept aside and counted: an error is only who
    looks for one.

    Raises
    ------
    DataError
        The file is missing, damaged or neither of these, a coordinate is no number or below its base,
        an end lies before its start, or no gene is left.
    """
    path = Path(path)
    rows = _read_features(path) if _has_features(path) else _read_table(path)
    return _annotation(rows, path)


def _has_features(path: Path) -> bool:
    """Whether the first line that is no comment is one of a GTF or GFF3."""
    for block in text_blocks(path, kind=KIND):
        for line in block.splitlines():
            if not line.startswith(b"#"):
                cells = line.decode().split("\t")
                header = column_named(cells, "strand") is not None and column_named(cells, *CONTIG_NAMES)
                return len(cells) in (8, 9) and not header
            if line.startswith((b"##gff-version", b"##gtf", b"#!")):
                return True
            if not line.startswith(b"##") and b"\t" in line:
                return False  # the header of a BED
    return False


def _read_features(path: Path) -> pl.DataFrame:
    """Return gene, contig, strand, start (0-based) and end of each gene of a GTF or GFF3, in one pass."""
    genes: list[pl.DataFrame] = []
    parts: list[pl.DataFrame] = []
    for frame in _feature_frames(path):
        found = frame.filter(pl.col("type").is_in(_GENES))
        if found.height:
            genes.append(_placed(found, path))
        elif not genes:
            found = frame.filter(pl.col("type").is_in(_PARTS) & pl.col("attributes").str.contains(_GENE_ID))
            if found.height:
                parts.append(_outermost(_placed(found, path)))
    if genes:
        return pl.concat(genes)
    if parts:
        return _outermost(pl.concat(parts))
    raise DataError(
        "the gene annotation holds no gene",
        where=str(path),
        wanted="lines of type gene, or transcripts or exons with a gene_id",
    )


def _outermost(rows: pl.DataFrame) -> pl.DataFrame:
    """Return how far each gene reaches on each contig and strand it is on."""
    return rows.group_by("gene", "contig", "strand", maintain_order=True).agg(
        pl.col("start").min(), pl.col("end").max()
    )


def _feature_frames(path: Path) -> Iterator[pl.DataFrame]:
    for block in text_blocks(path, kind=KIND):
        try:
            frame = pl.read_csv(
                block,
                has_header=False,
                separator="\t",
                quote_char=None,
                comment_prefix="#",
                schema=dict.fromkeys(_FIELDS, pl.String),
            )
        except pl.exceptions.PolarsError as error:
            raise _uneven(block, path) from error
        if frame["attributes"].null_count():
            raise _uneven(block, path)
        yield frame


def _uneven(block: bytes, path: Path) -> DataError:
    lines = (line for line in block.splitlines() if not line.startswith(b"#"))
    odd = next((line for line in lines if line.count(b"\t") != 8 or line.endswith(b"\t")), b"")
    cells = odd.rstrip(b"\t").split(b"\t")
    return DataError(
        "a line of the gene annotation has not the nine columns of a GTF or GFF3",
        where=f"the line of {odd[:40].decode()!r} in {path}",
        got=f"{len(cells)} columns",
        wanted="contig, source, type, start, end, score, strand, phase, attributes, between tabs",
        do="the file may be cut short: copy or download it again",
    )


def _placed(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Return identifier and checked place of each feature."""
    text = pl.col("attributes")
    own, gene = text.str.extract(_ID).str.strip_chars(), text.str.extract(_GENE_ID).str.strip_chars()
    # of a gene in the pseudoautosomal regions the one on Y has gene_id of the one on X
    on_y = (own == gene + "_PAR_Y") | own.str.starts_with("ENSGR")
    rows = rows.with_columns(pl.when(gene.is_null() | on_y).then(own).otherwise(gene).alias("gene"))
    nameless = rows.filter(pl.col("gene").is_null() | (pl.col("gene") == ""))
    if nameless.height:
        raise DataError(
            "a gene of the annotation has no identifier",
            where=f"{' '.join(str(nameless[c][0]) for c in _FIRST_FIELDS)} in {path}",
            got=repr(nameless["attributes"][0][:60]),
            wanted='gene_id "..." (GTF), gene_id=... or ID=... (GFF3)',
        )
    if rows["gene"].str.contains("%", literal=True).any():
        rows = rows.with_columns(pl.col("gene").map_elements(unquote, return_dtype=pl.String))
    return _checked(rows, path, base=1)


def _checked(rows: pl.DataFrame, path: Path, *, base: int) -> pl.DataFrame:
    """Return gene, contig, strand, start (0-based) and end as numbers.

    Parameters
    ----------
    base
        The number of a contig's first base in column `start`; `end` is the last base (1) or the one
        after it (0), which is the same number.
    """
    checked = rows.select(
        pl.col("gene", "contig", "strand").fill_null(""),
        *(pl.col(c).cast(pl.Int64, strict=False).alias(c) for c in ("start", "end")),
    )
    start, end = pl.col("start"), pl.col("end")
    for bad, what, wanted in (
        (start.is_null() | end.is_null(), "a coordinate is no whole number", "whole numbers"),
        (start < base, "a coordinate lies before its contig", f"a start of at least {base}"),
        (end < start - base + 1, "a gene ends before it starts", "start up to end, whatever the strand"),
        (end > HIGHEST_POSITION, "a coordinate lies beyond every contig", f"at most {HIGHEST_POSITION:,}"),
        (pl.col("contig") == "", "a gene has no contig", "a name such as chr22"),
        (~pl.col("strand").is_in(["+", "-", ".", "?"]), "a strand is neither + nor -", "+ or -"),
    ):
        where = checked.select(bad.alias("bad"))["bad"]
        if where.any():
            row = int(where.arg_max() or 0)
            raise DataError(
                f"{what} in the gene annotation",
                where=f"{checked['gene'][row]} in {path}",
                got=f"{rows['contig'][row]}:{rows['start'][row]}-{rows['end'][row]}, "
                f"strand {rows['strand'][row]}",
                wanted=wanted,
            )
    return checked.with_columns(start - base)


def _read_table(path: Path) -> pl.DataFrame:
    """Return gene, contig, strand, start (0-based) and end of each gene of a table."""
    table = open_delimited(path, kind=KIND)
    gene, contig = column_named(table.columns, *GENE_NAMES), column_named(table.columns, *CONTIG_NAMES)
    strand, tss = column_named(table.columns, "strand"), column_named(table.columns, "tss")
    start, end = column_named(table.columns, "start"), column_named(table.columns, "end")
    if gene is None or contig is None or strand is None or (tss is None and (start is None or end is None)):
        raise DataError(
            "the gene annotation is neither a GTF, nor a GFF3, nor a table of TSSs",
            where=str(path),
            got=f"columns {', '.join(table.columns[:6])}",
            wanted="nine columns between tabs, or a header with gene_id, chr, strand, and either tss "
            "(1-based) or start and end (0-based, half-open)",
        )
    place = {"start": tss, "end": tss} if tss is not None else {"start": start, "end": end}
    named = {"gene": gene, "contig": contig, "strand": strand} | place
    rows = table.frame().select(pl.col(str(column)).alias(name) for name, column in named.items())
    if rows["gene"].null_count():
        raise DataError(
            "a row of the gene annotation has no gene",
            where=f"row {int(rows['gene'].is_null().arg_max() or 0) + 1} of {path}",
            wanted="an identifier in each",
        )
    return _checked(rows, path, base=1 if tss is not None else 0)


def _annotation(rows: pl.DataFrame, path: Path) -> Annotation:
    """Turn rows into genes; those without a direction, or at several places, are counted."""
    directed = pl.col("strand").is_in(["+", "-"])
    left_out = rows.filter(~directed)["gene"].unique(maintain_order=True)
    tss = pl.when(pl.col("strand") == "+").then(pl.col("start")).otherwise(pl.col("end") - 1)
    places = (
        rows.filter(directed).select("gene", "contig", tss.alias("tss"), "strand").unique(maintain_order=True)
    )
    if not places.height:
        raise DataError(
            "the gene annotation holds no gene with a strand",
            where=str(path),
            got=f"{len(left_out)} genes of unknown strand" if len(left_out) else "no row",
            wanted="genes on + or -",
        )
    found: dict[str, list[Gene]] = {}
    for row in places.iter_rows():
        found.setdefault(row[0], []).append(Gene(*row))
    ambiguous = {name: tuple(several) for name, several in found.items() if len(several) > 1}
    genes = {name: alone[0] for name, alone in found.items() if len(alone) == 1}
    noted = {"strand_unknown": list(left_out), "stands_at_two_places": list(ambiguous)}
    counts = {what: len(names) for what, names in noted.items() if names}
    return Annotation(path, genes, ambiguous, counts, {what: noted[what][0] for what in counts})
