"""Expression and annotations that were damaged anywhere: a clear error or a sound table, and nothing else."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.expression import read_expression
from glm2x.errors import Glm2xError
from glm2x.genome.annotation import HIGHEST_POSITION

GENES = [(f"ENSG{i:011d}.{i}", "22", 1000 * i + 7, "+-"[i % 2]) for i in range(1, 9)]
GTF = "".join(
    f'{contig}\tx\tgene\t{tss + 1}\t{tss + 1}\t.\t{strand}\t.\tgene_id "{gene}";\n'
    for gene, contig, tss, strand in GENES
)
BED = "#chr\tstart\tend\tgene\tstrand\tann\tbob\n" + "".join(
    f"{contig}\t{tss}\t{tss + 1}\t{gene}\t{strand}\t{tss / 8}\t-{tss}e-3\n"
    for gene, contig, tss, strand in GENES
)
MATRIX = "#1.2\n8\t2\nName\tDescription\tann\tbob\n" + "".join(
    f"{gene}\tx\t{tss / 8}\t-{tss}e-3\n" for gene, _, tss, _ in GENES
)
QUOTED = '"","ann","bob"\n' + "".join(f'"{gene}",{tss / 8},NA\n' for gene, _, tss, _ in GENES)
PARTITION = "sample,gene,chr,TSS,strand,split,log_TPM\n" + "".join(
    f"{sample},{gene},chr{contig},{tss},{strand},train,{tss / 8}\n"
    for sample in ("ref", "ann", "bob")
    for gene, contig, tss, strand in GENES
)
ODD = (
    *(b"-1", b"1e999", b"nan", b"-inf", b"99999999999999999999", b"9223372036854775807", b"0x10", b"1_0"),
    *(
        b"",
        b" ",
        b'"',
        b"'",
        b"\t",
        b",",
        b"\n",
        b"\r",
        b"\0",
        b"#",
        b"##",
        b"\xff",
        b"\xc3\xa9",
        b"\xef\xbb\xbf",
    ),
    *(b"\xe2\x80\xa8", b"=1+1", b"NULL", b"%00", b"../x", b"A" * 200_000, b"\t" * 5000),
)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 6)):
        spoilt[place] ^= 1 << int(rng.integers(8))
    return bytes(spoilt)


def lose(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 60)) :]


def replace_cell(data: bytes, rng: np.random.Generator) -> bytes:
    cells = list(re.finditer(rb"[^\t,\n]+", data))
    cell = cells[rng.integers(len(cells))]
    return data[: cell.start()] + ODD[rng.integers(len(ODD))] + data[cell.end() :]


def shuffle_lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[i] for i in rng.integers(len(lines), size=len(lines)))


def recode(data: bytes, rng: np.random.Generator) -> bytes:
    return data.decode().encode(("utf-16", "utf-32", "utf-7", "cp500")[rng.integers(4)])


def cut_gzip(data: bytes, rng: np.random.Generator) -> bytes:
    return cut(gzip.compress(data), rng)


def flip_gzip(data: bytes, rng: np.random.Generator) -> bytes:
    return flip(gzip.compress(data), rng)


DAMAGES = (cut, flip, lose, replace_cell, shuffle_lines, recode, cut_gzip, flip_gzip)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
@pytest.mark.parametrize(
    ("content", "annotated", "spoil"),
    [
        (BED, False, "expression"),
        (BED, True, "annotation"),
        (MATRIX, True, "expression"),
        (MATRIX, True, "annotation"),
        (QUOTED, True, "expression"),
        (PARTITION, False, "expression"),
    ],
    ids=["bed", "bed-annotation", "matrix", "matrix-annotation", "quoted", "partition"],
)
def test_damage_is_told_or_does_no_harm(
    tmp_path: Path,
    content: str,
    annotated: bool,
    spoil: str,
    damage: Callable[[bytes, np.random.Generator], bytes],
    seed: int,
) -> None:
    rng = np.random.default_rng([seed, DAMAGES.index(damage)])
    files = {"expression": content.encode(), "annotation": GTF.encode()}
    files[spoil] = damage(files[spoil], rng)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    told = ""
    try:
        found = read_expression(
            tmp_path / "expression", annotation=tmp_path / "annotation" if annotated else None
        )
    except Glm2xError as error:
        told = str(error)
    if told:
        assert str(tmp_path) in told
        return
    assert found.values.shape == (len(found.genes), len(found.individuals))
    assert found.genes
    assert not np.isinf(found.values).any()
    assert len({gene.gene for gene in found.genes}) == len(found.genes)
    assert len(set(found.individuals)) == len(found.individuals)
    assert all(0 <= gene.tss <= HIGHEST_POSITION and gene.contig for gene in found.genes)
    assert {gene.strand for gene in found.genes} <= {"+", "-"}
