"""One of each kind of file that glm2x writes, small, made through the command line in the current folder."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glm2x.cli import run
from glm2x.files import read_json, write_json

PEOPLE, GENES, WINDOW = 30, 4, 2_048
SIDES = ("--cohort", "sim/cohort", "--split", "split.json")
SETTINGS = {
    "cohort": "sim/cohort",
    "split": "split.json",
    "window": WINDOW,
    "training.epochs": 1,
    "training.reference.epochs": 1,
    "training.device": "cpu",
    "genes.reference": "genes.txt",
    "genes.personal": "genes.txt",
    "out": "run",
}
COSTS = ("--backbones", "onehot", "--people", 60, "--genes", 10, "--window", WINDOW, "--device", "cpu")
DOWNLOADED = "GEUVADIS.chr22.PH1PH2_465.IMPFRQFILT_BIALLELIC_PH.annotv2.genotypes.vcf.gz"
DOWNLOAD = ("download", "genotypes", "--contigs", 22, "--out", "down", "--base-url", "http://127.0.0.1:9")
FIT = ("--split", "split.json", "--window", WINDOW, "--jobs", 1)


def glm2x(*words: object) -> int:
    """Run a command in this process, in the current folder."""
    return run([str(word) for word in words])


def must(*words: object) -> None:
    """Run a command that has to succeed."""
    assert glm2x(*words) == 0, words


def make_study() -> None:
    """Make what is worked on in the current folder: a cohort, a split, models, a store and work."""
    must(
        *("simulate", "--out", "sim", "--individuals", PEOPLE, "--genes", GENES, "--window", WINDOW),
        *("--populations", 2, "--covariates", 1, "--variant-kind", "all", "--diversity", 4e-3, "--seed", 1),
    )
    people, genes = _people(), [f"GENE{i + 1}" for i in range(GENES)]
    _list("people.txt", people[:4])
    _list("one.txt", people[:1])
    _list("train.txt", people[:16])
    _list("validation.txt", people[16:20])
    _list("test.txt", people[20:])
    _list("genes.txt", genes)
    _list("gene.txt", genes[:1])
    sides = [word for side in ("train", "validation", "test") for word in (f"--{side}", f"{side}.txt")]
    must("split", "sim/cohort", *sides, "--reference-validation-share", 0, "--out", "split.json")
    _models()
    _embeddings()
    _work()


def make_world() -> None:
    """Make everything in the current folder."""
    make_study()
    shutil.copytree("store", "merged")
    must("embed", "finish", "merged")
    must("work", "plan", "sweep", "experiment.yml", "--out", "work-sweep")
    must("work", "run", "work-sweep", "--workers", 1)
    must("work", "finish", "work-sweep")
    must("train", "experiment.yml", "--few-shot", "6", "--draws", 1, "--set", "out=few")
    must("plan", "--measure", "costs.json", *COSTS)
    Path("down").mkdir()
    shutil.copy("sim/genotypes.vcf.gz", f"down/{DOWNLOADED}")
    must(*DOWNLOAD)
    sources = ("--reference", "sim/reference.fa.gz", "--variants", "sim/genotypes.vcf.gz")
    must("consensus", *sources, "--individuals", "one.txt", "--out", "consensus")
    must("evaluate", "linear.parquet", "deep.parquet", *SIDES, "--out", "evaluation")
    must("evaluate", "few-shot.parquet", *SIDES, "--out", "few-shot")
    must("report", "evaluation", "--run", "run")


def _models() -> None:
    Path("experiment.yml").write_text(
        "cohort: sim/cohort\nsplit: split.json\nbackbone: {name: onehot}\nwindow: 2048\n"
        "head: {name: attention-pool}\nstrategy: personal\nout: run\n"
        "training: {epochs: 1, device: cpu}\n"
    )
    words = ("train", "onehot-reference-then-personal")
    must(*words, *(word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")))
    _interrupt("run", "interrupted")
    must("predict", "run/checkpoint", "--cohort", "sim/cohort", "--out", "deep.parquet")
    extra = ("--weights-out", "weights.parquet", "--genes-out", "fits.parquet")
    models = ("--models", "training-mean,elastic-net,ridge")
    must("baseline", "sim/cohort", *FIT, *models, *extra, "--out", "linear.parquet")
    must("baseline", "sim/cohort", *FIT, "--models", "ridge", "--out", "linear.csv")
    few = ("--models", "ridge", "--few-shot", "6,10", "--draws", 1)
    must("baseline", "sim/cohort", *FIT, *few, "--out", "few-shot.parquet")
    must(
        *("weights", "export", "weights.parquet", "--model", "elastic-net", "--build", "b37"),
        *("--out", "elastic-net.db"),
    )


def _interrupt(run: str, out: str) -> None:
    """Copy a run as it is before the end, when it has no checkpoint to predict with."""
    shutil.copytree(run, out)
    shutil.rmtree(f"{out}/checkpoint")
    Path(out, "made.json").unlink()
    facts = read_json(f"{out}/run.json")
    for key in ("seconds", "history_sha256"):
        del facts[key]
    write_json(f"{out}/run.json", {**facts, "done": False}, force=True)


def _embeddings() -> None:
    chosen = ("--cohort", "sim/cohort", "--genes", "genes.txt", "--individuals", "people.txt")
    words = ("--backbone", "kmer", "--window", WINDOW, "--device", "cpu", "--shard-haplotypes", 8)
    must("embed", "plan", *words, *chosen, "--out", "store")
    must("embed", "run", "store", "--workers", 1)
    must(
        "embed",
        "export",
        "store",
        "pt",
        "--cohort",
        "sim/cohort",
        "--genes",
        "gene.txt",
        "--individuals",
        "one.txt",
    )


def _work() -> None:
    must(
        *("work", "plan", "baseline", "sim/cohort", *FIT, "--models", "training-mean,informed-ridge"),
        *("--genes-per-shard", 2, "--keep-weights", "--out", "work-baseline"),
    )
    must("work", "run", "work-baseline", "--workers", 1)
    must(
        *("work", "plan", "predict", "run/checkpoint", "--cohort", "sim/cohort", "--split", "split.json"),
        *("--device", "cpu", "--genes-per-shard", 2, "--out", "work-predict"),
    )
    must("work", "run", "work-predict", "--workers", 1)


def _people() -> list[str]:
    with Path("sim/individuals.tsv").open() as handle:
        return [row["individual"] for row in csv.DictReader(handle, delimiter="\t")]


def _list(name: str, lines: list[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Be in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
