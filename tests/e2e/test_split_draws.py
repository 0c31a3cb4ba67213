"""Few-shot splits by the commands that a user types: drawn, fitted, and evaluated together."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from glm2x.cli import run
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.listed import packaged
from glm2x.cohort.split import Split

NAMES = ("n10-draw0", "n10-draw1", "n40-draw0", "n40-draw1", "all")


def _run(*words: object) -> int:
    return run([str(word) for word in words])


def _split(cohort: Cohort, *words: object) -> int:
    return _run("split", cohort.folder, "--preset", "few-shot", *words)


@pytest.fixture(scope="module")
def folder(demo_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five splits of one base, and the baselines of each."""
    folder = tmp_path_factory.mktemp("few-shot")
    words = ("--train-count", "10,40,all", "--draws", 2, "--unseen-share", 0.2)
    assert _split(demo_cohort, *words, "--out", folder / "splits") == 0
    names = {f"few-shot-{n}.json{ending}" for n in NAMES for ending in ("", ".made.json")}
    assert {path.name for path in (folder / "splits").iterdir()} == names
    for name in NAMES:
        assert (
            _run(
                *("baseline", demo_cohort.folder, "--split", folder / f"splits/few-shot-{name}.json"),
                *("--models", "training-mean,ridge", "--window", 4096, "--out", folder / f"{name}.parquet"),
            )
            == 0
        )
    return folder


def test_draws_are_evaluated_together(folder: Path, demo_cohort: Cohort, tmp_path: Path) -> None:
    tables = [folder / f"{name}.parquet" for name in NAMES]
    assert pl.read_parquet(tables[1])["draw"].unique().to_list() == [1]
    for number, given in enumerate(("n10-draw0", "n40-draw1", "all")):
        words = ("--cohort", demo_cohort.folder, "--split", folder / f"splits/few-shot-{given}.json")
        out = tmp_path / str(number)
        assert _run("evaluate", *tables, *words, "--out", out) == 0
        metrics = json.loads((out / "metrics.json").read_text())
        cell = metrics["cells"]["seen_gene/new_individual"]
        assert list(cell) == [f"{m} n={n}" for m in ("training-mean", "ridge") for n in (10, 40, 286)]
        assert {row["individuals"] for row in cell.values()} == {72}
        assert list(cell["ridge n=10"]["seeds"]["mean_pearson_by_seed"]) == ["draw 0 seed 0", "draw 1 seed 0"]
        assert list(cell["ridge n=286"]["seeds"]["mean_pearson_by_seed"]) == ["0"]
        checks = {check["name"]: check["status"] for check in metrics["checks"]}
        assert "fail" not in checks.values()
        assert checks["split_labels"] == checks["people_on_two_sides"] == "pass"
        assert checks["same_genes_and_people"] == "pass"
        # what an evaluation writes is a table of the same base
        assert _run("evaluate", out / "predictions.parquet", *words, "--out", out / "again") == 0


