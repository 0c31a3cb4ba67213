"""The tables beside the page: unrounded, complete, and harmless in a spreadsheet."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from glm2x.errors import UsageError
from glm2x.report import write_report
from glm2x.report.data import COLUMNS, Data, collect, frame
from glm2x.report.export import by_name, data_folder, harmless, write_data
from glm2x.report.parts import Column, Table
from report_folder import MAIN, add_few_shot, change_metrics, write_folder, write_run

MODEL = "onehot reference-then-personal"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(write_folder(folder / "evaluation"), runs=[write_run(folder / "run")])


def read(page: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(data_folder(page) / f"{name}.parquet")


def genes_of(*names: str) -> Data:
    return Data("genes", "One line a gene.", pl.DataFrame({"gene": names, "pearson": [0.1] * len(names)}))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ("ENSG00000100376", "ENSG00000100376"),
        ("a=b-c", "a=b-c"),
        ("", ""),
        (None, None),
    ],
)
def test_a_text_that_a_spreadsheet_would_run_is_given_an_apostrophe(
    text: str | None, wanted: str | None
) -> None:
    table = pl.DataFrame({"gene": [text], "pearson": [-0.5]}, schema_overrides={"gene": pl.String})
    assert harmless(table).row(0) == (wanted, -0.5)


def test_names_of_an_evaluation_are_harmless_in_the_csv_and_whole_in_the_parquet(tmp_path: Path) -> None:
    rows: dict[tuple[str, str | None], float] = {("=HYPERLINK(1)", "personal"): 0.9, ("ridge", None): 1.0}
    page = write_report(write_folder(tmp_path / "e", rows=rows, genes=4, people=20))
    text = (data_folder(page) / "genes.csv").read_text("utf-8")
    assert '"\'=HYPERLINK(1) personal"' in text
    assert re.search(r'(^|,)"?[=+@]', text, re.MULTILINE) is None
    assert "=HYPERLINK(1) personal" in set(read(page, "genes")["row"])


def test_both_files_of_a_table_hold_the_same_unrounded_numbers(tmp_path: Path) -> None:
    values = [1 / 3, -1e-17, float("nan"), None]
    data = Data("x", "One line a gene.", pl.DataFrame({"gene": list("abcd"), "pearson": values}))
    write_data(tmp_path / "d", {"x": data}, page="report.html", about=[])
    wanted = [1 / 3, -1e-17, None, None]
    assert pl.read_parquet(tmp_path / "d/x.parquet")["pearson"].to_list() == wanted
    assert pl.read_csv(tmp_path / "d/x.csv")["pearson"].to_list() == wanted


def test_the_numbers_beside_the_page_are_those_of_the_evaluation(page: Path) -> None:
    metrics = json.loads((page.parent / "metrics.json").read_text())
    ridge = metrics["cells"][MAIN]["ridge"]
    row = read(page, "rows").filter(cell=MAIN, row="ridge").row(0, named=True)
    assert row["mean_pearson"] == ridge["mean_pearson"]
    assert [row["ci95_low"], row["ci95_high"]] == ridge["ci95_mean_pearson"]
    assert row["heritable_genes"] == 7
    found = read(page, "comparisons").filter(a=MODEL, b="ridge", cell=MAIN)["difference"].item()
    assert (
        found == next(c for c in metrics["comparisons"] if (c["a"], c["b"]) == (MODEL, "ridge"))["difference"]
    )
    gene = read(page, "genes").filter(row="ridge").sort("gene")
    own = pl.read_parquet(page.parent / "per_gene.parquet").filter(cell=MAIN, label="ridge").sort("gene")
    assert gene["pearson"].to_list() == own["pearson"].to_list()


def test_genes_that_the_page_leaves_out_are_in_the_table_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glm2x.report.sections.per_gene.MOST_GENES", 5)
    page = write_report(write_folder(tmp_path / "e", people=9))
    assert read(page, "genes")["gene"].n_unique() == 20


def test_people_are_not_named(page: Path) -> None:
    assert read(page, "people").columns == ["gene", "observed", "predicted"]
    for path in data_folder(page).glob("*.csv"):
        assert "HG00" not in path.read_text("utf-8"), path.name


def test_every_link_leads_to_a_table_and_every_table_has_both_links(page: Path) -> None:
    linked = set(re.findall(r'href="report-data/([^"]+)"', page.read_text("utf-8")))
    tables = {p.name for p in data_folder(page).iterdir()} - {"README.txt", "report-data.json"}
    assert linked - {"README.txt"} == tables
    assert {Path(name).stem for name in tables} >= {
        *(
            "headline",
            "rows",
            "comparisons",
            "permuted",
            "against-gblup",
            "slopes",
            "calibration",
            "heritability",
            "forest",
        ),
        *("people", "training", "split", "excluded-genes", "checks", "genes"),
    }


def test_the_index_and_the_readme_say_what_each_table_and_column_is(page: Path) -> None:
    index = json.loads((data_folder(page) / "report-data.json").read_text("utf-8"))
    readme = (data_folder(page) / "README.txt").read_text("utf-8")
    assert (index["page"], index["format_version"]) == ("report.html", 1)
    for name, table in index["tables"].items():
        found = read(page, name)
        assert (table["rows"], list(table["columns"])) == (found.height, found.columns)
        assert f"{name}: {table['what']}" in readme
        assert all(f"{c} " in readme and COLUMNS[c] in readme for c in found.columns)
    assert "apostrophe" in readme


def test_a_few_shot_curve_has_its_points_beside_the_page(tmp_path: Path) -> None:
    page = write_report(add_few_shot(write_folder(tmp_path / "e", genes=8, people=20)))
    points = json.loads((tmp_path / "e/metrics.json").read_text())["few_shot"]
    found = read(page, "few-shot")
    assert found.height == len(points)
    assert found["mean_pearson"].sum() == pytest.approx(sum(p["mean_pearson"] for p in points))


def test_an_evaluation_without_any_row_has_a_folder_all_the_same(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", genes=2, people=9)
    change_metrics(folder, cells={}, comparisons=[], controls={}, checks=[], target=None)
    page = write_report(folder)
    assert (data_folder(page) / "README.txt").is_file()
    assert "target not stated" in (data_folder(page) / "README.txt").read_text()


def test_the_folder_is_named_after_the_page_and_linked_by_that_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", genes=4, people=20)
    page = write_report(folder, out=tmp_path / "a b#1.html")
    assert data_folder(page) == tmp_path / "a b#1-data"
    assert (tmp_path / "a b#1-data/genes.csv").is_file()
    assert 'href="a%20b%231-data/genes.csv"' in page.read_text("utf-8")


def test_tables_that_are_there_are_not_replaced_unasked(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", genes=4, people=20)
    page = write_report(folder)
    page.unlink()
    (data_folder(page) / "of-an-older-report.csv").touch()
    with pytest.raises(UsageError, match="report-data is there already"):
        write_report(folder)
    assert not page.exists()
    write_report(folder, force=True)
    assert not (data_folder(page) / "of-an-older-report.csv").exists()


def test_a_folder_of_somebodys_own_is_not_replaced_even_when_asked(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", genes=4, people=20)
    (folder / "report-data").mkdir()
    (folder / "report-data/thesis.txt").touch()
    with pytest.raises(UsageError, match="a folder that glm2x did not write"):
        write_report(folder, force=True)
    assert not (folder / "report.html").exists()


def test_one_table_may_stand_under_several_parts_and_two_may_not_share_a_name() -> None:
    assert list(by_name([genes_of("a"), genes_of("a")])) == ["genes"]
    with pytest.raises(ValueError, match="two tables of the page are named genes"):
        by_name([genes_of("a"), genes_of("b")])


def test_data_are_found_however_deep_they_lie() -> None:
    table = Table("t", (Column("gene"),), (), data=genes_of("a"))
    assert [d.name for d in collect({"x": [("title", table)], "y": None, "z": "text"})] == ["genes"]


def test_a_line_that_lacks_a_key_is_null_there() -> None:
    made = frame([{"gene": "a", "pearson": 1}, {"gene": "b"}], {"gene": pl.String, "pearson": pl.Float64})
    assert made.rows() == [("a", 1.0), ("b", None)]
    assert frame([], {"gene": pl.String}).schema == {"gene": pl.String}
