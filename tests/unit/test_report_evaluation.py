"""What the report shows of an evaluation beside the main table: few-shot curve, h2, seeds, target, checks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.report.figures.colours import Look
from glm2x.report.figures.few_shot import Line, few_shot_curve, spread
from glm2x.report.figures.heritability import heritability_scatter
from glm2x.report.figures.style import MANY_POINTS
from glm2x.report.parts import Cell, Column, Table, TableRow, without_empty
from glm2x.report.roles import arrange, figure_names
from report_folder import HEADINGS, HOSTILE, MAIN, add_few_shot, change_metrics, write_folder
from report_page import Page, page_of

MODEL = "onehot reference-then-personal"
BLUE, ORANGE = Look("#0072b2", "o"), Look("#e69f00", "D")
FEW_SHOT = "Few-shot curve"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_few_shot(write_folder(tmp_path_factory.mktemp("few") / "evaluation", people=40))


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(folder, out=tmp_path_factory.mktemp("page") / "report.html")


def test_a_few_shot_curve_has_a_section_a_figure_and_its_numbers(page: Page, folder: Path) -> None:
    assert page.headings == [*HEADINGS[:7], FEW_SHOT, *HEADINGS[7:]]
    assert 'href="#few-shot"' in page.html
    section = page.text.split("Its numbers")[1].split("The curve in the other cells")[0]
    points = json.loads((folder / "metrics.json").read_text())["few_shot"]
    point = next(p for p in points if (p["cell"], p["model"], p["train_individuals"]) == (MAIN, "ridge", 50))
    mean = point["mean_pearson"]
    # draws 0.01 apart have an SD of 0.01; all three are of one seed, so seeds have no column
    numbers = [mean, 0.01, mean - 0.01, mean + 0.01]
    said = " ".join(f"{value:.3f}" for value in numbers)
    assert f"ridge 50 3 {said} {mean - 0.1:.3f} to {mean + 0.1:.3f} 25 % 12 %".replace("-", "−") in section
    assert "model people learnt from draws mean r SD over draws" in section


def test_the_caption_of_the_curve_counts_draws_and_says_where_the_model_starts_and_ends(
    page: Page, folder: Path
) -> None:
    cell = json.loads((folder / "metrics.json").read_text())["cells"][MAIN]
    first, last = (cell[f"{MODEL} n={n}"]["mean_pearson"] for n in (10, 250))
    assert "(10 people: 3 draws, 50: 3, 250: 1)" in page.text
    assert f"Mean r of {MODEL}: {first:.3f} with 10 and {last:.3f} with 250." in page.text


def test_figures_and_gene_table_show_the_largest_size_of_each_model(page: Page) -> None:
    svgs = re.findall(r'<svg role="img" aria-label="([^"]+)"', page.html)
    forest = next(alt for alt in svgs if alt.startswith("Mean r by row"))
    assert forest.count("ridge ") == 1
    assert "people" not in forest
    head = page.html.split('class="genes sortable"')[1].split("</thead>")[0]
    assert "ridge n=250" in head
    assert "n=50" not in head
    assert "Of each model in the few-shot curve only that which learnt from most people is here." in page.text


def test_names_in_the_curve_are_escaped(tmp_path: Path) -> None:
    rows = {(HOSTILE, "personal"): 0.7, (HOSTILE, "reference"): 0.1, ("ridge", None): 0.8}
    page = page_of(add_few_shot(write_folder(tmp_path / "e", rows=rows, genes=4, people=20)))
    assert page.elements["script"] == 1
    assert "\u202e" not in page.text
    assert page.text.count("<script>alert('x')</script>") > 10


def test_seeds_and_draws_have_a_table_of_their_own(page: Page, folder: Path) -> None:
    seeds = page.text.split("Seeds and draws")[1].split("The other cells")[0]
    mean = json.loads((folder / "metrics.json").read_text())["cells"][MAIN]["gblup n=50"]["mean_pearson"]
    assert f"gblup n=50 3 0.010 0.010 {mean - 0.01:.3f} {mean + 0.01:.3f}".replace("-", "−") in seeds
    assert "gblup n=250" not in seeds
    assert "SD between seeds of a draw" not in seeds
    assert "Each row is one seed" not in page.text


def test_the_commands_draw_the_curve_again(page: Page, folder: Path, tmp_path: Path) -> None:
    # 212 training and 38 validation people: 250 are all that there are
    assert "--window 64000 --few-shot 10,50,all --draws 3 --out BASELINES.parquet" in page.text


def test_the_prior_window_of_informed_models_is_not_taken_for_the_others(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "e", rows={("ridge", None): 1.0, ("informed-ridge", None): 0.9}, genes=4)
    change_metrics(folder, window=400_000)
    assert "--window BP --prior-window 400000 --out BASELINES.parquet" in page_of(folder).text


def test_what_stands_behind_mean_r_is_shown(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=8, people=20)
    mean = json.loads((folder / "metrics.json").read_text())["cells"][MAIN]["ridge"]["mean_pearson"]
    text = page_of(folder).text.split("Behind mean r")[1].split("Against the linear models")[0]
    shown = f"ridge {mean:.3f} {mean - 0.011:.3f} {mean - 0.012:.3f} 0.42 0.61 7 -0.003 0.987 0.949 0.947"
    assert shown.replace("-", "−") in text


def test_r_against_heritability_is_drawn_with_its_median(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=12, people=40)
    own = pl.read_parquet(folder / "per_gene.parquet").filter(
        pl.col("label") == MODEL, pl.col("cell") == MAIN
    )
    found = own["accuracy"].drop_nulls()
    page = page_of(folder)
    assert f"Heritability and r of {MODEL}" in page.text
    assert f"h² is above 0 at 5 % FDR ({found.len()})" in page.text
    assert f"over the filled ones: {found.median():.2f}." in page.text.replace("−", "-")
    assert f"for 9 genes, {found.len()} with significant h2" in page.html


def test_an_older_evaluation_makes_a_page_without_what_it_lacks(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    path = folder / "per_gene.parquet"
    pl.read_parquet(path).drop("h2", "accuracy").write_parquet(path)
    cells = json.loads((folder / "metrics.json").read_text())["cells"]
    new = ("mean_pearson_within_population", "mean_partial_pearson", "median_slope", "heritable")
    for row in (row for cell in cells.values() for row in cell.values()):
        for key in (*new, "gene_mean", "difference", "across_genes"):
            del row[key]
        row["seeds"] = {"n": 1, "mean_pearson_by_seed": {"0": 0.1}, "sd": None}
    change_metrics(folder, cells=cells)
    page = page_of(folder)
    assert page.headings == HEADINGS
    for absent in ("Behind mean r", "Heritability", FEW_SHOT, "Seeds and draws", "stands behind"):
        assert absent not in page.text
    assert "Each row is one seed" in page.text


def test_where_no_gene_has_h2_nothing_is_drawn_of_it(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    path = folder / "per_gene.parquet"
    nothing = pl.lit(None, dtype=pl.Float64)
    pl.read_parquet(path).with_columns(h2=nothing, accuracy=nothing).write_parquet(path)
    assert "Heritability and r" not in page_of(folder).text


@pytest.mark.parametrize(
    ("target", "scale", "transductive", "head", "unit", "described"),
    [
        ("log", "rpkm", False, "target log ·", "log2(RPKM + 1)", "log: log2(x + 1)"),
        ("residual", "tpm", True, "target residual (transductive) ·", "residual log2(TPM + 1)",
         "of the training people (transductive)"),
        ("residual-all", "rpkm", False, "target residual-all (transductive) ·", "residual log2(RPKM + 1)",
         "residual-all (transductive): log2"),
        ("z-score", "rpkm", False, "target z-score ·", "z-score of log2(RPKM + 1)", "z-score: log2(x + 1)"),
        ("inverse-normal", "log2", False, "target inverse-normal ·", "normal score of log2 expression",
         "inverse-normal: normal quantile"),
        ("of-another-day", "rpkm", True, "target of-another-day (transductive) ·", "of-another-day",
         "target of-another-day (transductive)"),
    ],
)  # fmt: skip
def test_every_target_is_named_and_a_transductive_one_marked(
    tmp_path: Path, target: str, scale: str, transductive: bool, head: str, unit: str, described: str
) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    change_metrics(folder, target=target, expression_scale=scale, transductive=transductive)
    page = page_of(folder)
    assert head in page.text
    assert f"observed, {unit}<" in page.html
    assert described in page.text
    assert ("(transductive target)" in page.text) == ("(transductive)" in head)
    assert ("The target is transductive" in page.text) == ("(transductive)" in head)


def test_failed_checks_stand_before_the_result(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    page = page_of(folder)
    assert page.text.index("A leak check failed.") < page.text.index(f"{MODEL} was evaluated on")
    assert "windows overlapping between gene sets: 3 unseen genes overlap." in page.text
    checks = [{"name": "share_of_n", "status": "warn", "detail": "2 of 26", "leak": False}]
    change_metrics(folder, checks=checks)
    page = page_of(folder, force=True)
    assert "leak check failed" not in page.text
    assert "share of N 2 of 26" in page.text


@pytest.mark.parametrize(
    ("detail", "told"),
    [("needs --cohort and --split", True), ("needs --split", True), ("needs the column x", False)],
)
def test_only_a_check_that_lacks_cohort_or_split_names_the_command(
    tmp_path: Path, detail: str, told: bool
) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    change_metrics(folder, checks=[{"name": "x", "status": "not run", "detail": detail, "leak": True}])
    assert ("A check that was not run needs the cohort or the split." in page_of(folder).text) == told


def test_names_of_lines_keep_their_order_and_do_not_meet() -> None:
    assert spread([0.2, 0.8], 0.1) == [0.2, 0.8]
    assert spread([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.4, 0.5, 0.6])
    # the pair at 0.5 spreads to 0.45 and 0.55, which meets 0.6: the three are centred on their mean
    assert spread([0.6, 0.5, 0.5], 0.1) == pytest.approx([1.6 / 3 + 0.1, 1.6 / 3 - 0.1, 1.6 / 3])


def test_a_curve_names_its_sizes_and_lines_and_draws_a_bar_only_of_several_draws() -> None:
    def svg(sd: list[float | None]) -> str:
        lines = [
            Line("a <b>", BLUE, [10, 11, 1000], [0.1, 0.1, 0.2], sd),
            Line("c", ORANGE, [10], [0.1], [None]),
        ]
        return few_shot_curve(lines, name="few", alt="curve").svg

    without, with_bars = svg([None, None, None]), svg([0.02, 0.01, None])
    assert "a &lt;b&gt;" in without
    assert ">1,000<" in without
    assert ">11<" in without
    assert ">10<" not in without  # its text would lie on that of 11
    # one segment each
    assert with_bars.count("<path") - without.count("<path") == 2


def test_a_heritability_of_many_genes_is_a_picture_inside_the_figure() -> None:
    genes = MANY_POINTS + 100
    values = np.linspace(0, 0.9, genes)
    svg = heritability_scatter(
        values, values / 2, values > 0.5, label="m", look=BLUE, name="h", alt="h2"
    ).svg  # fmt: skip
    assert "data:image/png;base64," in svg
    assert len(svg) < 400_000
    assert "r = √h²" in svg


def test_rows_of_one_model_look_the_same_whatever_their_size() -> None:
    given = [
        {"label": f"{model} n={n}", "model": model, "strategy": None, "train_individuals": n}
        for model in ("a", "b", "ridge")
        for n in (10, 1)
    ]
    rows = arrange(given)
    assert [r.words for r in rows] == [
        "a (10 people)", "b (10 people)", "a (1 person)", "b (1 person)", "ridge (1 person)",
        "ridge (10 people)",
    ]  # fmt: skip
    looks = {(r.model, r.look) for r in rows}
    assert len(looks) == 3


def test_a_figure_names_the_number_of_people_only_where_it_differs() -> None:
    given = [
        {"label": f"ridge n={n}", "model": "ridge", "strategy": None, "train_individuals": n}
        for n in (10, 50)
    ]
    rows = arrange(given)
    assert figure_names(rows) == ["ridge (50 people)", "ridge (10 people)"]
    assert figure_names(rows[:1]) == ["ridge"]


def test_a_curve_of_one_size_does_not_speak_of_its_right_end(tmp_path: Path) -> None:
    folder = add_few_shot(write_folder(tmp_path / "e", genes=4, people=20), sizes=(50,))
    text = page_of(folder).text
    assert "which mark is highest, and by how much more than its bar" in text
    assert "right end" not in text


def test_columns_without_any_value_are_left_out() -> None:
    body = (TableRow("heading", group=True), TableRow("x", (Cell("1"), Cell("–"))))
    table = without_empty(Table("t", (Column("row"), Column("a"), Column("b")), body))
    assert [c.title for c in table.columns] == ["row", "a"]
    assert table.rows[1].cells == (Cell("1"),)
    assert table.rows[0].group
