"""What damaged tables say, read with strings alone: expression in its four forms, covariates, individuals.

`NonsenseError` is raised where a file says nothing that could be right: then only an error is.
"""

from __future__ import annotations

import csv
import re
import struct
import zlib
from typing import Any

NA = ("NA", "NaN", "nan", "", ".")
DESCRIBING = ("description", "gene_symbol", "chr", "coord")  # before the people of a matrix


class NonsenseError(Exception):
    """The files say nothing that could be a cohort."""


def plain(data: bytes) -> bytes:
    """Return the bytes, decompressed where they are compressed."""
    if data[:2] != b"\x1f\x8b":
        return data
    made = b""
    while data:
        try:
            unpacker = zlib.decompressobj(31)  # one gzip member with its header and checksum
            made += unpacker.decompress(data) + unpacker.flush()
        except zlib.error:
            inside, data = _bgzf_block(data)
            made += inside
            continue
        if not unpacker.eof:
            raise NonsenseError("gzip: cut short")
        data = unpacker.unused_data
    return made


def _bgzf_block(data: bytes) -> tuple[bytes, bytes]:
    """Read one block and return the rest, whatever its header's flags and its length field say.

    Its checksum decides: where that holds, the bytes are right.
    """
    try:
        size = struct.unpack_from("<H", data, 16)[0] + 1
        inside = zlib.decompress(data[18 : size - 8], -15)
        right = data[12:16] == b"BC\2\0" and struct.unpack_from("<I", data, size - 8)[0] == zlib.crc32(inside)
    except (zlib.error, struct.error) as error:
        raise NonsenseError(f"BGZF: {error}") from error
    if not right:
        raise NonsenseError("BGZF: checksum")
    return inside, data[size:]


def text_of(data: bytes) -> str:
    """Return UTF-8 text, or raise."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NonsenseError(str(error)) from error


def whole(text: str) -> int:
    """Return a whole number written in digits, or raise."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise NonsenseError(f"{text!r} is no whole number")
    return int(text)


def read_table(data: bytes) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table.

    Tabs separate, else commas, else blanks; cells may be quoted where commas separate or the header is.
    """
    lines = re.split("\r\n|\r|\n", text_of(plain(data)))
    lines = [line for line in lines if line and not line.startswith("##")]
    mark = next((m for m in "\t, " if lines and m in lines[0]), "\t")
    if mark == "," or (lines and '"' in lines[0]):
        try:
            rows = list(csv.reader(lines, delimiter=mark, strict=True))
        except csv.Error as error:
            raise NonsenseError(f"quotes: {error}") from error
    else:
        rows = [line.split(mark) for line in lines]
    if not rows or any(len(row) != len(rows[0]) for row in rows) or len(set(rows[0])) < len(rows[0]):
        raise NonsenseError("an uneven table")
    return rows[0], rows[1:]


def number(text: str) -> float | None:
    """Return a finite number, None where it is not there, or raise."""
    if text in NA:
        return None
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) or abs(float(text)) == float("inf"):
        raise NonsenseError(f"{text!r} is no number")
    return float(text)


def read_bed(data: bytes) -> tuple[list[list[Any]], dict[str, list[float | None]]]:
    """Return (gene, contig, TSS, strand) of each gene, and each person's column."""
    header, rows = read_table(data)
    if [name.lower() for name in header[1:3]] != ["start", "end"] or "strand" not in header[4:]:
        raise NonsenseError("no phenotype BED")
    strand = header.index("strand")
    genes = []
    for row in rows:
        if (
            whole(row[2]) - whole(row[1]) != 1
            or whole(row[1]) < 0
            or row[strand] not in "+-"
            or not row[strand]
        ):
            raise NonsenseError("a row of the BED")
        genes.append([row[3], row[0], whole(row[1]), row[strand]])
    if not genes or len({g[0] for g in genes}) < len(genes) or not all(g[0] for g in genes):
        raise NonsenseError("genes of the BED")
    people = {n: [number(row[j]) for row in rows] for j, n in enumerate(header) if j > 3 and j != strand}
    return genes, people


Genes = list[list[Any]]  # (gene, contig, TSS, strand) of each
Columns = dict[str, list[float | None]]


