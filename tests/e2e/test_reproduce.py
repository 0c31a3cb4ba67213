"""What the report says of how it was made: its commands, typed in another folder, make the same files."""

from __future__ import annotations

import html
import re
import shlex
import shutil
from pathlib import Path

import pytest

from glm2x.cli import run
from glm2x.sidecar import read

DATA = Path(__file__).parents[2] / "src/glm2x/demo/data"
GENES = "ENSG00000206176\nENSG00000215513\nENSG00000128185\n"
COMMANDS = (
    "cohort build --variants data/genotypes.vcf.gz --expression data/expression.bed.gz "
    "--reference data/reference.fa.gz --individuals data/individuals.tsv --covariates data/covariates.txt.gz "
    "--out cohort",
    "split cohort --preset s250 --genes 'some genes' --out split.json",
    "baseline cohort --split split.json --models ridge --window 4096 --weights-out w.parquet "
    "--out linear.parquet",
    "weights apply w.parquet --cohort cohort --split split.json --out applied.csv",
    "embed plan --backbone kmer --cohort cohort --split split.json --keep bins --bins 8 --window 4096 "
    "--out store",
    "embed run store",
    "train kmer-personal --set cohort=cohort --set split=split.json --set embeddings=store --set out=run "
    "--set window=4096 --set head.name=attention-pool --set training.epochs=1 --set training.batch_size=64",
    "predict run/checkpoint --cohort cohort --genes 'some genes' --out tower.parquet",
    "evaluate linear.parquet tower.parquet --cohort cohort --split split.json --out evaluation",
    "report evaluation --run run",
)
SAME = (
    *("cohort/cohort.json", "split.json", "linear.parquet", "w.parquet", "tower.parquet"),
    *("run/checkpoint/model.safetensors", "evaluation/metrics.json", "evaluation/loci.parquet"),
)


def fill(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    for file in DATA.iterdir():
        shutil.copyfile(file, folder / "data" / file.name)
    (folder / "some genes").write_text(GENES)


def commands_on(page: Path) -> list[str]:
    """The commands of the page's list, as they stand on it."""
    listed = page.read_text().partition('<ol class="commands">')[2].partition("</ol>")[0]
    return [html.unescape(found) for found in re.findall(r"<code>(.*?)</code>", listed)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands were typed."""
    folder = tmp_path_factory.mktemp("reproduce") / "first"
    fill(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            assert run(shlex.split(command)) == 0, command
    return folder


def test_the_page_lists_the_commands_that_led_to_it(made: Path) -> None:
    needed = [f"glm2x {command}" for command in COMMANDS if "weights apply" not in command]
    assert sorted(commands_on(made / "evaluation/report.html")) == sorted(needed)
    said = read(made / "evaluation/made.json")
    assert said is not None
    assert said.unrecorded == ()


def test_its_commands_make_the_same_files_in_another_folder(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = made.parent / "again"
    fill(again)
    monkeypatch.chdir(again)
    for command in commands_on(made / "evaluation/report.html"):
        assert run(shlex.split(command)[1:]) == 0, command
    for name in SAME:
        assert (again / name).read_bytes() == (made / name).read_bytes(), name
    assert commands_on(again / "evaluation/report.html") == commands_on(made / "evaluation/report.html")


def test_windows_and_passes_are_counted(made: Path) -> None:
    said = read(made / "evaluation/made.json")
    assert said is not None
    by_verb = {" ".join(one.words[:2]): one for one in said.made}
    people = 358
    predicted = by_verb["predict run/checkpoint"]
    assert predicted.windows == 2 * people * 3
    assert predicted.passes is not None
    assert 0 < predicted.passes < predicted.windows
    planned = by_verb["embed plan"]
    assert planned.windows == (2 * people + 1) * 3  # and the references
    assert planned.device == "cpu"


def test_the_record_of_applied_weights_leads_back_to_the_fit(made: Path) -> None:
    said = read(made / "applied.csv.made.json")
    assert said is not None
    assert [(one.role, one.path) for one in said.made[0].inputs] == [
        ("cohort", "cohort"),
        ("split", "split.json"),
        ("weights", "w.parquet"),
    ]


def test_a_finished_run_that_is_gone_on_with_keeps_its_record(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    before = (made / "run/made.json").read_bytes()
    assert run([*shlex.split(COMMANDS[6]), "--resume"]) == 0
    assert (made / "run/made.json").read_bytes() == before