def test_another_base_is_refused(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other, table = tmp_path / "other.json", tmp_path / "other.parquet"
    words = ("--train-count", 10, "--draw", 0, "--unseen-share", 0.2, "--seed", 1)
    assert _split(demo_cohort, *words, "--out", other) == 0
    assert Split.load(other).draw == 0
    fit = ("baseline", demo_cohort.folder, "--split", other, "--models", "training-mean", "--out", table)
    assert _run(*fit) == 0
    first = folder / "n10-draw0.parquet"
    assert _run("evaluate", first, table, "--out", tmp_path / "e") == 2
    assert "different splits are not evaluated together" in capfd.readouterr().err
    assert _run("evaluate", first, "--split", other, "--out", tmp_path / "e") == 2
    assert "made with another split" in capfd.readouterr().err


def test_a_strangers_table_takes_the_bases_sides_and_a_draws_only_the_test_people(
    folder: Path, tmp_path: Path
) -> None:
    split = Split.load(folder / "splits/few-shot-n10-draw0.json")
    table = pl.read_parquet(folder / "n40-draw1.parquet").filter(model="ridge")
    bare = table.drop("individual_split", "gene_split", "train_individuals")
    sides = {}
    for name, frame in (("drawn", bare), ("stranger", bare.drop("draw"))):
        frame.write_csv(tmp_path / f"{name}.csv")
        words = ("--split", folder / "splits/few-shot-n10-draw0.json", "--out", tmp_path / name)
        assert _run("evaluate", tmp_path / f"{name}.csv", *words) == 0
        said = pl.read_parquet(tmp_path / name / "predictions.parquet")
        sides[name] = dict(said.select("individual", "individual_split").iter_rows())
    both = set(table["individual"]) & set(split.train)
    assert both
    assert {sides["stranger"][name] for name in both} == {"train"}
    assert {sides["drawn"][name] for name in both} == {None}
    for found in sides.values():
        assert {name for name, side in found.items() if side == "test"} == set(split.test)


def test_nothing_is_overwritten_and_of_many_all_or_none(
    folder: Path, demo_cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("--train-count", "5,10", "--draws", 1, "--unseen-share", 0.2, "--out", tmp_path)
    taken = tmp_path / "few-shot-n10-draw0.json"
    taken.write_text("mine")
    assert _split(demo_cohort, *words) == 2
    assert "is there already" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [taken.name]
    assert _split(demo_cohort, *words, "--force") == 0
    # the same base, and the draws do not depend on what else is drawn
    again = Split.load(taken)
    assert again == Split.load(folder / "splits/few-shot-n10-draw0.json")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "few-shot"], "few-shot needs --train-count"),
        (["--preset", "few-shot", "--train-count", "ten"], "no list of numbers"),
        (["--preset", "few-shot", "--train-count", "10"], "5 splits do not go into one file"),
        (["--preset", "few-shot", "--train-count", "287", "--draw", "0"], "1 to 286 people"),
        (["--preset", "few-shot", "--train-count", "9", "--draws", "0"], "--draws is a number"),
        (["--preset", "few-shot", "--train-count", "9", "--draw", "0", "--draws", "2"], "--draws goes with"),
        (["--train-count", "10,20"], "--train-count is one number"),
        (["--train-count", "all"], "--train-count is one number"),
        (["--train-count", "10", "--draw", "1"], "--draw goes with --preset few-shot"),
        (
            ["--train-count", "10", "--train-share", "0.5"],
            "--train-share goes with --preset fraction, few-shot",
        ),
        (["--preset", "s250", "--train-share", "0.5"], "--train-share does not go with s250"),
        (["--preset", "s250", "--validation-count", "5"], "--validation-count goes with --train-count"),
        (["--preset", "full", "--validation", "v"], "--validation goes with --train and --test"),
        (["--preset", "s250", "--unseen-contigs", "8"], "no gene lies on a contig"),
        (["--preset", "leave-one-population-out", "--population", "YRI"], "FIN 92"),
        (["--preset", "few-shot", "--train-count", "all", "--draw", "3"], "all of them are one split"),
        (["--preset", "few-shot", "--train-count", "10,010"], "no list of numbers"),
        (["--preset", "s250", "--unseen-contigs", ""], "--unseen-contigs names no contig"),
        (["--preset", "s250", "--unseen-share", "0.01"], "--unseen-share holds out no gene"),
        (["--preset", "published-50-100", "--relatives", "together"], "--relatives does not go with"),
        (["--train", "a", "--test", "b", "--relatives", "ignore"], "lists are taken as they are"),
        (["--train", "a", "--test", "b", "--train-share", "0.5"], "goes with --preset fraction, few-shot"),
    ],
)
def test_what_is_wrong_is_one_message(
    demo_cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert _run("split", demo_cohort.folder, *words, "--out", tmp_path / "s.json") == 2
    assert said in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_sides_of_a_published_table_are_taken(
    demo_cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    genes = demo_cohort.genes
    sides = tuple("unseen" if i < 3 else None if i == 5 else "seen" for i in range(len(genes)))
    cohort = copy.copy(demo_cohort)
    cohort.gene_sides = sides  # type: ignore[assignment]
    monkeypatch.setattr(Cohort, "open", lambda folder: cohort)
    words = ("split", demo_cohort.folder, "--preset", "published-50-100", "--out", tmp_path / "s.json")
    assert _run(*words) == 0
    split = Split.load(tmp_path / "s.json")
    assert split.unseen == tuple(gene.gene for gene in genes[:3])
    assert list(split.excluded_genes) == [genes[5].gene]
    near = [u for u in genes[:3] if any(abs(u.tss - s.tss) < 64_000 for s in (*genes[3:5], *genes[6:]))]
    assert near
    assert f"{len(near)} of 3 unseen genes have a 64,000 bp window that overlaps" in capfd.readouterr().err
    own = ("--unseen-share", "0.3", "--out", tmp_path / "own.json")
    assert _run(*words[:-2], *own) == 0
    assert "the sides of the cohort's own table are not used" in capfd.readouterr().err
    assert len(Split.load(tmp_path / "own.json").unseen) == 8


def test_all_genes_are_taken_where_the_cohort_knows_their_sides(
    demo_cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    published = packaged("published-genes-200.txt")[0]
    cohort = copy.copy(demo_cohort)
    cohort.genes = (*demo_cohort.genes[:-1], replace(demo_cohort.genes[-1], gene=published))
    cohort.gene_ids = tuple(gene.gene for gene in cohort.genes)
    vars(cohort).pop("_gene_rows", None)
    monkeypatch.setattr(Cohort, "open", lambda folder: cohort)
    words = ("split", demo_cohort.folder, "--preset", "published-50-100", "--out")
    assert _run(*words, tmp_path / "a.json") == 0
    said = capfd.readouterr().err
    assert "1 of the 200 published genes are in the cohort" in said
    assert "0.15 of 1 seen genes is none: no gene validates reference phases" in said
    assert Split.load(tmp_path / "a.json").seen == (published,)
    cohort.gene_sides = ("unseen",) * 4 + ("seen",) * (len(cohort.genes) - 4)
    assert _run(*words, tmp_path / "b.json") == 0
    split = Split.load(tmp_path / "b.json")
    assert (len(split.seen), len(split.unseen)) == (len(cohort.genes) - 4, 4)
    said = capfd.readouterr().err
    assert "genes: {personal: " in said
    assert f"which leave out {len(split.reference_excluded)} beside those" in said


def test_a_gene_named_twice_is_said(
    demo_cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = demo_cohort.gene_ids[0]
    (tmp_path / "genes").write_text(f"{name}\n{name.partition('.')[0]}\n")
    words = ("--preset", "full", "--genes", tmp_path / "genes", "--out", tmp_path / "s.json")
    assert _run("split", demo_cohort.folder, *words) == 0
    assert "1 genes of the list stand there twice" in capfd.readouterr().err
    assert Split.load(tmp_path / "s.json").seen == (name,)


def test_what_was_done_about_relatives_is_said_and_frozen(
    demo_cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    preset = ("split", demo_cohort.folder, "--preset", "fraction")
    assert _run(*preset, "--out", tmp_path / "a.json") == 0
    said = "relatives not judged from genotypes: 1,864 variants, 20,000 needed"
    assert said in capfd.readouterr().err
    assert Split.load(tmp_path / "a.json").relatives == said
    assert _run(*preset, "--relatives", "ignore", "--out", tmp_path / "b.json") == 0
    assert Split.load(tmp_path / "b.json").relatives == "relatives were not looked at"