def read_annotation(data: bytes) -> dict[str, tuple[str, int, str] | None]:
    """Return contig, TSS (0-based) and strand of each gene of a GTF; None where it has several."""
    found: dict[str, tuple[str, int, str] | None] = {}
    for line in re.split("\r\n|\r|\n", text_of(plain(data))):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            raise NonsenseError(f"{len(fields)} columns in a GTF")
        contig, _, kind, start, end, _, strand, _, attributes = fields
        if kind != "gene":
            continue
        name = re.search(r'gene_id "([^"]+)"', attributes)
        first, last = whole(start), whole(end)
        if not name or not contig or strand not in ("+", "-", ".", "?") or not 1 <= first <= last:
            raise NonsenseError(f"a gene of the GTF: {line!r:.80}")
        place = (contig, (first if strand == "+" else last) - 1, strand)
        if strand in "+-" and found.setdefault(name[1], place) != place:
            found[name[1]] = None
    return found


def read_matrix(data: bytes, annotation: bytes) -> tuple[Genes, Columns]:
    """Return the genes of a matrix that the annotation knows, and each person's column."""
    header, rows = read_table(data)
    lead = 1
    while lead < len(header) and header[lead].lower() in DESCRIBING:
        lead += 1
    places = read_annotation(annotation)
    names = [row[0] for row in rows]
    if not all(names) or len(set(names)) < len(names):
        raise NonsenseError("genes of the matrix")
    values = [[number(cell) for cell in row[lead:]] for row in rows]
    kept = [i for i, name in enumerate(names) if name in places]
    if not kept:
        raise NonsenseError("no gene is in the annotation")
    if not all(places[names[i]] for i in kept):
        raise NonsenseError("a gene at two places")
    genes = [[names[i], *(places[names[i]] or ())] for i in kept]
    return genes, {name: [values[i][j] for i in kept] for j, name in enumerate(header[lead:])}


def read_partition(data: bytes) -> tuple[Genes, Columns, dict[str, Any]]:
    """Return genes, people's columns, and what else the published table says: `ref` rows and sides."""
    header, rows = read_table(data)
    at = {name: header.index(name) for name in ("sample", "gene", "chr", "TSS", "strand", "split", "log_TPM")}
    facts: dict[str, tuple[str, int, str]] = {}
    sides: dict[str, str] = {}
    cells: dict[tuple[str, str], float | None] = {}
    for row in rows:
        sample, gene, contig, tss, strand, split, value = (row[j] for j in at.values())
        if not sample or not gene or not contig or strand not in ("+", "-") or split not in ("train", "test"):
            raise NonsenseError(f"a row of the partition: {row}")
        side = {"train": "seen", "test": "unseen"}[split]
        place = (contig, whole(tss.removesuffix(".0")), strand)
        if facts.setdefault(gene, place) != place or sides.setdefault(gene, side) != side:
            raise NonsenseError(f"{gene} has two places or sides")
        if (sample, gene) in cells or place[1] < 0:
            raise NonsenseError(f"{sample} and {gene} twice")
        cells[sample, gene] = number(value)
    people = list(dict.fromkeys(sample for sample, _ in cells if sample != "ref"))
    genes = [[gene, *place] for gene, place in facts.items()]
    columns = {p: [cells.get((p, gene)) for gene in facts] for p in people}
    more = {
        "reference_target": [cells.get(("ref", gene)) for gene in facts],
        "gene_sides": list(sides.values()),
    }
    return genes, columns, more


def read_expression(files: dict[str, bytes]) -> tuple[Genes, Columns, dict[str, Any]]:
    """Return genes, people's columns and what else the expression file says, whichever form it has."""
    data = files["--expression"]
    header, _ = read_table(data)
    if {"sample", "gene", "log_TPM"} <= set(header):
        if "--genes" in files:
            raise NonsenseError("a partition with an annotation")
        if not {"chr", "TSS", "strand", "split"} <= set(header):
            raise NonsenseError("a partition that lacks a column")
        return read_partition(data)
    if "--genes" in files:
        return *read_matrix(data, files["--genes"]), {}
    return *read_bed(data), {}
