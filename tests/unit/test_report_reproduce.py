"""The commands on the page: as they were recorded, in outline where they were not, and hostile ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from glm2x.provenance import command
from glm2x.report import write_report
from glm2x.sidecar import IN_FOLDER, Artefact, History, Made, dump
from report_folder import HOSTILE, write_folder, write_run
from report_page import page_of

BUILD = Made(
    words=("cohort", "build", "--variants", "my data/people.vcf.gz", "--out", "cohort"),
    inputs=(Artefact("variants", "my data/people.vcf.gz", "ab" * 32, 12_345),),
    outputs=(Artefact("cohort", "cohort", "1f" * 32),),
    versions={"glm2x": "0.1.0", "python": "3.12.1", "numpy": "2.4.6"},
    machine="Linux x86_64",
    cores=2,
    seconds=61.2,
    peak=1_234_000_000,
)
TRAIN = replace(
    BUILD,
    words=("train", "config.yml", "--resume"),
    inputs=(),
    outputs=(Artefact("run", "run"),),
    versions={"glm2x": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    processes=8,
    a_node=4,
    device="cuda:0",
    child_peak=55_000_000,
)
PREDICT = replace(TRAIN, words=("predict", "run/checkpoint"), processes=1, windows=716, passes=192)
EVALUATE = replace(
    BUILD, words=("evaluate", "t.parquet"), inputs=(), outputs=(Artefact("evaluation", "my evaluation"),)
)


def folder_of(path: Path, *made: Made, unrecorded: tuple[Artefact, ...] = ()) -> Path:
    folder = write_folder(path / "evaluation", genes=4, people=20)
    (folder / IN_FOLDER).write_text(dump(History(made, unrecorded)))
    return folder


def test_the_commands_stand_as_they_were_typed_with_what_they_took(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path, BUILD, TRAIN, PREDICT, EVALUATE), runs=[write_run(tmp_path / "rp")])
    lines = [
        "glm2x cohort build --variants 'my data/people.vcf.gz' --out cohort 1 min 01 s, 1.23 GB",
        "torchrun --nnodes 2 --nproc-per-node 4 -m glm2x train config.yml --resume "
        "1 min 01 s, 1.23 GB and 55 MB, 8 processes",
        "glm2x predict run/checkpoint 1 min 01 s, 1.23 GB and 55 MB",
        "glm2x evaluate t.parquet 1 min 01 s, 1.23 GB",
        "glm2x report 'my evaluation' --run rp this page",
    ]
    assert " ".join(lines) in page.text
    assert "COHORT" not in page.text[page.text.index("To reproduce The 5 commands") :]
    assert "716 192 3.7×" in page.text  # windows, passes, and how many times fewer
    assert f"my data/people.vcf.gz variants 12,345 {'ab' * 32}" in page.text
    assert "Python 3.12.1 and 3.11.7" in page.text
    assert "machine Linux x86_64, 2 cores" in page.text
    assert "all 4 min 05 s" in page.text  # four times 61.2 s


def test_the_command_that_draws_the_page_stands_last(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, BUILD, EVALUATE)
    with command(["report", "evaluation", "--out", "page.html"]):
        write_report(folder)
    assert "glm2x report evaluation --out page.html</code>" in (folder / "report.html").read_text()


def test_a_stage_that_is_not_on_record_is_named(tmp_path: Path) -> None:
    lacking = Artefact("predictions", "theirs.csv")
    text = page_of(folder_of(tmp_path, BUILD, EVALUATE, unrecorded=(lacking,))).text
    assert "How theirs.csv (predictions) was made is not on record" in text
    assert "glm2x baseline COHORT --split split.json" in text  # in outline


@pytest.mark.parametrize("content", [None, "", "{", '{"format_version": 9}'])
def test_without_a_record_the_commands_stand_in_outline(tmp_path: Path, content: str | None) -> None:
    folder = write_folder(tmp_path / "evaluation", genes=4, people=20)
    if content is not None:
        (folder / IN_FOLDER).write_text(content)
    text = page_of(folder).text
    assert "No record of the commands lies beside this evaluation" in text
    assert "glm2x evaluate baselines.parquet model.parquet --cohort COHORT" in text


def test_what_a_record_says_is_escaped_and_on_one_line(tmp_path: Path) -> None:
    bad = f"{HOSTILE}\n\x1b[31m\ud800"
    hostile = replace(
        BUILD,
        words=("train", bad),
        inputs=(Artefact("variants", bad, bad), Artefact(bad, bad)),
        outputs=(Artefact("run", bad),),
        versions={bad: bad},
        machine=bad,
        device=bad,
    )
    page = page_of(folder_of(tmp_path, hostile, EVALUATE, unrecorded=(Artefact(bad, bad),)))
    assert page.elements["script"] == 1  # the page's own
    assert "<script>alert" not in page.html
    assert "\x1b" not in page.html
    assert page.html.count("<li><code>glm2x train ") == 1


def test_an_evaluation_of_very_many_commands_makes_a_page(tmp_path: Path) -> None:
    inputs = tuple(Artefact("variants", f"{n}.vcf", "0" * 64, n) for n in range(100))
    many = [replace(BUILD, words=("split", str(n)), inputs=inputs) for n in range(30)]
    page = page_of(folder_of(tmp_path, *many, EVALUATE))
    assert "The 32 commands" in page.text
    assert "Input files: 100; 40 more are in made.json" in page.text
