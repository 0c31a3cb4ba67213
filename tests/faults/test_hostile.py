"""Files that want to run something, to write elsewhere, or to be part of a page: through the command line.

Each payload is first shown to be alive, where that can be: loaded without care it makes the file `CANARY`. No
command may make it, and none may write outside of what it was asked to.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pysam
import pytest
import torch
import yaml
from damage_files import SET
from damage_world import WINDOW, glm2x, inside, make_study, must

import glm2x as package
from glm2x.files import read_json, sha256
from glm2x.seal import sealed
from report_page import Page

CANARY = "canary"
FEW = ("--genes", "gene.txt", "--individuals", "people.txt")
PREDICT = ("predict", "run/checkpoint", "--cohort", "sim/cohort", *FEW, "--out", "out.parquet")


class Payload:
    """An object that makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return (os.mkdir, (CANARY,))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated cohort, a split, lists, a run of one epoch, a store, and work that is done."""
    folder = tmp_path_factory.mktemp("hostile") / "made"
    folder.mkdir()
    with inside(folder):
        make_study()
    return folder


@pytest.fixture
def study(made: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of them, three folders deep, which is the current folder; afterwards nothing lies outside."""
    folder = tmp_path / "a" / "b" / "study"
    shutil.copytree(made, folder)
    with inside(folder):
        yield folder
    assert not (folder / CANARY).exists()
    outside = [path for path in tmp_path.rglob("*") if folder not in (path, *path.parents)]
    assert sorted(outside) == [tmp_path / "a", tmp_path / "a" / "b"]


def alive(load: Callable[[], object]) -> None:
    """Show that a payload works on whoever loads it without care."""
    load()
    Path(CANARY).rmdir()


