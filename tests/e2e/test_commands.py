"""The command line on the demo data: each verb, what it prints, writes and exits with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from glm2x.cli import run

# a small, quick experiment: everything as shipped but for its size
QUICK = (
    "window=4096",
    "training.epochs=2",
    "training.batch_size=64",
    "training.reference.epochs=2",
)
MAIN = "seen_gene/new_individual"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cohort, split, baselines, a trained model, its predictions: by the commands that a user types."""
    folder = tmp_path_factory.mktemp("commands")
    data = Path(__file__).parents[2] / "src/glm2x/demo/data"
    assert (
        _run(
            *(
                "cohort",
                "build",
                "--variants",
                data / "genotypes.vcf.gz",
                "--expression",
                data / "expression.bed.gz",
            ),
            *("--reference", data / "reference.fa.gz", "--individuals", data / "individuals.tsv"),
            *("--covariates", data / "covariates.txt.gz", "--out", folder / "cohort"),
        )
        == 0
    )
    assert (
        _run(
            "split",
            folder / "cohort",
            "--preset",
            "s250",
            "--unseen-share",
            "0.2",
            "--out",
            folder / "split.json",
        )
        == 0
    )
    assert (
        _run(
            *("baseline", folder / "cohort", "--split", folder / "split.json", "--window", "4096"),
            *("--models", "training-mean,top-variant,ridge", "--out", folder / "linear.parquet"),
        )
        == 0
    )
    assert _train(folder, "run") == 0
    assert _predict(folder, "run/checkpoint", "model.parquet") == 0
    assert _predict(folder, "run/phases/reference/best", "reference.parquet") == 0
    return folder


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def _train(folder: Path, name: str, *words: str) -> int:
    paths = (f"cohort={folder / 'cohort'}", f"split={folder / 'split.json'}", f"out={folder / name}")
    settings = [word for setting in (*QUICK, *paths) for word in ("--set", setting)]
    return _run("train", "onehot-reference-then-personal", *settings, *words)


def _predict(folder: Path, checkpoint: str, out: str, *words: object) -> int:
    return _run("predict", folder / checkpoint, "--cohort", folder / "cohort", "--out", folder / out, *words)


def test_the_cells_of_the_evaluation(built: Path) -> None:
    tables = [built / f"{name}.parquet" for name in ("linear", "model", "reference")]
    sides = ("--cohort", built / "cohort", "--split", built / "split.json")
    assert _run("evaluate", *tables, *sides, "--out", built / "evaluation", "--force") == 0
    metrics = json.loads((built / "evaluation/metrics.json").read_text())
    assert metrics["target"] == "log"
    cells = metrics["cells"]
    assert cells[MAIN]["training-mean"]["null_share"] == 1.0
    assert cells[MAIN]["training-mean"]["mean_pearson"] == 0.0
    assert cells[MAIN]["ridge"]["individuals"] == 108
    assert {"onehot reference", "onehot reference-then-personal"} <= set(cells["unseen_gene/new_individual"])
    assert not any(check["status"] == "fail" for check in metrics["checks"])
    assert _run("report", built / "evaluation", "--run", built / "run", "--force") == 0
    page = (built / "evaluation/report.html").read_text()
    assert "reference-then-personal" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_predictions_without_expression_and_for_some_people(built: Path, tmp_path: Path) -> None:
    (tmp_path / "people").write_text("HG00096\nHG00097\n")
    (tmp_path / "genes").write_text("ENSG00000206176\n")
    assert (
        _predict(
            built,
            "run/checkpoint",
            "two.csv",
            "--individuals",
            tmp_path / "people",
            "--genes",
            tmp_path / "genes",
        )
        == 0
    )
    two = pl.read_csv(built / "two.csv")
    assert two["individual"].to_list() == ["HG00096", "HG00097"]
    whole = pl.read_parquet(built / "model.parquet").filter(gene="ENSG00000206176.5")
    for person, predicted in two.select("individual", "predicted").iter_rows():
        assert whole.filter(individual=person)["predicted"].item() == pytest.approx(predicted, rel=1e-6)


