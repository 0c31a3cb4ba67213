"""Every file that glm2x writes: which commands read it back, or why none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from damage_world import COSTS, DOWNLOAD, DOWNLOADED, FIT, SETTINGS, SIDES, WINDOW

FEW = ("--genes", "gene.txt", "--individuals", "people.txt")
SET = tuple(word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}"))

_WRITTEN_TO = ("down", "interrupted", "merged", "work-sweep", "store", "work-baseline", "work-predict")


@dataclass(frozen=True)
class Reader:
    """A command that reads some files.

    Attributes
    ----------
    words
        After ``glm2x``; what is written goes to ``out``.
    results
        What it writes elsewhere.
    """

    words: tuple[object, ...]
    results: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[str, ...]:
        """What it may change: where its results lie, and what it names."""
        return tuple(r for r in (*self.results, *map(str, self.words)) if r.partition("/")[0] in _WRITTEN_TO)


READERS = {
    "haplotypes": Reader(
        ("haplotypes", "sim/cohort", "--gene", "GENE2", "--individual", "P03", "--window", 512)
    ),
    "check": Reader(("cohort", "check", "sim/cohort")),
    "baseline": Reader(
        (
            "baseline",
            "sim/cohort",
            *FIT,
            "--models",
            "ridge",
            "--target",
            "residual",
            "--out",
            "out/p.parquet",
        )
    ),
    "build": Reader(
        (
            *("cohort", "build", "--variants", "sim/genotypes.vcf.gz", "--reference", "sim/reference.fa.gz"),
            *("--expression", "sim/expression.bed.gz", "--individuals", "sim/individuals.tsv"),
            *("--covariates", "sim/covariates.txt", "--expression-scale", "log2", "--out", "out/cohort"),
        )
    ),
    "consensus": Reader(
        (
            *("consensus", "--reference", "sim/reference.fa.gz", "--variants", "sim/genotypes.vcf.gz"),
            *("--individuals", "one.txt", "--out", "out/consensus"),
        )
    ),
    "predict": Reader(
        ("predict", "run/checkpoint", "--cohort", "sim/cohort", *FEW, "--out", "out/p.parquet"),
    ),
    "predict best": Reader(
        ("predict", "run/phases/personal/best", "--cohort", "sim/cohort", *FEW, "--out", "out/p.parquet"),
    ),
    "resume": Reader(
        ("train", "onehot-reference-then-personal", *SET, "--set", "out=interrupted", "--resume"),
        ("interrupted",),
    ),
    "evaluate": Reader(("evaluate", "linear.parquet", *SIDES, "--out", "out/e")),
    "evaluate few-shot": Reader(("evaluate", "few-shot.parquet", *SIDES, "--out", "out/e")),
    "evaluate again": Reader(("evaluate", "evaluation/predictions.parquet", *SIDES, "--out", "out/e")),
    "report": Reader(("report", "evaluation", "--run", "run", "--out", "out/report.html")),
    "show": Reader(("weights", "show", "weights.parquet", "--gene", "GENE1")),
    "apply": Reader(
        ("weights", "apply", "weights.parquet", "--cohort", "sim/cohort", "--out", "out/p.parquet")
    ),
    "export": Reader(("embed", "export", "store", "out/pt", "--cohort", "sim/cohort", *FEW)),
    "status": Reader(("embed", "status", "store", "--json")),
    "import": Reader(
        (
            *("embed", "import", "pt", "--cohort", "sim/cohort", "--backbone", "kmer", "--window", WINDOW),
            *("--out", "out/store"),
        )
    ),
    "evaluate csv": Reader(("evaluate", "linear.csv", *SIDES, "--target", "log", "--out", "out/e")),
    "split": Reader(
        (
            *("split", "sim/cohort", "--train", "train.txt", "--validation", "validation.txt"),
            *(
                "--test",
                "test.txt",
                "--genes",
                "genes.txt",
                "--window",
                WINDOW,
                "--reference-validation-share",
                0,
                "--out",
                "out/split.json",
            ),
        )
    ),
    "sweep": Reader(("work", "plan", "sweep", "experiment.yml", "--out", "out/work")),
    "predict few": Reader(
        ("weights", "apply", "weights.parquet", "--cohort", "sim/cohort", *FEW, "--out", "out/p.parquet")
    ),
    "work status": Reader(("work", "status", "work-baseline", "--json")),
    "export merged": Reader(("embed", "export", "merged", "out/pt", "--cohort", "sim/cohort", *FEW)),
    "finish sweep": Reader(("work", "finish", "work-sweep"), ("work-sweep/runs.csv",)),
    "plan": Reader(("plan", "--costs", "costs.json", *COSTS[:-2])),
    "download": Reader(DOWNLOAD, (f"down/{DOWNLOADED}", f"down/{DOWNLOADED}.download.json")),
    "finish baseline": Reader(
        ("work", "finish", "work-baseline"),
        tuple(f"work-baseline/{name}.parquet" for name in ("predictions", "genes", "weights")),
    ),
    "finish predict": Reader(("work", "finish", "work-predict"), ("work-predict/predictions.parquet",)),
}

READ = {
    "sim/cohort/*.npy": ("haplotypes", "baseline"),
    "sim/cohort/*.npz": ("haplotypes", "check"),
    "sim/cohort/cohort.json": ("baseline", "check"),
    "sim/cohort/*.parquet": ("baseline", "check"),
    "sim/genotypes.vcf.gz": ("build", "consensus"),
    "sim/genotypes.vcf.gz.tbi": ("build", "consensus"),
    "sim/reference.fa.gz": ("build", "consensus"),
    "sim/reference.fa.gz.fai": ("consensus",),
    "sim/reference.fa.gz.gzi": ("consensus",),
    "sim/expression.bed.gz": ("build",),
    "sim/expression.bed.gz.tbi": ("build",),
    "split.json": ("baseline",),
    "run/checkpoint/state.json": ("predict", "report"),
    "run/checkpoint/split.json": ("predict", "report"),
    "run/checkpoint/model.safetensors": ("predict",),
    "run/checkpoint/config.yml": ("predict",),
    "run/phases/personal/best/*": ("predict best",),
    "run/run.json": ("report",),
    "run/config.yml": ("report",),
    "run/history.jsonl": ("report",),
    "interrupted/phases/*": ("resume",),
    "interrupted/run.json": ("resume",),
    "interrupted/config.yml": ("resume",),
    "interrupted/history.jsonl": ("resume",),
    "linear.parquet": ("evaluate",),
    "few-shot.parquet": ("evaluate few-shot",),
    "weights.parquet": ("show", "apply"),
    "store/store.json": ("export", "status"),
    "store/index/*": ("export", "status"),
    "store/shards/*": ("export",),
    "store/plans/*": ("status",),
    "pt/*.pt": ("import",),
    "work-baseline/plan.json": ("finish baseline",),
    "work-baseline/split.json": ("finish baseline",),
    "work-baseline/splits/*": ("finish baseline",),
    "work-baseline/learnt/*": ("finish baseline",),
    "work-baseline/parts/*": ("finish baseline",),
    "work-predict/plan.json": ("finish predict",),
    "work-predict/split.json": ("finish predict",),
    "work-predict/parts/*": ("finish predict",),
    "work-sweep/plan.json": ("finish sweep",),
    "work-sweep/parts/*": ("finish sweep",),
    "merged/index/*": ("export merged",),
    "costs.json": ("plan",),
    "down/*.gz": ("download",),
    "down/*.json": ("download",),
    "evaluation/metrics.json": ("report",),
    "evaluation/per_gene.parquet": ("report",),
    "evaluation/loci.parquet": ("report",),
    "evaluation/split.json": ("report",),
    "evaluation/predictions.parquet": ("evaluate again",),
}
"""Files, and the commands that read them: a message, or what comes of whole files."""

UNKNOWABLE = {
    "sim/individuals.tsv": ("build",),
    "sim/covariates.txt": ("build",),
    "linear.csv": ("evaluate csv",),
    "experiment.yml": ("sweep",),
    "train.txt": ("split",),
    "validation.txt": ("split",),
    "test.txt": ("split",),
    "genes.txt": ("split",),
    "gene.txt": ("predict few",),
    "people.txt": ("predict few",),
    "one.txt": ("consensus",),
    "store/log/*": ("status",),
    "work-*/log/*": ("work status",),
}
"""Plain text as people and other programs write it, and logs: a letter that is another cannot be told, so a
command says that it cannot be, or does what it says. None crashes."""

HINTS = {
    "*made.json": "how things were made; a damaged one is as none, and the report says what is not on record",
}

UNREAD = {
    "*/.lock": "is locked and empty",
    "run/phases/*": "as interrupted/phases/: a run that is done is not gone on with",
    "run/checkpoint/history.jsonl": "for people: a copy of run/history.jsonl",
    "down/*.tbi": "for other programs; glm2x reads a file from its first line to its last",
    "work-sweep/runs/*": "as run/",
    "work-sweep/runs.csv": "for people; glm2x work finish makes it again",
    "few/few*": "as run/",
    "few/splits/*": "as split.json",
    "few/predictions.parquet": "as linear.parquet",
    "merged/s*": "as store/: only the index is merged",
    "merged/plans/*": "as store/plans/",
    "merged/log/*": "as store/log/",
    "deep.parquet": "as linear.parquet",
    "fits.parquet": "for people and their notebooks; the digest of its content is in it",
    "sim/truth.json": "for people: what was simulated",
    "sim/truth.parquet": "for people and their notebooks; the digest of its content is in it",
    "sim/oracle.parquet": "as linear.parquet",
    "elastic-net.db": "for PrediXcan, in its format, which has no checksum",
    "consensus/*.fa": "for other programs, in their format, which has no checksum",
    "evaluation/comparisons.parquet": "for people and their notebooks; the digest of its content is in it",
    "evaluation/report.html": "for people",
    "evaluation/report-data/*": "for people: what the figures draw",
    "few-shot/*": "as evaluation/",
}


def pattern_of(patterns: Mapping[str, object], name: str) -> str | None:
    """Return the first pattern that a file's path fits."""
    return next((pattern for pattern in patterns if fnmatchcase(name, pattern)), None)