def told(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a command that has to end with one message; return it."""
    capsys.readouterr()
    assert glm2x(*words) in (1, 2)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def rehash(folder: Path, name: str) -> None:
    """Make a checkpoint's checksum right again after a file in it was exchanged."""
    state = read_json(folder / "state.json")
    state["files"][name] = sha256(folder / name)
    (folder / "state.json").write_text(json.dumps(sealed(state)))


@pytest.mark.parametrize("save", [lambda path: path.write_bytes(pickle.dumps(Payload())), None])
def test_a_pickle_for_the_weights_of_a_checkpoint(
    study: Path, save: Callable[[Path], object] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study / "run/checkpoint/model.safetensors"
    if save is None:
        torch.save({"head": Payload()}, "x.pt")
        alive(lambda: torch.load("x.pt", weights_only=False))
        Path("x.pt").replace(path)
    else:
        save(path)
        alive(lambda: pickle.loads(path.read_bytes()))
    rehash(path.parent, path.name)
    assert "model.safetensors is not what was written" in told(capsys, *PREDICT)


def test_a_pickle_for_the_state_of_an_optimiser(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = study / "interrupted"
    for folder in (run, *run.glob("phases/*/last")):
        config = folder / "config.yml"
        config.write_text(
            config.read_text().replace("epochs: 1", "epochs: 2")
        )  # there is something left to do
        if folder == run:
            _record(run, config)
            continue
        (folder / "optimizer.safetensors").write_bytes(pickle.dumps(Payload()))
        for name in ("config.yml", "optimizer.safetensors"):
            rehash(folder, name)
    two = ("--set", "training.epochs=2", "--set", "training.reference.epochs=2", "--set", "out=interrupted")
    words = ("train", "onehot-reference-then-personal", *SET, *two, "--resume")
    assert "optimizer.safetensors is not what was written" in told(capsys, *words)


def _record(run: Path, config: Path) -> None:
    facts = read_json(run / "run.json")
    facts["config_sha256"] = sha256(config)
    (run / "run.json").write_text(json.dumps(sealed(facts)))


@pytest.mark.parametrize("kind", ["variants/sim1.npy", "reference/sim1.npy", "blocks.npz"])
def test_objects_in_the_arrays_of_a_cohort(
    study: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study / "sim/cohort" / kind
    objects = np.array([Payload()], dtype=object)
    if path.suffix == ".npz":
        with np.load(path) as stored:
            names = list(stored)
        np.savez(path, **dict.fromkeys(names, objects))
        alive(lambda: np.load(path, allow_pickle=True)[names[0]])
    else:
        np.save(path, objects, allow_pickle=True)
        alive(lambda: np.load(path, allow_pickle=True))
    manifest = read_json(study / "sim/cohort/cohort.json")
    facts = manifest["blocks.npz"] if path.suffix == ".npz" else manifest["files"][kind]
    facts |= {"bytes": path.stat().st_size, "sha256": sha256(path)}
    (study / "sim/cohort/cohort.json").write_text(json.dumps(sealed(manifest)))
    words = ("haplotypes", "sim/cohort", "--gene", "GENE1", "--individual", "P01", "--window", WINDOW)
    assert "a file of the cohort is damaged" in told(capsys, *words)


def test_objects_in_a_part_of_work(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = study / "work-predict/parts/00000.part"
    np.save(study / "x.npy", np.array([Payload()], dtype=object), allow_pickle=True)
    content = (study / "x.npy").read_bytes()
    alive(lambda: np.load(study / "x.npy", allow_pickle=True))
    part.write_bytes(content + hashlib.sha256(content).digest())
    assert "a part holds something else" in told(capsys, "work", "finish", "work-predict")
    assert not (study / "work-predict/predictions.parquet").exists()


def test_a_pickle_among_published_embeddings(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = study / "pt/P01/GENE1_allele_1.pt"
    torch.save(Payload(), path)
    alive(lambda: torch.load(path, weights_only=False))
    words = ("embed", "import", "pt", "--cohort", "sim/cohort", "--backbone", "kmer", "--window", WINDOW)
    assert "code in a file is never run" in told(capsys, *words, "--out", "imported")


TAG = f"!!python/object/apply:os.mkdir ['{CANARY}']"


def test_tags_in_yaml(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alive(lambda: yaml.unsafe_load(TAG))
    (study / "hostile.yml").write_text(f"cohort: {TAG}\n")
    for words in (
        ("train", "hostile.yml"),
        ("config", "convert", "hostile.yml"),
        ("work", "plan", "sweep", "hostile.yml", "--out", "work"),
        ("train", "onehot-personal", "--set", f"window={TAG}"),
    ):
        told(capsys, *words)
    # in a run's own files, with checksums that are right
    for folder in ("run", "interrupted"):
        (study / folder / "config.yml").write_text(f"cohort: {TAG}\n")
        _record(study / folder, study / folder / "config.yml")
    (study / "run/checkpoint/config.yml").write_text(f"cohort: {TAG}\n")
    rehash(study / "run/checkpoint", "config.yml")
    told(capsys, "report", "run", "--no-predict", "--out", "compared")
    told(capsys, "train", "onehot-personal", *SET, "--set", "out=interrupted", "--resume")
    told(capsys, *PREDICT)


EVIL = "../../x"


def own_cohort(contig: str = "1", people: tuple[str, str] = ("ann", "bob"), gene: str = "plus") -> list[str]:
    """Write the files of a cohort of two people; return the words of the command that builds it."""
    bases = "AACCGGTTAACCGGTTAACCGGTTAACCGGTT"
    Path("own.fa").write_text(f">{contig}\n{bases}\n")
    header = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(people)
    Path("own.vcf").write_text(
        f"##fileformat=VCFv4.2\n##contig=<ID={contig},length={len(bases)}>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"{header}\n{contig}\t9\t.\tA\tG\t.\t.\t.\tGT\t0|1\t1|1\n"
    )
    names = "\t".join(people)
    Path("own.bed").write_text(f"#chr\tstart\tend\tgene\tstrand\t{names}\n{contig}\t8\t9\t{gene}\t+\t3\t1\n")
    Path("own.txt").write_text(f"{people[0]}\n")
    return [
        *("cohort", "build", "--variants", "own.vcf", "--expression", "own.bed", "--reference", "own.fa"),
        *("--expression-scale", "log2", "--out", "own"),
    ]


def test_a_contig_that_is_a_path(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "a contig's name cannot be a file's" in told(capsys, *own_cohort(contig=EVIL))


def test_an_individual_that_is_a_path(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name is any text in tables; it is refused where files are called by it."""
    must(*own_cohort(people=(EVIL, "bob")))
    consensus = ("consensus", "--reference", "own.fa", "--variants", "own.vcf", "--individuals", "own.txt")
    assert "cannot be part of a file name" in told(capsys, *consensus, "--out", "consensus")
    must("embed", "plan", "--backbone", "kmer", "--window", 12, "--cohort", "own", "--out", "embedded")
    must("embed", "run", "embedded", "--workers", 1)
    export = ("embed", "export", "embedded", "exported", "--cohort", "own")
    assert "has no place for this name" in told(capsys, *export)
    (study / "evil.csv").write_text(f"gene,individual,predicted\nplus,{EVIL},1\nplus,bob,2\n")
    glm2x("evaluate", "evil.csv", "--cohort", "own", "--out", "evaluated")  # too few people to go on with


@pytest.mark.parametrize("gene", [EVIL, "a/b"])
def test_a_gene_that_is_a_path(study: Path, gene: str, capsys: pytest.CaptureFixture[str]) -> None:
    must(*own_cohort(gene=gene))
    must("embed", "plan", "--backbone", "kmer", "--window", 12, "--cohort", "own", "--out", "embedded")
    must("embed", "run", "embedded", "--workers", 1)
    told(capsys, "embed", "export", "embedded", "exported", "--cohort", "own", "--reference")
    Path("evil.txt").write_text(f"{gene}\n")
    words = ("embed", "import", "pt", "--cohort", "own", "--backbone", "kmer", "--genes", "evil.txt")
    told(capsys, *words, "--window", 12, "--out", "imported")


def test_a_run_of_a_sweep_that_is_a_path(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan from elsewhere: its runs lie in its folder."""
    must("work", "plan", "sweep", "experiment.yml", "--out", "work")
    plan = read_json("work/plan.json")
    plan["shards"][0]["run"] = "../../../evil"
    Path("work/plan.json").write_text(json.dumps(sealed(plan)))
    for verb in ("run", "status", "finish"):
        told(capsys, "work", verb, "work")


def test_files_of_a_checkpoint_that_are_paths(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = read_json("run/checkpoint/state.json")
    state["files"]["../../../../evil"] = "0" * 64
    Path("run/checkpoint/state.json").write_text(json.dumps(sealed(state)))
    assert "names of files in the folder" in told(capsys, *PREDICT)


def test_nothing_of_the_package_unpacks_an_archive() -> None:
    """What is downloaded is single files: an archive's member called ../../x has nowhere to go."""
    unpacking = {"extract", "extractall", "unpack_archive"}
    for path in sorted(Path(package.__file__).parent.rglob("*.py")):
        text = path.read_text()
        calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        called = {function.attr for function in calls if isinstance(function, ast.Attribute)}
        assert "unpack_archive" not in called, path
        assert not (called & unpacking and ("tarfile" in text or "zipfile" in text)), path


SCRIPT = "</script><script>alert(1)</script>"
ATTRIBUTE = "\"'><img src=x onerror=alert(1)>"


def test_names_that_are_markup(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People, genes, populations and models of a cohort and of a table: all of it is text in the page."""
    _spoil_names()
    must(
        *("cohort", "build", "--variants", "evil.vcf.gz", "--reference", "sim/reference.fa.gz"),
        *("--expression", "evil.bed", "--individuals", "evil.tsv", "--expression-scale", "log2"),
        *("--out", "own"),
    )
    for side in ("train", "test"):
        text = Path(f"{side}.txt").read_text().splitlines()
        Path(f"{side}.txt").write_text("".join(f"{name}{SCRIPT}\n" for name in text))
    must(
        *("split", "own", "--train", "train.txt", "--test", "test.txt", "--window", WINDOW),
        *("--reference-validation-share", 0, "--out", "evil.json"),
    )
    sides = ("--cohort", "own", "--split", "evil.json")
    fit = ("--split", "evil.json", "--window", WINDOW, "--jobs", 1, "--models", "elastic-net,ridge")
    must("baseline", "own", *fit, "--out", "evil.parquet")
    frame = pl.read_parquet("evil.parquet").filter(pl.col("model") == "ridge")
    for name in (SCRIPT, ATTRIBUTE, EVIL):
        model = frame.with_columns(model=pl.lit(name), predicted=pl.col("predicted") * 0.9)
        model.select("model", "gene", "individual", "predicted").write_csv(f"m{len(name)}.csv")
    tables = sorted(str(path) for path in Path().glob("m*.csv"))
    assert len(tables) == 3
    must("evaluate", "evil.parquet", *tables, *sides, "--target", "log", "--out", "evaluated")
    must("report", "evaluated", "--run", "run")
    html = Path("evaluated/report.html").read_text()
    must("evaluate", "linear.parquet", "--cohort", "sim/cohort", "--split", "split.json", "--out", "plain")
    must("report", "plain", "--run", "run")
    page, plain = Page(html), Page(Path("plain/report.html").read_text())
    assert page.elements["script"] == plain.elements["script"]
    assert page.elements["img"] == plain.elements["img"]
    assert "<script>alert" not in html
    assert "onerror=alert" in page.text  # it is there, as text
    assert SCRIPT in page.text
    assert set(page.elements) <= set(plain.elements) | {"details", "summary"}
    assert not [path for path in Path("evaluated").rglob("*") if "alert" in path.name or path.name == "x"]


def _spoil_names() -> None:
    """Write the simulated cohort's files again, with markup for names."""
    lines = _lines("sim/genotypes.vcf.gz")
    at = next(i for i, line in enumerate(lines) if line.startswith("#CHROM"))
    columns = lines[at].split("\t")
    lines[at] = "\t".join([*columns[:9], *(name + SCRIPT for name in columns[9:])])
    Path("evil.vcf").write_text("\n".join(lines) + "\n")
    pysam.tabix_compress("evil.vcf", "evil.vcf.gz")
    rows = [line.split("\t") for line in _lines("sim/expression.bed.gz")]
    rows[0] = [*rows[0][:6], *(name + SCRIPT for name in rows[0][6:])]
    for row in rows[1:]:
        row[3] += ATTRIBUTE
    Path("evil.bed").write_text("".join("\t".join(row) + "\n" for row in rows))
    people = [line.split("\t") for line in Path("sim/individuals.tsv").read_text().splitlines()]
    for row in people[1:]:
        row[0] += SCRIPT
        row[1] += ATTRIBUTE
    Path("evil.tsv").write_text("".join("\t".join(row) + "\n" for row in people))


def _lines(path: str) -> list[str]:
    return gzip.decompress(Path(path).read_bytes()).decode().splitlines()
