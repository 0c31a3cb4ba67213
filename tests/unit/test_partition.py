"""The published partition table: places, sides and reference targets as it states them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.expression import read_expression
from glm2x.errors import DataError, UsageError
from glm2x.genome.genes import Gene

HEADER = "sample,gene,chr,TSS,strand,split,log_TPM\n"
ROWS = (
    "ann,G2,chr1,500,-,test,0.5\n"
    "ref,G1,chr22,0,+,train,2.25\n"
    "ann,G1,chr22,0,+,train,1\n"
    "bob,G1,chr22,0,+,train,-1e-3\n"
    "ref,G3,chr1,7,+,train,4\n"
)
CSV = HEADER + ROWS


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "partition.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reordered(text: str) -> str:
    """Return the table with its columns the other way round, and the row number pandas writes first."""
    lines = [line.split(",")[::-1] for line in text.splitlines()]
    return "\n".join(",".join(["" if i == 0 else str(i), *cells]) for i, cells in enumerate(lines))


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        gzip.compress(CSV.encode()),
        "\ufeff" + CSV.replace("\n", "\r\n"),
        CSV.replace("G2", '"G2"'),
        CSV.replace("\n", "\n\n"),
        CSV.replace(",", "\t"),
        CSV.replace(",500,", ",500.0,"),
        reordered(CSV),
    ],
)
@pytest.mark.parametrize("size", [1 << 20, 40])
def test_the_published_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, size: int
) -> None:
    monkeypatch.setattr("glm2x.text.text_blocks.__kwdefaults__", {"size": size})
    found = read_expression(write(tmp_path, content))
    # the TSS is t as it stands
    assert found.genes == (
        Gene("G2", "chr1", 500, "-"),
        Gene("G1", "chr22", 0, "+"),
        Gene("G3", "chr1", 7, "+"),
    )
    assert found.individuals == ("ann", "bob")
    np.testing.assert_array_equal(found.values, [[0.5, np.nan], [1, -1e-3], [np.nan, np.nan]])
    assert found.reference is not None
    np.testing.assert_array_equal(found.reference, [np.nan, 2.25, 4])
    assert found.gene_sides == ("unseen", "seen", "seen")
    assert found.scale == "log2"
    assert found.counts == {}


def test_without_reference_rows_there_is_no_reference_target(tmp_path: Path) -> None:
    rows = [row for row in CSV.splitlines(keepends=True) if not row.startswith("ref")]
    found = read_expression(write(tmp_path, "".join(rows)))
    assert found.reference is not None
    assert np.isnan(found.reference).all()
    assert len(found.genes) == 2


def test_a_value_that_was_not_measured(tmp_path: Path) -> None:
    found = read_expression(write(tmp_path, CSV.replace("train,1\n", "train,NA\n")))
    assert np.isnan(found.values[1, 0])


def test_it_places_its_genes_itself(tmp_path: Path) -> None:
    path = write(tmp_path, CSV)
    with pytest.raises(UsageError, match="places its genes itself") as caught:
        read_expression(path, annotation=path)
    assert "--genes" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message", "detail"),
    [
        ("split", "side", "no column split", "sample, gene, chr"),
        ("bob,G1", "ann,G1", "stand together twice", "ann and G1"),
        ("ref,G3,chr1,7,+", "ref,G1,chr22,0,+", "stand together twice", "ref and G1"),
        ("ann,G1,chr22,0", "ann,G1,chr22,1", "G1 has more than one TSS", "0, 1"),
        ("ann,G1,chr22", "ann,G1,chr21", "G1 has more than one chr", "chr22, chr21"),
        ("bob,G1,chr22,0,+", "bob,G1,chr22,0,-", "G1 has more than one strand", "+, -"),
        ("bob,G1,chr22,0,+,train", "bob,G1,chr22,0,+,test", "G1 has more than one split", "train, test"),
        ("500,-", "500,.", "strand is neither + nor -", "G2"),
        ("500,-", "500,", "strand is neither + nor -", "None"),
        ("test", "validation", "split is neither train nor test", "'validation'"),
        ("500", "-500", "before the contig", "'-500'"),
        ("500", "5e2", "no whole number", "G2"),
        ("500", "99999999999999999999", "no whole number", "G2"),
        ("chr1,500", ",500", "nothing in its column chr", "G2"),
        ("ann,G2", ",G2", "nothing in its column sample", "G2"),
        ("ann,G2", "ann,", "nothing in its column gene", "ann"),
        ("0.5", "low", "no finite number", "G2, column log_TPM"),
        ("0.5", "1e999", "no finite number", "'1e999'"),
        (",test,0.5", ",test", "another number of columns", "6 columns"),
        ("ann,G2", '"ann,G2', "a quote is not closed", "one line"),
        (ROWS, "", "holds nobody", "no row"),
        (ROWS, "ref,G1,chr22,0,+,train,2\n", "holds nobody", "rows of ref only"),
    ],
)
def test_damaged_tables(tmp_path: Path, old: str, new: str, message: str, detail: str) -> None:
    assert old in CSV
    path = write(tmp_path, CSV.replace(old, new))
    with pytest.raises(DataError, match=message.replace("+", r"\+")) as caught:
        read_expression(path)
    assert detail in str(caught.value)
    assert str(path) in str(caught.value)


def test_twenty_thousand_people(tmp_path: Path) -> None:
    people = [f"p{i}" for i in range(20_000)]
    path = write(tmp_path, HEADER + "".join(f"{p},G1,chr1,5,+,train,{i}\n" for i, p in enumerate(people)))
    found = read_expression(path)
    assert found.individuals == tuple(people)
    np.testing.assert_array_equal(found.values, [np.arange(20_000)])