def test_haplotypes_are_printed_as_fasta(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--gene", "ENSG00000206176", "--individual", "HG00097", "--window", "130")
    assert _run("haplotypes", built / "cohort", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(">")] == [">HG00097_1", ">HG00097_2"]
    assert [len(line) for line in lines] == [10, 60, 60, 10] * 2


def test_the_same_seed_gives_the_same_predictions_and_another_other_ones(built: Path) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        assert _train(built, name, "--set", f"training.seed={seed}") == 0
        assert _predict(built, f"{name}/checkpoint", f"{name}.parquet") == 0
    first, again, other = (
        pl.read_parquet(built / f"{name}.parquet")["predicted"] for name in ("model", "again", "other")
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_killed_and_resumed_ends_in_the_same_numbers(built: Path) -> None:
    """A process as a user starts it; `tests/faults` kills at many more moments."""
    _train_and_kill(built, "killed", after_epochs=3)
    assert _train(built, "killed") == 2  # neither --resume nor --force
    assert _train(built, "killed", "--resume") == 0
    assert _predict(built, "killed/checkpoint", "killed.parquet") == 0
    whole, resumed = (pl.read_parquet(built / f"{which}.parquet") for which in ("model", "killed"))
    assert whole["predicted"].equals(resumed["predicted"])
    losses = [
        [(line["phase"], line["epoch"], line["train_loss"]) for line in _lines(file)]
        for file in (built / "run/history.jsonl", built / "killed/history.jsonl")
    ]
    assert losses[0] == losses[1]


def _lines(history: Path) -> list[dict]:
    return [json.loads(line) for line in history.read_text().splitlines()]


def _train_and_kill(folder: Path, name: str, after_epochs: int) -> None:
    """Train in a process of its own and kill it (SIGKILL) once the history has so many epochs."""
    paths = (f"cohort={folder / 'cohort'}", f"split={folder / 'split.json'}", f"out={folder / name}")
    words = [word for setting in (*QUICK, *paths) for word in ("--set", setting)]
    command = [sys.executable, "-m", "glm2x", "train", "onehot-reference-then-personal", *words]
    history = folder / name / "history.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if history.is_file() and history.read_bytes().count(b"\n") >= after_epochs:
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.wait()
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"


def test_a_run_is_not_gone_on_with_under_another_configuration(
    built: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _train(built, "run", "--resume", "--set", "training.learning_rate=0.5") == 2
    assert "learning_rate" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            [
                "cohort",
                "build",
                "--variants",
                "no.vcf",
                "--expression",
                "e",
                "--reference",
                "r",
                "--out",
                "o",
            ],
            1,
            "no.vcf",
        ),
        (["haplotypes", "nowhere", "--gene", "g", "--individual", "i"], 1, "there is no cohort"),
        (["haplotypes", "COHORT", "--gene", "ENSG0", "--individual", "HG00096"], 1, "ENSG0"),
        (
            ["haplotypes", "COHORT", "--gene", "ENSG00000206176", "--individual", "me"],
            1,
            "individuals are not",
        ),
        (
            ["haplotypes", "COHORT", "--gene", "ENSG00000206176", "--individual", "HG00096", "--window", "7"],
            2,
            "even",
        ),
        (["split", "COHORT", "--out", "s.json"], 2, "one of --preset"),
        (["split", "COHORT", "--preset", "s25", "--out", "s.json"], 2, "s250"),
        (["split", "COHORT", "--preset", "s250", "--train-count", "9", "--out", "s.json"], 2, "2 of them"),
        (["split", "COHORT", "--train", "t", "--out", "s.json"], 2, "--test"),
        (["split", "COHORT", "--train-count", "400", "--out", "s.json"], 2, "these numbers of people"),
        (
            ["baseline", "COHORT", "--split", "SPLIT", "--models", "elastic", "--out", "b.csv"],
            2,
            "elastic-net",
        ),
        (["baseline", "COHORT", "--split", "none.json", "--out", "b.csv"], 1, "none.json"),
        (["train", "CONFIG", "--set", "windw=2"], 2, "did you mean window?"),
        (["train", "CONFIG", "--set", "backbone.name=onehott"], 2, "onehot"),
        (["train", "none.yml"], 1, "none.yml"),
        (["predict", "nowhere", "--cohort", "COHORT", "--out", "p.csv"], 1, "nowhere"),
        (["evaluate", "--out", "e"], 2, "no table"),
        (["evaluate", "none.parquet", "--out", "e"], 1, "none.parquet"),
        (["report", "nowhere"], 1, "nowhere"),
        (["backbones", "onehott"], 2, "onehot"),
        (["config", "show", "one"], 2, "onehot-reference-then-personal"),
        (["nothing"], 2, "nothing"),
        (["train"], 2, "CONFIG"),
        (["cohort", "build", "--vriants", "x"], 2, "variants"),
    ],
)
def test_what_is_wrong_is_one_message(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {
        "cohort": str(built / "cohort"),
        "split": str(built / "split.json"),
        "out": "o",
        "backbone": {"name": "onehot"},
    }
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    places = {"COHORT": built / "cohort", "SPLIT": built / "split.json", "CONFIG": tmp_path / "config.yml"}
    assert _run(*(places.get(word, word) for word in words)) == code
    captured = capfd.readouterr()
    assert said in captured.err
    assert captured.err.startswith("glm2x: ")
    assert "Traceback" not in captured.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.yml"]


def test_a_strangers_table_is_evaluated(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [f"theirs,g{g},p{p},{p % 3 + g},{p % 3 - g}" for g in range(3) for p in range(12)]
    table = tmp_path / "theirs.csv"
    table.write_text("model,gene,individual,observed,predicted\n" + "\n".join(rows) + "\n")
    assert _run("evaluate", table, "--out", tmp_path / "evaluation") == 0
    metrics = json.loads((tmp_path / "evaluation/metrics.json").read_text())
    (cell,) = metrics["cells"].values()
    assert cell["theirs"]["mean_pearson"] == pytest.approx(1.0)
    assert "not run" in {check["status"] for check in metrics["checks"]}
    assert "1.000" in capfd.readouterr().out


def test_a_strangers_three_columns_are_evaluated_beside_our_models(built: Path, tmp_path: Path) -> None:
    """Other order of columns, another column, versions in the names of genes, some people missing."""
    ours = pl.read_parquet(built / "linear.parquet").filter(model="ridge")
    people = ours.filter(individual_split="test")["individual"].unique().sort()
    theirs = ours.filter(~pl.col("individual").is_in(people[:8].to_list())).select(
        "predicted", pl.lit("x").alias("fold"), "individual", pl.col("gene").str.replace(r"(\.\d+)?$", ".77")
    )
    theirs.write_csv(tmp_path / "theirs.csv")
    out = tmp_path / "evaluation"
    sides = ("--cohort", built / "cohort", "--split", built / "split.json")
    assert _run("evaluate", tmp_path / "theirs.csv", built / "linear.parquet", *sides, "--out", out) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    rows = metrics["cells"][MAIN]
    assert (rows["theirs"]["individuals"], rows["ridge"]["individuals"]) == (100, 108)
    assert metrics["data"]["adopted"]["observed_filled"] == theirs.height
    assert metrics["data"]["ignored_columns"] == ["fold"]
    (pair,) = [c for c in metrics["comparisons"] if (c["a"], c["b"], c["cell"]) == ("theirs", "ridge", MAIN)]
    assert pair["difference"] == pytest.approx(0, abs=1e-9)
    assert (pair["individuals"], pair["genes"]) == (100, rows["ridge"]["genes"])
    same = next(c for c in metrics["checks"] if c["name"] == "same_genes_and_people")
    assert "(without 8 people)" in same["detail"]
    alone = tmp_path / "alone"
    assert _run("evaluate", tmp_path / "theirs.csv", "--cohort", built / "cohort", "--out", alone) == 0
    assert json.loads((alone / "metrics.json").read_text())["target"] == "log"


def test_a_leak_is_exit_code_3(built: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = pl.read_parquet(built / "linear.parquet")
    person = table.filter(individual_split="test")["individual"][0]
    gene = table["gene"][0]
    leaked = table.with_columns(
        individual_split=pl.when((pl.col("individual") == person) & (pl.col("gene") == gene))
        .then(pl.lit("train"))
        .otherwise("individual_split")
    )
    leaked.write_csv(tmp_path / "leaked.csv")
    assert _run("evaluate", tmp_path / "leaked.csv", "--out", tmp_path / "evaluation") == 3
    assert "leak" in capfd.readouterr().err


def test_a_terminated_command_removes_what_it_half_wrote(tmp_path: Path) -> None:
    """SIGTERM, as a scheduler sends it, while a file is being written aside."""
    program = (
        "import os, signal, sys\nfrom glm2x import cli\nfrom glm2x.files import write_aside\n"
        "def run():\n"
        "    with write_aside(sys.argv[1]) as aside:\n"
        "        aside.write_text('half')\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "cli.run = run\ncli.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "table"], check=False)
    assert ended.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_cohort_is_checked(built: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _run("cohort", "check", built / "cohort") == 0
    assert "1,864 SNPs" in capfd.readouterr().err
    damaged = tmp_path / "cohort"
    shutil.copytree(built / "cohort", damaged)
    bits = damaged / "variants" / "22.npy"
    content = bytearray(bits.read_bytes())
    content[5000] ^= 1
    bits.write_bytes(content)
    assert _run("cohort", "check", damaged) == 1
    assert "22.npy" in capfd.readouterr().err


def test_consensus_files_of_two_people(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = Path(__file__).parents[2] / "src/glm2x/demo/data"
    (tmp_path / "people").write_text("HG00096\nHG00097\n")
    words = ["consensus", "--reference", data / "reference.fa.gz", "--variants", data / "genotypes.vcf.gz"]
    words += ["--individuals", tmp_path / "people", "--out", tmp_path / "consensus"]
    assert _run(*words) == 0
    made = sorted(path.name for path in (tmp_path / "consensus").glob("*.fa"))
    assert made == [f"HG0009{n}_allele_{h}_forward.fa" for n in (6, 7) for h in (1, 2)]
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "consensus").glob("*.fa")}
    assert _run(*words) == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "consensus").glob("*.fa")}
    assert "4" in capfd.readouterr().err
