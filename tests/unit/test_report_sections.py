"""The sections of the report: the four cells, the linear models, populations, calibration, controls."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from glm2x.report.figures.calibration import binned
from glm2x.report.figures.colours import Look
from glm2x.report.figures.differences import ranked_differences
from glm2x.report.figures.distribution import Spread, distributions, smoothed
from glm2x.report.figures.heat import full_colour, heat_map
from glm2x.report.results import read_results
from glm2x.report.roles import followed
from glm2x.report.section import Section, Subject
from glm2x.report.sections import against, calibration, cells, checks, people, populations
from report_folder import MAIN, OTHER, change_metrics, write_folder, write_large_folder

MODEL = "onehot reference-then-personal"
BLUE = Look("#0072b2", "o")
NAN = float("nan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("sections") / "evaluation", genes=26, people=30)


def subject_of(folder: Path) -> Subject:
    results = read_results(folder)
    return Subject(results, followed(results.rows), ())


def texts(table: object) -> dict[str, list[str]]:
    """What each row of a table says, by its head."""
    return {row.head: [cell.text for cell in row.cells] for row in table.rows}  # type: ignore[attr-defined]


def test_a_section_is_drawn_by_the_template_of_its_name() -> None:
    assert Section("four-cells", "Cells", lambda _: None).template == "sections/four-cells.html.j2"


def test_a_cell_that_was_not_evaluated_says_so_and_is_hatched(folder: Path) -> None:
    subject = subject_of(folder)
    table = cells.cells_table(subject.results, subject.follow)
    metrics = json.loads((folder / "metrics.json").read_text())["cells"]
    means = [f"{metrics[cell]['ridge']['mean_pearson']:.3f}" for cell in (MAIN, OTHER)]
    assert [column.title for column in table.columns[1:]] == [
        "seen genes, new people", "unseen genes, new people",
        "seen genes, training people", "unseen genes, training people",
    ]  # fmt: skip
    assert texts(table)["ridge"] == [*means, "not evaluated", "not evaluated"]
    low, high = metrics[MAIN]["ridge"]["ci95_mean_pearson"]
    assert table.rows[2].cells[0].small == f"{low:.3f} to {high:.3f}".replace("-", "−")
    # every made-up comparison would show 0.0429, and none is of unseen genes
    assert texts(table)["smallest difference that would show"] == [
        "0.043", "nothing compared", "not evaluated", "not evaluated",
    ]  # fmt: skip
    context = cells.context(subject)
    heat = context["plates"][0]
    assert heat.picture.svg.count("<pattern") == 1
    assert "seen genes, training people and unseen genes, training people were not evaluated" in heat.caption


def test_cells_without_sides_stand_alone(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    found = json.loads((folder / "metrics.json").read_text())["cells"]
    change_metrics(folder, cells={"any_gene/any_individual": found[MAIN]})
    results = read_results(folder)
    assert cells.shown_cells(results) == ["any_gene/any_individual"]


def test_full_colour_is_the_largest_r_and_never_that_of_noise() -> None:
    assert full_colour([[0.01, None], [NAN, -0.02]]) == 0.1
    assert full_colour([[0.1, -0.31]]) == pytest.approx(0.35)
    assert full_colour([[0.35]]) == pytest.approx(0.35)
    assert full_colour([[None]]) == 0.1


def test_a_heat_map_prints_what_there_is() -> None:
    svg = heat_map([[0.25, None], [-0.25, NAN]], ["a <b>", "c"], ["x\ny", "z"], name="h", alt="heat").svg
    assert ">0.250<" in svg
    assert ">−0.250<" in svg
    assert ">–<" in svg  # not defined
    assert svg.count("<pattern") == 1
    assert "a &lt;b&gt;" in svg


def test_the_model_is_drawn_against_elastic_net_and_gblup_or_ridge(tmp_path: Path, folder: Path) -> None:
    subject = subject_of(folder)
    assert subject.follow is not None
    assert [row.model for row in against.rivals(subject.results, subject.follow)] == ["elastic-net", "gblup"]
    rows = {("elastic-net", None): 0.8, ("ridge", None): 1.0, ("onehot", "personal"): 0.7}
    other = subject_of(write_folder(tmp_path / "evaluation", rows=rows, genes=4, people=20))
    assert other.follow is not None
    assert [row.model for row in against.rivals(other.results, other.follow)] == ["elastic-net", "ridge"]


def test_the_ranked_differences_count_what_the_test_of_each_gene_found(folder: Path) -> None:
    table = pl.read_parquet(folder / "comparisons.parquet").filter(
        pl.col("a") == MODEL, pl.col("b") == "gblup", pl.col("cell") == MAIN
    )
    found = table.filter(pl.col("fdr") < 0.05)["difference"]
    assert found.len() > 0
    plates, missing = against.gene_plates(subject_of(folder).results, subject_of(folder).follow)
    assert missing == []
    assert [plate.title for plate in plates] == [
        "Gene by gene against elastic net", "Gene by gene against GBLUP",
        "Difference to elastic net, gene by gene", "Difference to GBLUP, gene by gene",
    ]  # fmt: skip
    said = f"is better on {(found > 0).sum()} and worse on {(found < 0).sum()}."
    assert said in plates[3].caption


def test_a_pair_that_stands_the_other_way_round_is_turned(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    results = read_results(folder)
    straight = results.gene_differences(MODEL, "ridge")
    turned = results.gene_differences("ridge", MODEL)
    assert straight is not None
    assert turned is not None
    assert straight["difference"].to_list() == (-turned["difference"]).to_list()
    assert straight["t"].to_list() == (-turned["t"]).to_list()
    assert results.gene_differences(MODEL, "absent") is None
    (folder / "comparisons.parquet").unlink()
    assert results.gene_differences(MODEL, "ridge") is None
    plates, missing = against.gene_plates(results, followed(results.rows))
    assert len(plates) == 2
    assert "comparisons.parquet does not hold" in missing[0].what


def test_the_interval_of_a_difference_is_that_of_its_test() -> None:
    pairs = pl.DataFrame({"difference": [0.2, -0.1, 0.0], "t": [2.0, -0.5, 0.0], "individuals": [13, 13, 13]})
    # standard errors 0.1 and 0.2, t(0.975) of 10 degrees of freedom 2.228; no interval without a t
    np.testing.assert_allclose(against._half(pairs), [0.2228, 0.4456, NAN], atol=1e-4)


def test_many_differences_are_a_picture_without_bars() -> None:
    def svg(genes: int) -> str:
        y = np.linspace(0.5, -0.5, genes)
        return ranked_differences(
            y, np.full(genes, 0.1), y > 0.4, rival="x", look=BLUE, name="d", alt="differences"
        ).svg

    assert "data:image/png;base64," in svg(20_000)
    assert len(svg(20_000)) < 150_000
    assert "data:image/png;base64," not in svg(20)


def test_the_curve_of_r_has_its_top_where_most_genes_are() -> None:
    x, density = smoothed(np.array([0.2] * 30 + [0.6] * 10))
    assert x[np.argmax(density)] == pytest.approx(0.2, abs=0.011)
    assert density.max() == 1
    # two Gaussians of one width, 30 to 10
    assert density[np.argmin(np.abs(x - 0.6))] == pytest.approx(1 / 3, abs=0.02)
    assert density[np.argmin(np.abs(x + 0.5))] < 0.001


def test_a_distribution_is_as_small_for_20000_genes_as_for_20() -> None:
    def svg(genes: int) -> str:
        r = np.random.default_rng(0).normal(0.1, 0.1, genes)
        row = Spread("m", BLUE, r, 0.25, 0.1)
        empty = Spread("null", BLUE, np.array([]), 1.0, 0.0)
        return distributions([row, empty], name="s", alt="r").svg

    assert len(svg(20_000)) < 30_000
    # twenty marks instead of one that is not drawn, but for ticks
    assert svg(20).count("<use") - svg(20_000).count("<use") > 14
    assert "0.10, null 25\u00a0%" in svg(20)
    assert "0.00, null 100\u00a0%" in svg(20)


def test_populations_are_shown_with_people_and_intervals(folder: Path) -> None:
    subject = subject_of(folder)
    assert populations.populations(subject.results) == {"FIN": 28, "GBR": 26, "CEU": 25}
    table = populations.population_table(subject.results, subject.follow)
    assert table is not None
    mean = json.loads((folder / "metrics.json").read_text())["cells"][MAIN]["ridge"]["mean_pearson"]
    assert texts(table)["ridge"] == [f"{mean + gain:.3f}" for gain in (-0.027, 0.004, 0.031)]
    assert table.columns[1].title == "FIN (28 people)"
    shift, heat = populations.context(subject)["plates"]
    assert f"ridge {mean:.3f} and {mean - 0.011:.3f}" in shift.picture.svg
    assert f"CEU {mean + 0.031:.3f}" in heat.picture.svg


def test_without_populations_the_page_says_how_to_know_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    found = json.loads((folder / "metrics.json").read_text())["cells"]
    for row in (row for cell in found.values() for row in cell.values()):
        row["mean_pearson_within_population"], row["by_population"] = None, {}
    change_metrics(folder, cells=found)
    context = populations.context(subject_of(folder))
    assert (context["plates"], context["table_of_populations"]) == ([], None)
    assert "--cohort COHORT" in context["missing_parts"][0].command


def test_bins_hold_as_many_pairs_and_take_one_gene_as_one() -> None:
    predicted = np.array([-1.0, -1.0, -1.0, -1.0, 2.0, 3.0, 2.0, 3.0])
    observed = np.array([0.0, 0.0, 2.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    gene = np.array([0, 0, 1, 1, 0, 0, 0, 0])
    bins = binned(predicted, observed, gene, bins=2)
    np.testing.assert_allclose(bins.predicted, [-1, 2.5])
    np.testing.assert_allclose(bins.observed, [1, 1.5])
    # the sums of genes are -2 and 2 around the mean of 1: sqrt((4 + 4) * 2 / 1) / 4; one gene alone has none
    np.testing.assert_allclose(bins.error, [1.0, NAN])


def test_predictions_that_are_all_the_same_are_one_bin() -> None:
    bins = binned(np.zeros(6), np.arange(6.0), np.array([0, 0, 0, 1, 1, 1]))
    assert bins.predicted.tolist() == [0]
    assert bins.observed.tolist() == [2.5]


def test_deviations_are_from_the_training_mean_of_each_gene() -> None:
    frame = pl.DataFrame(
        {"gene": ["a", "b", "c"], "observed": [1.0, 5.0, 9.0], "predicted": [2.0, 5.5, NAN]},
    )
    means = pl.DataFrame({"gene": ["b", "a", "c"], "mean": [5.0, 0.5, 9.0]})
    found = calibration.deviations(frame, means).sort("gene")
    assert found.rows() == [(0, 0.5, 0.0), (1, 1.5, 0.5)]


def test_training_means_come_from_the_row_or_from_measurements_of_training_people(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    subject = subject_of(folder)
    assert subject.follow is not None
    table = pl.read_parquet(folder / "per_gene.parquet").filter(
        pl.col("label") == "training-mean", pl.col("cell") == MAIN
    )
    found = subject.results.training_means(subject.follow)
    assert found is not None
    assert found["mean"].to_list() == table["mean_predicted"].to_list()

    path = folder / "per_gene.parquet"
    pl.read_parquet(path).drop("mean_predicted").write_parquet(path)
    alone = subject_of(folder)
    assert alone.follow is not None
    assert alone.results.training_means(alone.follow) is None
    assert "the genes' means over training people, are missing" in (
        calibration.context(alone)["missing_parts"][0].what
    )
    names = pl.col("gene", "individual", "model", "gene_split", "individual_split").cast(pl.String)
    test = pl.read_parquet(folder / "predictions.parquet").with_columns(names)
    train = test.with_columns(individual=pl.lit("T") + pl.col("individual"), individual_split=pl.lit("train"))
    pl.concat([test, train.with_columns(pl.col("observed") + 1)]).write_parquet(
        folder / "predictions.parquet"
    )
    means = alone.results.training_means(alone.follow)
    assert means is not None
    expected = test.filter(pl.col("model") == "ridge").group_by("gene").agg(pl.col("observed").mean() + 1)
    np.testing.assert_allclose(means["mean"], expected.sort("gene")["observed"])


def test_best_and_worst_genes_share_none() -> None:
    assert people.both_ends(list("abcdefghij")) == (list("abcd"), list("jihg"))
    assert people.both_ends(list("abcde")) == (list("abc"), list("ed"))
    assert people.both_ends(["a"]) == (["a"], [])
    assert people.both_ends([]) == ([], [])


def test_a_control_that_did_not_come_out_stands_before_the_result(tmp_path: Path, folder: Path) -> None:
    assert checks.failed_controls(read_results(folder)) == []
    other = write_folder(tmp_path / "evaluation", genes=4, people=20)
    found = json.loads((other / "metrics.json").read_text())
    # 0.004 is near enough; 0.006 is not, but for its own chance of 0.002 (four of which are 0.008)
    for label, mean, sd in (("ridge", -0.006, 0.02), ("gblup", 0.004, 0.02), ("elastic-net", 0.006, 0.0633)):
        found["controls"][MAIN][label] |= {"permuted_mean_pearson": mean, "permuted_sd": sd}
    change_metrics(other, controls=found["controls"])
    (control,) = checks.failed_controls(read_results(other))
    assert control.detail == "ridge, seen genes, new people: mean r −0.0060 instead of 0"
    swapped = {"name": "haplotypes_swapped", "status": "warn", "detail": "3 change", "leak": False}
    permuted = {"name": "people_permuted", "status": "pass", "detail": "0.0001", "leak": False}
    change_metrics(other, checks=[swapped, permuted])
    # the evaluation has judged the permuted people itself
    assert [check.detail for check in checks.failed_controls(read_results(other))] == ["3 change"]


def test_the_page_of_20000_genes_and_8_rows_is_small(tmp_path: Path) -> None:
    from glm2x.report import write_report

    page = write_report(write_large_folder(tmp_path / "evaluation", genes=20_000, people=500)).read_text()
    assert len(page.encode()) < 3_000_000
    assert "one of 20,000 genes" in page
    assert len(re.findall(r'<svg role="img"', page)) == 20
