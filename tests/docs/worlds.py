"""Worlds: what lies in the scratch folder in which a page's commands run, and what else they find.

A world prepares the folder, gives environment variables, and may substitute parts of commands to make work
small; each of its substitutions must be used on every page of that world.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from pages import ROOT

import zero_shot_checkpoints
from alphagenome_checkpoints import write_alphagenome
from backbone_packages import install_source
from caduceus_checkpoints import write_caduceus
from glm2x.cli import run
from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.people import People
from glm2x.cohort.presets import preset_people
from glm2x.cohort.sources import CohortSources
from glm2x.config import show_config
from hub_server import hub
from language_checkpoints import kmers, write_esm
from nt_checkpoints import write_nt
from s3_server import served

DEMO = ROOT / "src/glm2x/demo/data"
Prepare = Callable[[Path, Path], AbstractContextManager[Mapping[str, str]]]
PUBLISHED = """\
model_name: evo2
partition_data_path: partitions.csv
consensus_root: consensus
ref_genome_path: hs37d5.fa
train_data: individuals
sample_allele: both
sampler: random
seq_len: 64000
batch_size: 8
num_epochs: 40
learning_rate: 1e-4
model_save_root: save_models
pretrained_model_path: ""
selected_gene: genes.txt
train_sample: train.txt
test_sample: test.txt
load_model: true
target_name: log_TPM
preCalculatedEmbed_root: embeddings
"""
ONE_EPOCH = r"(glm2x train [\w.-]+)", r"\1 --set training.epochs=1"


@dataclass(frozen=True)
class World:
    """How a folder is prepared, and substitutions: a regular expression and what takes its place."""

    prepare: Prepare
    substitutions: tuple[tuple[str, str], ...] = field(default=())

    def substitute(self, script: str) -> tuple[str, list[str], list[str]]:
        """Return the script as it runs, a line on each substitution, and those that found nothing."""
        told, unused = [], []
        for pattern, replacement in self.substitutions:
            script, times = re.subn(pattern, replacement, script)
            if not times:
                unused.append(pattern)
            told.append(f"{pattern}  ->  {replacement}  ({times} times)")
        return script, told, unused


WORLDS: dict[str, World] = {}


def world(*substitutions: tuple[str, str]) -> Callable[[Callable[..., Iterator[Mapping[str, str]]]], Prepare]:
    """Make a generator function the world of its name (``_`` is ``-``).

    It gets the empty folder, and one that all worlds share, for what is costly to make; it yields environment
    variables.
    """

    def register(function: Callable[..., Iterator[Mapping[str, str]]]) -> Prepare:
        prepare = contextmanager(function)
        WORLDS[function.__name__.replace("_", "-")] = World(prepare, substitutions)
        return prepare

    return register


@world()
def demo(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The real data of the demo, under the names a user's files might have."""
    names = {
        "genotypes.vcf.gz": "cohort.vcf.gz",
        "expression.bed.gz": "expression.bed.gz",
        "reference.fa.gz": "genome.fa.gz",
    }
    for source, name in names.items():
        for path in DEMO.glob(f"{source}*"):  # and its indexes
            shutil.copy(path, folder / path.name.replace(source, name))
    shutil.copy(DEMO / "individuals.tsv", folder / "people.tsv")
    with gzip.open(DEMO / "covariates.txt.gz", "rb") as covariates:
        (folder / "genotype-pcs.txt").write_bytes(covariates.read())
    yield {}


