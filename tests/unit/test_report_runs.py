"""Several runs on one page: the table of runs, the pairs in words, the title."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from glm2x.report import write_report
from glm2x.report.pairs import told_apart
from glm2x.report.results import read_results
from glm2x.report.run_table import run_table, shared_settings
from glm2x.report.runs import Joint, RunOf, read_run
from report_folder import HOSTILE, MAIN, change_metrics, write_folder, write_run
from report_page import Page

LOSS = "lowest validation loss"
ROWS = {("ridge", None): 1.0, ("onehot", "reference"): 0.05, ("onehot", "personal"): 0.7}
ROWS |= {("other", "personal"): 0.3}  # type: ignore[dict-item]


def run_of(folder: Path, **settings: Any) -> Path:
    """A run of a personal strategy; `settings` are of its configuration, `training` its part of that name."""
    write_run(folder, epochs=2)
    config = {"cohort": "c", "out": str(folder), "strategy": "personal", "backbone": {"name": "onehot"}}
    config["training"] = {"epochs": 2, "learning_rate": 1e-4, "seed": 0} | settings.pop("training", {})
    (folder / "config.yml").write_text(yaml.safe_dump(config | settings))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write_folder(tmp_path / "evaluation", rows=ROWS)
    metrics = json.loads((made / "metrics.json").read_text())
    seeds = {"n": 2, "mean_pearson_by_seed": {"0": 0.25, "1": 0.35}, "sd": 0.0707}
    metrics["cells"][MAIN]["onehot personal"] |= {
        "mean_pearson": 0.3, "ci95_mean_pearson": [0.2, 0.4], "seeds": seeds,
    }  # fmt: skip
    change_metrics(made, cells=metrics["cells"])
    return made


def cells_of(folder: Path, runs: list[Any]) -> tuple[list[str], dict[str, list[str]]]:
    table = run_table(read_results(folder), [read_run(run) for run in runs])
    assert table is not None
    return [c.title for c in table.columns], {
        row.head: [cell.text for cell in row.cells] for row in table.rows
    }


def test_only_what_differs_is_a_column_and_the_rest_is_said_once(folder: Path, tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / "slow", training={"learning_rate": 1e-5, "gradient_clip": 1.0}),
        run_of(tmp_path / "fast", training={"learning_rate": 1e-3}),
    ]
    titles, rows = cells_of(folder, runs)
    assert titles[:2] == ["run", "learning rate"]
    assert titles[-1] == "gradient clip"
    assert len(titles) == 8
    assert [rows[name][0] for name in ("slow", "fast")] == ["1e-05", "0.001"]
    assert [rows[name][-1] for name in ("slow", "fast")] == ["1", "–"]
    shared = dict(shared_settings([read_run(run) for run in runs]))
    assert shared == {
        "backbone": "onehot", "strategy": "personal", "epochs": "2", "seed": "0", "parameters": "1,203,457",
    }  # fmt: skip


def test_seeds_of_a_model_have_a_line_with_mean_and_sd(folder: Path, tmp_path: Path) -> None:
    runs = [run_of(tmp_path / f"seed{n}", training={"seed": n}) for n in (0, 1)]
    titles, rows = cells_of(folder, runs)
    assert titles == [
        "run",
        "seed",
        "mean\xa0r",
        "95 % CI",
        "lowest validation loss",
        "validation\xa0r",
        "time",
    ]
    assert list(rows) == ["seed0", "seed1", "mean of 2 runs"]
    assert rows["seed0"][:3] == ["0", "0.250", "–"]
    assert rows["seed1"][:3] == ["1", "0.350", "–"]
    assert rows["mean of 2 runs"][:3] == ["", "0.300 (SD 0.071)", "0.200 to 0.400"]
    assert rows["seed0"][5] == "6 min 53 s"


def test_a_run_of_another_model_has_its_own_interval_and_one_of_none_has_no_r(
    folder: Path, tmp_path: Path
) -> None:
    runs = [
        RunOf(run_of(tmp_path / "a"), "x/a", "other"),
        RunOf(run_of(tmp_path / "b"), "not predicted", ""),
    ]
    _, rows = cells_of(folder, runs)
    metrics = read_results(folder).cells[MAIN]["other personal"]
    low, high = metrics["ci95_mean_pearson"]
    assert rows["x/a"][1] == f"{low:.3f} to {high:.3f}".replace("-", "−")
    assert rows["not predicted"][:2] == ["–", "–"]


def test_settings_of_a_reference_phase_play_no_part_without_one(folder: Path, tmp_path: Path) -> None:
    phase = {"reference": {"epochs": 9}}
    runs = [
        run_of(tmp_path / "both", strategy="reference-then-personal", training=phase),
        run_of(tmp_path / "one", training={"reference": {"epochs": 1}}),
    ]
    titles, _ = cells_of(folder, runs)
    assert titles[:2] == ["run", "strategy"]
    assert "reference epochs" not in titles


def test_one_run_is_no_comparison(folder: Path, tmp_path: Path) -> None:
    page = Page(write_report(folder, runs=[run_of(tmp_path / "a")]).read_text())
    assert "Runs" not in page.headings
    assert "<title>Personal gene expression: onehot" in page.html


def test_a_comparison_says_so_in_its_title_and_what_was_put_together(folder: Path, tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name) for name in ("a", "b")]
    joint = Joint(("a", HOSTILE), ("ridge stands in both",))
    page = Page(write_report(folder, runs=runs, joint=joint).read_text())
    assert "Runs" in page.headings
    title = re.search("<title>(.*?)</title>", page.html)
    assert title is not None
    assert title[1].startswith("Personal gene expression: comparison of a and &lt;script&gt;")
    assert "ridge stands in both" in page.text
    assert "<script>alert" not in page.html
    many = Page(write_report(folder, joint=Joint(tuple("abcdefg")), force=True).read_text())
    assert "comparison of 7 results" in many.text


def test_the_headline_says_which_pairs_the_data_tell_apart(folder: Path) -> None:
    pairs = [("onehot personal", "onehot reference", 0.05), ("other personal", "onehot personal", 0.01)]
    comparisons = [
        {
            "a": a, "b": b, "cell": MAIN, "difference": gap, "ci95": [gap - 0.03, gap + 0.03],
            "smallest_difference": 0.043,
        }
        for a, b, gap in pairs
    ]  # fmt: skip
    labels = {row.label for row in read_results(folder).rows}
    assert {"onehot personal", "onehot reference"} <= labels
    change_metrics(folder, comparisons=comparisons)
    assert told_apart(read_results(folder)) == [
        "Of 2 pairs of models and strategies, the data tell 1 apart: onehot personal predicts better than "
        "onehot reference (+0.050; 95 % CI 0.020 to 0.080).",
        "They cannot tell other personal from onehot personal (+0.010; 95 % CI −0.020 to 0.040). "
        "A difference of 0.043 would show.",
    ]
    change_metrics(folder, comparisons=[comparisons[1]])
    assert told_apart(read_results(folder))[0].startswith("The data cannot tell other personal from onehot")


def test_a_pair_that_is_worse_is_said_the_other_way_round(folder: Path) -> None:
    worse = {
        "a": "other personal",
        "b": "onehot personal",
        "cell": MAIN,
        "difference": -0.2,
        "ci95": [-0.3, -0.1],
    }
    change_metrics(folder, comparisons=[worse])
    assert told_apart(read_results(folder)) == [
        "The data tell two models apart: onehot personal predicts better than other personal "
        "(+0.200; 95 % CI 0.100 to 0.300)."
    ]
