"""Tables of text: what every one of them may look like, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x import text
from glm2x.cohort.tables import known_of, read_covariates, read_individuals
from glm2x.errors import DataError

PEOPLE = "individual\tpopulation\tnote\nann\tGBR\tx\nbob\tFIN\ty\n"


def write(folder: Path, content: str | bytes, name: str = "table.tsv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        PEOPLE,
        PEOPLE.rstrip("\n"),
        "\ufeff" + PEOPLE,
        PEOPLE.replace("\n", "\r\n"),
        PEOPLE.replace("\n", "\r"),
        PEOPLE.replace("\n", "\r\r\n"),
        "##made by hand\n" + PEOPLE.replace("ann", "##a comment\nann"),
        "\n\n" + PEOPLE.replace("\n", "\n\n\n"),
        PEOPLE.replace("\t", ","),
        PEOPLE.replace("\t", " "),
        PEOPLE.replace("population", "Population").replace("individual", "#Individual"),
        PEOPLE.replace("population", "pop"),
        PEOPLE.replace("population", "POP"),
        PEOPLE.replace("\t", ",").replace("ann", '"ann"'),
        PEOPLE.replace("individual", '"individual"').replace("bob", '"bob"'),
        PEOPLE.replace("\tx", '\t5" wide').replace("\ty", "\tcaf\u00e9"),
        gzip.compress(PEOPLE.encode(), mtime=0),
        gzip.compress(PEOPLE[:30].encode(), mtime=0) + gzip.compress(PEOPLE[30:].encode(), mtime=0),
    ],
)
def test_one_table_in_many_dresses(tmp_path: Path, content: str | bytes) -> None:
    found = read_individuals(write(tmp_path, content))
    assert found.to_dict(as_series=False) == {"individual": ["ann", "bob"], "population": ["GBR", "FIN"]}


def test_a_table_of_one_column(tmp_path: Path) -> None:
    assert read_individuals(write(tmp_path, "individual\nann\n\nbob\n"))["individual"].to_list() == [
        "ann",
        "bob",
    ]


def test_columns_that_are_not_used_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = "individual,population,Family,sex\nann,GBR,f1,f\nbob,FIN,f2,m\n"
    found = read_individuals(write(tmp_path, content))
    assert found.columns == ["individual", "population", "family"]
    assert found["family"].to_list() == ["f1", "f2"]
    assert capsys.readouterr().err == "  note: columns of table.tsv that are not used: sex\n"
    read_individuals(write(tmp_path, "individual\tpopulation\nann\tGBR\n"))
    assert capsys.readouterr().err == ""
    both = read_individuals(write(tmp_path, "individual\tPopulation\tpopulation\tpop\nann\tA\tB\tC\n"))
    assert both.to_dict(as_series=False) == {"individual": ["ann"], "population": ["A"]}
    assert "not used: population, pop" in capsys.readouterr().err


def test_words_for_unknown_are_no_family_and_no_population(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["NA", "nan", ".", "", "0", "-9", "f1", "f1"]
    rows = [f"p{i}\t{word}\t{word}" for i, word in enumerate(words)]
    found = read_individuals(write(tmp_path, "individual\tpopulation\tfamily\n" + "\n".join(rows)))
    assert found["family"].to_list() == [None] * 6 + ["f1"] * 2
    assert found["population"].to_list() == [None] * 4 + ["0", "-9", "f1", "f1"]
    assert capsys.readouterr().err.splitlines() == [
        "  note: population NA, nan, . of table.tsv is none: 3 people",
        "  note: family NA, nan, ., 0, -9 of table.tsv is none: 5 people",
    ]
    # and so they are in a cohort whose table was written otherwise
    people = pl.DataFrame(
        {"individual": list("abcd"), "family": ["0", "NA", None, "f"], "population": [1, 2, 3, 4]}
    )
    assert known_of(people, "family") == {"d": "f"}
    assert known_of(people, "population") == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert known_of(people.drop("family"), "family") == {}


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        ("", "table of individuals is empty", "header and rows"),
        ("\n\n", "is empty", "header"),
        ("##only a comment\n", "is empty", "header"),
        (gzip.compress(b"", mtime=0), "is empty", "header"),
        ("name\tsex\nann\tf\n", "no column named individual", "columns name, sex"),
        (PEOPLE.replace("bob", "ann"), "the individual ann stands twice", "each once"),
        (PEOPLE.replace("note", "population"), "the column population stands twice", "each once"),
        (PEOPLE.replace("bob", ""), "nothing in its column individual", "'FIN y'"),
        (PEOPLE.replace("bob\tFIN", "bob"), "another number of columns", "2 columns"),
        (PEOPLE.replace("bob\tFIN", "bob\tFIN\tTSI"), "another number of columns", "'bob"),
        (
            PEOPLE.replace("bob\tFIN", "bob").replace("ann\tGBR", "ann\tGBR\tTSI"),
            "another number of columns",
            "4 columns",
        ),
        ('individual,population\n"ann,GBR\nbob,FIN\n', "a quote is not closed", "ann,GBR"),
        ('individual,population\n"ann",GBR,x\n', "another number of columns", "3 columns"),
        ('individual,population\n"ann"x,GBR\n', "cannot be read as a table", "quoted wholly or not at all"),
        (PEOPLE.encode().replace(b"GBR", b"G\0R"), "is not text", "bytes of zero"),
        (PEOPLE.encode("utf-16"), "is not text", "bytes of zero"),
        (PEOPLE.replace("bob", "josé").encode("latin-1"), "is not text", "in the line of 'jos"),
        (gzip.compress(PEOPLE.encode(), mtime=0)[:-9], "damaged or cut short", "again"),
        (b"\x1f\x8bnothing of the kind", "damaged or cut short", "again"),
        (gzip.compress(PEOPLE.encode(), mtime=0) + b"and more", "damaged or cut short", "again"),
    ],
)
def test_what_is_no_table_of_people(tmp_path: Path, content: str | bytes, message: str, detail: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        read_individuals(path)
    assert detail in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_individuals(tmp_path / "none.tsv")
    with pytest.raises(DataError, match="does not exist") as caught:
        read_individuals(tmp_path)
    assert "a folder" in str(caught.value)


def test_blocks_do_not_show(tmp_path: Path) -> None:
    lines = [f"line {i} caf\u00e9" for i in range(50)]
    path = write(tmp_path, "\r\n\r\n".join(lines))
    for size in (1, 2, 7, 64, 10_000):
        blocks = list(text.text_blocks(path, kind="list", size=size))
        assert all(block.endswith(b"\n") for block in blocks)
        assert b"".join(blocks).decode().splitlines() == lines


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match="is not text") as caught:
        list(text.text_blocks(write(tmp_path, b"A" * (1 << 21)), kind="list", size=1 << 16))
    assert "a line of more than 1 MB" in str(caught.value)


def test_covariates_are_rows(tmp_path: Path) -> None:
    names, people, values = read_covariates(write(tmp_path, "id\tbob\tann\nPC1\t2\t1e-3\nPC2\tNA\t\n"))
    assert names == ("PC1", "PC2")
    assert people == ("bob", "ann")
    np.testing.assert_array_equal(values, [[2, 1e-3], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        ("id\tann\nPC1\t1\nPC1\t2\n", "the covariate PC1 stands twice", "each once"),
        ("id\tann\tann\nPC1\t1\t2\n", "the column ann stands twice", "each once"),
        ("id\tann\nPC1\t1e999\n", "no finite number", "'1e999'"),
        ("id\tann\nPC1\t0x1f\n", "no finite number", "PC1, column ann"),
        ("id\tann\tbob\nPC1\t1\t2\nPC2\t3\t-inf\n", "no finite number", "PC2, column bob"),
        ("id\nPC1\n", "no column of an individual", "table"),
    ],
)
def test_bad_covariates(tmp_path: Path, content: str, message: str, detail: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_covariates(write(tmp_path, content))
    assert detail in str(caught.value)
