"""The report as a page: what it says, what it escapes, and what it does when something is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from glm2x.errors import DataError, UsageError
from glm2x.predictions import read_predictions
from glm2x.report import write_report
from report_folder import HEADINGS, HOSTILE, MAIN, ROWS, change_metrics, label_of, write_folder, write_run
from report_page import Page, page_of

MODEL = "onehot reference-then-personal"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("report")
    write_folder(folder / "evaluation")
    run = write_run(folder / "onehot-rp")
    return page_of(folder / "evaluation", runs=[run])


def test_the_synthetic_folder_holds_a_valid_predictions_table(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=12)
    table = read_predictions([folder / "predictions.parquet"])
    assert table.frame.height == 4 * 12 * len(ROWS)


def test_every_section_is_there(page: Page) -> None:
    assert page.headings == HEADINGS


def test_it_loads_nothing(page: Page) -> None:
    assert [link for link in page.loaded if not link.startswith("data:")] == []
    assert [link for link in page.links if not link.startswith("report-data/")] == []
    assert "@import" not in page.html
    assert not page.elements["img"]
    assert "default-src 'none'" in page.html


def test_ids_are_unique_and_references_resolve(page: Page) -> None:
    assert [i for i, n in Counter(page.ids).items() if n > 1] == []
    assert page.references <= set(page.ids)


def test_each_figure_has_a_text_alternative_a_title_and_a_sentence_that_says_what_to_see(page: Page) -> None:
    # heat map and forest; two scatters and two rankings; spread and heritability; two of populations; two of
    # calibration; two phases; eight genes in two figures
    assert page.elements["svg"] == 14 + 8
    assert len(re.findall(r'<svg role="img" aria-label="[^"]+"', page.html)) == 22
    assert page.html.count('<p class="title">') == page.elements["figure"] == 16
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.html)
    assert len(captions) == 16
    assert [caption for caption in captions if "What to see: " not in caption] == []


def test_it_is_small(page: Page) -> None:
    assert len(page.html.encode()) < 3_000_000


def test_the_numbers_of_the_main_table_are_those_of_metrics(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation")
    metrics = json.loads((folder / "metrics.json").read_text())["cells"][MAIN]["ridge"]
    text = page_of(folder).text
    low, high = metrics["ci95_mean_pearson"]
    assert f"ridge 20 108 {metrics['mean_pearson']:.3f} {low:.3f} to {high:.3f}" in text


@pytest.mark.parametrize(
    ("gap", "word", "sentence"),
    [
        (-0.05, "worse", f"Elastic net, ridge and GBLUP predict better than {MODEL}."),
        (0.05, "better", f"{MODEL} predicts better than elastic net, ridge and GBLUP."),
        (0.01, "cannot tell", f"The data cannot tell {MODEL} from elastic net, ridge and GBLUP."),
    ],
)
def test_the_headline_follows_the_intervals(tmp_path: Path, gap: float, word: str, sentence: str) -> None:
    text = page_of(write_folder(tmp_path / "evaluation", gap=gap)).text
    assert sentence in text
    assert "The smallest difference of mean r that these data would show" in text
    assert "is about 0.043" in text
    assert text.split("What these data cannot support")[0].count(f"{word} Against") == 3


def test_a_model_among_baselines_that_differ_names_the_worst_news_first(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation")
    comparisons = json.loads((folder / "metrics.json").read_text())["comparisons"]
    bounds = {"ridge": (-0.09, -0.01), "gblup": (-0.02, 0.04), "elastic-net": (0.01, 0.07)}
    for c in comparisons:
        c["ci95"] = list(bounds.get(c["b"], c["ci95"]))
    change_metrics(folder, comparisons=comparisons)
    assert (
        f"Ridge predicts better than {MODEL}; the data cannot tell {MODEL} from GBLUP; "
        f"{MODEL} predicts better than elastic net." in page_of(folder).text
    )


def test_a_comparison_written_the_other_way_round_is_turned(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", gap=-0.05)
    comparisons = json.loads((folder / "metrics.json").read_text())["comparisons"]
    turned = [
        c | {"a": c["b"], "b": c["a"], "difference": 0.05, "ci95": [0.02, 0.08]}
        for c in comparisons
        if c["a"] == MODEL and c["b"] in ("ridge", "gblup", "elastic-net")
    ]
    change_metrics(folder, comparisons=turned)
    text = page_of(folder).text
    assert f"Elastic net, ridge and GBLUP predict better than {MODEL}." in text
    assert "difference −0.050 (95 % CI −0.080 to −0.020)" in text


def test_names_from_a_table_are_escaped_everywhere(tmp_path: Path) -> None:
    rows = {("elastic-net", None): 0.8, (HOSTILE, "reference-then-personal"): 0.7}
    folder = write_folder(tmp_path / "evaluation", rows=rows)
    split = json.loads((folder / "split.json").read_text())
    split |= {"preset": HOSTILE, "excluded_genes": {HOSTILE: HOSTILE}}
    (folder / "split.json").write_text(json.dumps(split))
    change_metrics(
        folder, notes=[HOSTILE], checks=[{"name": HOSTILE, "status": "warn", "detail": HOSTILE, "leak": True}]
    )
    run = write_run(tmp_path / "run <b>")
    (run / "config.yml").write_text(f"strategy: {json.dumps(HOSTILE)}\n</pre><script>alert(2)</script>: 1\n")
    page = page_of(folder, runs=[run])
    assert page.elements["script"] == 1
    assert page.elements["b"] == 0
    assert "\u202e" not in page.text
    assert page.text.count("<script>alert('x')</script>") > 10


def test_without_runs_and_split_it_says_which_command_makes_them(tmp_path: Path) -> None:
    text = page_of(write_folder(tmp_path / "evaluation", split=False)).text
    assert "No training run was given" in text
    assert "glm2x train CONFIG.yml, then glm2x report DIR --run RUN" in text
    assert "No split was given" in text
    assert "glm2x evaluate PREDICTIONS... --cohort COHORT --split split.json --out DIR --force" in text


def test_without_linear_baselines_it_claims_nothing_and_names_the_command(tmp_path: Path) -> None:
    page = page_of(write_folder(tmp_path / "evaluation", rows={("mine", None): 0.9}))
    assert "mine could not be compared with a linear model" in page.text
    assert "--models elastic-net,ridge,gblup --target log" in page.text
    assert "There is no elastic net, ridge or GBLUP to draw the model against." in page.text


def test_baselines_alone_are_reported_as_such(tmp_path: Path) -> None:
    page = page_of(write_folder(tmp_path / "evaluation", rows={("ridge", None): 1.0, ("gblup", None): 0.9}))
    assert "This evaluation holds baselines only, on 20 genes in 108 people" in page.text
    assert "No model under test is among the rows." in page.text
    assert page.headings == HEADINGS


def test_a_model_that_is_null_everywhere_is_said_to_be(tmp_path: Path) -> None:
    text = page_of(
        write_folder(tmp_path / "evaluation", rows={("ridge", None): 1.0, ("flat", None): 0.0})
    ).text
    assert "All of its predictions are null" in text
    assert "No gene has a prediction that differs between people" in text


def test_one_gene_makes_a_page(tmp_path: Path) -> None:
    page = page_of(write_folder(tmp_path / "evaluation", genes=1, people=9))
    assert "1 gene in 9 people" in page.text
    assert page.headings == HEADINGS


def test_an_evaluation_without_any_measurement_makes_a_page(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    change_metrics(folder, cells={}, comparisons=[], controls={}, checks=[], target=None)
    text = page_of(folder).text
    assert "No person of this evaluation has both a prediction and a measurement" in text
    assert "No leak check was made." in text


def test_numbers_that_are_null_become_dashes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=9)
    cells = json.loads((folder / "metrics.json").read_text())["cells"]
    for row in cells[MAIN].values():
        row |= dict.fromkeys([k for k in row if k not in ("genes", "individuals")])
    change_metrics(folder, cells=cells)
    text = page_of(folder).text
    assert "Pearson r is not defined for any gene" in text
    assert "ridge 3 9 – – – – – – – – –" in text


def test_a_failed_leak_check_comes_first_and_spoils_the_numbers(page: Page) -> None:
    checks = page.text.split("what was found")[1]
    assert checks.index("fail") < checks.index("warn") < checks.index("not run") < checks.index("pass")
    assert "Of 4 checks: 1 failed, 1 warned, 1 not run and 1 passed." in page.text
    assert "cannot be taken as held-out performance" in page.text


def test_the_chosen_epoch_is_the_one_of_the_lowest_validation_loss(page: Page) -> None:
    # d/de of 1.2 exp(-e/5) + 0.0006 e^2 is 0 between 14 and 15, of 0.4 exp(-e/5) between 10 and 11.
    assert "Chosen by the lowest validation loss: epoch 13, loss" in page.text
    assert "Chosen by the lowest validation loss: epoch 10, loss" in page.text


def test_more_genes_than_the_table_holds_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glm2x.report.sections.per_gene.MOST_GENES", 5)
    text = page_of(write_folder(tmp_path / "evaluation", people=9)).text
    assert "The first 5 of 20 genes; the files hold all." in text


def test_a_cell_that_is_not_the_main_one_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation")
    cells = json.loads((folder / "metrics.json").read_text())["cells"]
    change_metrics(folder, cells={k: v for k, v in cells.items() if k != MAIN})
    page = page_of(folder)
    assert "the page shows unseen genes, new people instead" in page.text
    assert "Every row: unseen genes, new people" in page.headings


def test_it_is_written_where_asked_and_not_over_another(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    out = tmp_path / "elsewhere" / "page.html"
    assert write_report(folder, out=out) == out
    with pytest.raises(UsageError, match="there already"):
        write_report(folder, out=out)
    assert write_report(folder, out=out, force=True) == out
    assert write_report(folder) == folder / "report.html"


def test_two_reports_of_the_same_folder_are_the_same(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    first, second = (write_report(folder, out=tmp_path / name / "report.html") for name in "ab")
    assert second.read_text() == first.read_text()
    for path in (tmp_path / "a/report-data").iterdir():
        assert (tmp_path / "b/report-data" / path.name).read_bytes() == path.read_bytes()


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this folder holds no evaluation") as caught:
        write_report(tmp_path)
    assert "glm2x evaluate PREDICTIONS" in caught.value.do


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    change_metrics(folder, format_version=2)
    with pytest.raises(DataError, match="a format that this version does not read") as caught:
        write_report(folder)
    assert "--force" in caught.value.do


@pytest.mark.parametrize("name", ["per_gene", "predictions"])
def test_a_damaged_table_is_named(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    (folder / f"{name}.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=rf"{name}\.parquet of the evaluation is not readable"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_table_without_a_column_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    path = folder / "per_gene.parquet"
    pl.read_parquet(path).drop("pearson").write_parquet(path)
    with pytest.raises(DataError, match=r"per_gene\.parquet of the evaluation is not readable") as caught:
        write_report(folder)
    assert caught.value.got == "no column pearson"


@pytest.mark.parametrize("name", ["per_gene", "predictions"])
def test_a_missing_table_is_said_on_the_page(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=9)
    (folder / f"{name}.parquet").unlink()
    page = page_of(folder)
    assert f"{name}.parquet" in page.text
    assert page.headings == HEADINGS


def test_a_run_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    with pytest.raises(DataError, match="the run is not a folder"):
        write_report(folder, runs=[tmp_path / "absent"])


def test_a_torn_history_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=2, people=9)
    run = write_run(tmp_path / "run", epochs=2)
    with (run / "history.jsonl").open("a") as handle:
        handle.write('{"phase": "pers')
    with pytest.raises(DataError, match="line 5 of history") as caught:
        write_report(folder, runs=[run])
    assert "--resume" in caught.value.do


def test_r2_is_shown_as_its_median(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    cells = json.loads((folder / "metrics.json").read_text())["cells"]
    cells[MAIN]["ridge"] |= {"mean_r2": -8765.432, "median_r2": 0.0123}
    change_metrics(folder, cells=cells)
    text = page_of(folder).text
    assert "median\u00a0R²" in text or "median R²" in text
    assert "0.012" in text
    assert "8765" not in text
    assert "8,765" not in text


@pytest.mark.parametrize("name", ["ev[1]", "ev*", "model=x"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    page = page_of(write_folder(tmp_path / name, genes=4, people=20))
    # per_gene, comparisons and predictions were read: 12 figures and the panels of three genes
    assert page.elements["svg"] == 15


def test_labels_are_those_of_the_evaluation(page: Page) -> None:
    for model, strategy in ROWS:
        assert label_of(model, strategy) in page.text


def test_of_several_seeds_the_one_that_is_drawn_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    frame = pl.read_parquet(folder / "per_gene.parquet")
    seeds = [frame.with_columns(replicate=pl.lit(seed)) for seed in ("3", "5")]
    pl.concat([frame, *seeds]).write_parquet(folder / "per_gene.parquet")
    table = pl.read_parquet(folder / "predictions.parquet")
    # seed 5 predicts the opposite of seed 3: only the first may be drawn
    other = table.with_columns(seed=pl.lit(5, dtype=pl.Int64), predicted=-pl.col("predicted"))
    three = table.with_columns(seed=pl.lit(3, dtype=pl.Int64))
    pl.concat([other, three]).write_parquet(folder / "predictions.parquet")
    page = page_of(folder)
    assert "Drawn, with its r, is seed 3" in page.text
    best = frame.filter(pl.col("label") == MODEL, pl.col("cell") == MAIN)["pearson"].max()
    assert f"r = {best:.3f}" in page.text


def test_cells_and_checks_are_named_in_words(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    check = {"name": "people_on_two_sides", "status": "pass", "detail": "none", "leak": True}
    change_metrics(folder, notes=[f"{MAIN}: few genes."], checks=[check])
    text = page_of(folder).text
    assert "Seen genes, new people: few genes." in text
    assert "people on two sides" in text


def test_an_interval_that_holds_zero_is_said_to(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    cells = json.loads((folder / "metrics.json").read_text())["cells"]
    cells[MAIN][MODEL]["ci95_mean_pearson"] = [-0.016, 0.159]
    change_metrics(folder, cells=cells)
    assert "(95 % CI −0.016 to 0.159) and a median of" in page_of(folder).text
    assert "That interval holds 0." in (folder / "report.html").read_text()


def test_the_commands_name_the_files_models_and_runs(page: Page) -> None:
    assert "--models ridge,gblup,elastic-net,top-variant,genotype-pcs,training-mean --target log" in page.text
    assert "glm2x predict onehot-rp/checkpoint --cohort COHORT" in page.text
    assert "glm2x evaluate baselines.parquet model.parquet --cohort COHORT --split split.json" in page.text
    assert "glm2x report DIR --run onehot-rp" in page.text