@world(
    (r"(glm2x train [\w.-]+)", r"\1 --set training.epochs=1"),
    (r"(glm2x train experiment.yml .*)", r"\1 --set training.reference.epochs=1"),
    (r" --set training.epochs=2", ""),
)
def readme(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The world `demo`, with the expression of six genes."""
    with WORLDS["demo"].prepare(folder, shared) as environment:
        expression = folder / "expression.bed.gz"
        lines = gzip.decompress(expression.read_bytes()).splitlines(keepends=True)
        expression.write_bytes(gzip.compress(b"".join(lines[:7])))
        Path(f"{expression}.tbi").unlink()
        yield environment


def _study(folder: Path, shared: Path) -> Cohort:
    """Prepare the demo's cohort, built, and its split s250."""
    made = shared / "study"
    if not made.exists():
        sources = CohortSources(
            variants=DEMO / "genotypes.vcf.gz",
            expression=DEMO / "expression.bed.gz",
            reference=DEMO / "reference.fa.gz",
            individuals=DEMO / "individuals.tsv",
            covariates=DEMO / "covariates.txt.gz",
        )
        build_cohort(sources, made / "cohort")
        opened = Cohort.open(made / "cohort")
        make_split(opened, preset_people(opened, "s250"), window=64_000).save(made / "split.json")
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return Cohort.open(folder / "cohort")


@world(
    (r"(glm2x train .*)--few-shot 10,20,50,100,all --draws 5", r"\1--few-shot 10,20 --draws 2"),
    (r"--nproc-per-node 4", "--nproc-per-node 2"),
    ONE_EPOCH,
)
def training(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The demo's cohort and split."""
    _study(folder, shared)
    yield {}


@world((r"for run in .*; do", "for run in s250-log r38-residual-all; do"))
def chromosome_22(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The demo's cohort and split, and in $DATA its data under the names of the whole chromosome's."""
    data = folder / "data"
    data.mkdir()
    for path in DEMO.glob("genotypes.vcf.gz*"):
        shutil.copy(path, data / path.name.replace("genotypes", "genotypes.chr22"))
    shutil.copy(DEMO / "expression.bed.gz", data / "genes.50percent.chr22.bed.gz")
    shutil.copy(DEMO / "covariates.txt.gz", data / "genes.covariates.pc50.txt.gz")
    _study(folder, shared)
    yield {"DATA": str(data)}


def _few(folder: Path, shared: Path) -> Cohort:
    """Prepare the demo's cohort, with a split of 24 people and four genes, and lists of those."""
    opened = _study(folder, shared)
    people, genes = opened.individuals[:24], opened.gene_ids[:4]
    sides = People(train=people[:12], validation=people[12:16], test=people[16:], preset="lists")
    few = make_split(opened, sides, window=64_000, genes=genes, reference_validation_share=0.0)
    few.save(folder / "split.json", force=True)
    for name, lines in {"people": people, "genes": genes, "train": sides.train, "test": sides.test}.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return opened


@world(ONE_EPOCH)
def few(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes of the demo's cohort, and lists of them."""
    _few(folder, shared)
    yield {}


@contextmanager
def _hub(repositories: Mapping[str, Path]) -> Iterator[Mapping[str, str]]:
    """Serve folders as repositories of the Hub; yield the variables by which it is found."""
    with hub({name: ("0123456789" * 4, folder) for name, folder in repositories.items()}) as (address, _):
        yield {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "", "HF_HUB_DISABLE_XET": "1"}


@world(
    (r"--window 11000", "--window 2050"),
    (r"(glm2x train [\w.-]+)", r"\1 --set training.epochs=1 --set window=2050"),
)
def language_models(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes, a published YAML, and on the Hub a small model of random weights."""
    weights = shared / "nucleotide-transformer"
    if not weights.exists():
        write_nt(weights, num_hidden_layers=29)
    name = "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species"
    _few(folder, shared)
    (folder / "published.yml").write_text(PUBLISHED)
    with _hub({name: weights}) as environment:
        yield environment


def _published_weights(shared: Path) -> AbstractContextManager[Mapping[str, str]]:
    """Serve small published models of random weights as the Hub does."""
    weights = shared / "published"
    if not weights.exists():
        official = {"human": 5313, "mouse": 3}
        enformer = zero_shot_checkpoints.enformer(output_heads=official)
        config = {**zero_shot_checkpoints.ENFORMER, "output_heads": official}
        zero_shot_checkpoints.save(enformer, config, weights / "enformer")
        borzoi = zero_shot_checkpoints.borzoi()
        zero_shot_checkpoints.save(borzoi, zero_shot_checkpoints.BORZOI, weights / "borzoi")
    names = {
        "EleutherAI/enformer-official-rough": "enformer",
        "johahi/borzoi-replicate-0": "borzoi",
    }
    return _hub({name: weights / own for name, own in names.items()})


@world((r"(glm2x zero-shot .*)", r"\1 --window 2048 --batch-size 32 --genes genes.txt"))
def zero_shot(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes, and small published models of random weights on the Hub."""
    _few(folder, shared)
    with _published_weights(shared) as environment:
        yield environment


@world(
    (r"--nproc-per-node 4", "--nproc-per-node 2"),
    (r"(-m glm2x train [\w.-]+)", r"\1 --set training.epochs=1"),
)
def several_devices(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The world `zero-shot`, and a configuration, experiment.yml."""
    _few(folder, shared)
    (folder / "experiment.yml").write_text(show_config("onehot-personal"))
    keys = {"demo-out/cohort": "cohort", "demo-out/split.json": "split.json"}
    text = (folder / "experiment.yml").read_text()
    for old, new in keys.items():
        text = text.replace(old, new)
    (folder / "experiment.yml").write_text(text)
    with _published_weights(shared) as environment:
        yield environment


@world((r"(glm2x train [\w.-]+)", r"\1 --set window=2048 --set training.epochs=1 --set training.device=cpu"))
def small_s2f(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The world `zero-shot`; models are trained for one epoch, on small windows."""
    _few(folder, shared)
    with _published_weights(shared) as environment:
        yield environment


@world(
    (
        r"(glm2x train [\w.-]+)",
        r"\1 --set backbone.weights=small --set backbone.revision=null --set window=2048"
        " --set training.epochs=1 --set training.device=cpu",
    )
)
def small_alphagenome(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes, and a small AlphaGenome in a folder: the official one is of full size only."""
    _few(folder, shared)
    write_alphagenome(folder / "small")
    yield {}


@world(
    (r"(glm2x embed plan)", r"\1 --window 2048"),
    (r"(glm2x train [\w.-]+)", r"\1 --set window=2048 --set training.epochs=1"),
)
def small_language_models(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes, and on the Hub small language models of random weights."""
    weights = shared / "language"
    if not weights.exists():
        write_caduceus(weights / "caduceus")
        write_esm(weights / "esm", [*kmers(6), *"ACGTN"])
    names = {
        "kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16": weights / "caduceus",
        "InstaDeepAI/nucleotide-transformer-500m-human-ref": weights / "esm",
    }
    _few(folder, shared)
    with _hub(names) as environment:
        yield environment


@world()
def a_strangers_table(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The demo's cohort and split, and two tables: a CSV with the least columns, and one with all."""
    _study(folder, shared)
    ours = folder / "ours.parquet"
    _glm2x(
        "baseline", folder / "cohort", "--split", folder / "split.json", "--models", "ridge", "--out", ours
    )
    theirs = pl.read_parquet(ours).select("gene", "individual", pl.col("predicted").round(1))
    theirs.write_csv(folder / "theirs.csv")
    yield {}


def _studied(folder: Path) -> None:
    """Make of a small study, with the command line, each kind of file that there is."""
    opened = _few(folder, folder.parent)
    data = ("--cohort", folder / "cohort", "--split", folder / "split.json")
    window = ("--window", 2_048)
    keys = {"window": 2_048, "training.epochs": 1, "training.reference.epochs": 1, "out": folder / "run"}
    keys |= {"cohort": folder / "cohort", "split": folder / "split.json", "training.device": "cpu"}
    settings = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    weights = folder / "weights.parquet"
    models = ("--models", "training-mean,elastic-net,ridge", "--weights-out", weights)
    tables = (folder / "model.parquet", folder / "baselines.parquet")
    (folder / "one.txt").write_text(f"{opened.individuals[0]}\n")
    _glm2x("train", "onehot-reference-then-personal", *settings)
    _glm2x("predict", folder / "run/checkpoint", "--cohort", folder / "cohort", "--out", tables[0])
    _glm2x("baseline", folder / "cohort", data[2], data[3], *models, "--out", tables[1])
    database = ("--model", "elastic-net", "--build", "b37", "--out", folder / "elastic-net.db")
    _glm2x("weights", "export", weights, *database)
    _glm2x("evaluate", *tables, *data, "--out", folder / "evaluation")
    for name, keep in (("bins", ("--keep", "bins", "--bins", 8)), ("tokens", ())):
        _glm2x("embed", "plan", "--backbone", "kmer", *data, *window, *keep, "--out", folder / name)
        _glm2x("embed", "run", folder / name)
        _glm2x("embed", "finish", folder / name)
    sources = ("--reference", DEMO / "reference.fa.gz", "--variants", DEMO / "genotypes.vcf.gz")
    _glm2x("consensus", *sources, "--individuals", folder / "one.txt", "--out", folder / "consensus")


@world()
def formats(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """A study of few people and genes with all that is made of it."""
    made = shared / "formats"
    if not made.exists():
        aside = shared / "formats-unfinished"
        aside.mkdir()
        _studied(aside)
        aside.rename(made)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    yield {}


@world((r"(glm2x train [\w.-]+)", r"\1 --set training.epochs=1 --set training.device=cpu"))
def an_example_package(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """Few people and genes, and the example package, installed."""
    example, site = ROOT / "examples/glm2x-gc-content", shared / "site"
    if not site.exists():
        install_source(example, site)
    _few(folder, shared)
    shutil.copytree(example / "tests", folder / "examples/glm2x-gc-content/tests")
    path = os.pathsep.join(
        (str(Path(sys.executable).parent), os.environ["PATH"])
    )  # no server has the package
    yield {"PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)]), "PATH": path}


@world(
    (r"(glm2x train [\w.-]+)", r"\1 --set training.epochs=1 --set training.reference.epochs=1"),
    (r"(glm2x baseline cohort)", r"\1 --models training-mean,ridge"),
)
def own_cohort(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The demo's data as somebody's own: a VCF to be filtered, a matrix with a GTF, people and covariates."""
    if shutil.which("bcftools") is None:
        pytest.skip("needs bcftools")
    with WORLDS["demo"].prepare(folder, shared) as environment:
        shutil.move(folder / "cohort.vcf.gz", folder / "phased.vcf.gz")
        (folder / "cohort.vcf.gz.tbi").unlink()
        shutil.move(folder / "genotype-pcs.txt", folder / "covariates.txt")
        bed = pl.read_csv(folder / "expression.bed.gz", separator="\t", infer_schema_length=None)
        bed.drop("#chr", "start", "end", "length", "strand").write_csv(
            folder / "gene-tpm.tsv", separator="\t"
        )
        place = pl.format(
            '{}\tHAVANA\tgene\t{}\t{}\t.\t{}\t.\tgene_id "{}";', "#chr", "end", "end", "strand", "gene"
        )
        lines = bed.select(place).to_series().to_list()
        (folder / "gencode.gtf").write_text("".join(f"{line}\n" for line in lines))
        yield environment


@world()
def workflow(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The world `readme` with the workflow beside it, whose configuration asks for little."""
    with WORLDS["readme"].prepare(folder, shared) as environment:
        shutil.copytree(ROOT / "workflow", folder / "glm2x/workflow")
        (folder / "glm2x/workflow/config.yml").write_text(small_study())
        yield environment
    assert (folder / "study/evaluation/report.html").exists()


def small_study() -> str:
    """Return the workflow's configuration with windows of 2,050 bp, and one epoch."""
    text = (ROOT / "workflow/config.yml").read_text()
    epoch = "training.epochs: 1, window: 2050"
    for old, new in {
        "bins: 400}": "bins: 200, window: 2050}",
        "set: {training.batch_size: 64}": f"set: {{training.batch_size: 64, {epoch}}}",
        "experiment: onehot-reference-then-personal": f"experiment: onehot-personal, set: {{{epoch}}}",
        "elastic-net,ridge,gblup": "ridge",
        "runners: 1": "runners: 2",
        "embeddings: 2, train: 2": "embeddings: 1, train: 1",
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


@world()
def evaluated(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """A run of one epoch, and an evaluation of it beside linear models."""
    made = shared / "evaluated"
    if not made.exists():
        made.mkdir()
        _few(made, shared)
        _evaluate_one_epoch(made)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    yield {}


@world(
    (r"--genes-per-shard 20", "--genes-per-shard 2"),
    (r"(work plan sweep .*?) \\\n", r"\1 --set training.epochs=1 --set window=4096 \\\n"),
    ONE_EPOCH,
)
def cluster(folder: Path, shared: Path) -> Iterator[Mapping[str, str]]:
    """The world `evaluated`, and an object storage."""
    with WORLDS["evaluated"].prepare(folder, shared) as environment, served() as storage:
        yield {**environment, **storage.environment}


def _evaluate_one_epoch(folder: Path) -> None:
    values = (
        *("training.epochs=1", "training.batch_size=8", "window=4096"),
        *(f"cohort={folder / 'cohort'}", f"split={folder / 'split.json'}", f"out={folder / 'run'}"),
    )
    sides = ("--cohort", folder / "cohort", "--split", folder / "split.json")
    linear, model = folder / "baselines.parquet", folder / "model.parquet"
    _ridge(folder, linear)
    _glm2x("train", "onehot-personal", *(word for value in values for word in ("--set", value)))
    _glm2x("predict", folder / "run/checkpoint", "--cohort", folder / "cohort", "--out", model)
    _glm2x("evaluate", linear, model, *sides, "--out", folder / "evaluation")


def _ridge(folder: Path, out: Path) -> None:
    """Write predictions of ridge regression for the split of a folder."""
    sides = ("--split", folder / "split.json", "--models", "ridge")
    _glm2x("baseline", folder / "cohort", *sides, "--out", out)


def _glm2x(*words: object) -> None:
    assert run([str(word) for word in words]) == 0
