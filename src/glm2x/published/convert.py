"""A published configuration as an experiment of ours, and the commands that make what it needs."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from glm2x.config import parse_config
from glm2x.published.config import PublishedConfig
from glm2x.published.lists import locate, missing_lists

COHORT = "cohorts/published"  # where nothing else is given
SPLIT = "split.json"

_VARIANTS = "vcf_files/GEUVADIS.chr{chrom}.PH1PH2_465.IMPFRQFILT_BIALLELIC_PH.annotv2.genotypes.vcf.gz"
_PADDED = "nucleotide-transformer-v2"
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Converted:
    """An experiment.

    Attributes
    ----------
    text
        YAML with comments, as `glm2x.config.load_config` reads it.
    notes
        What the user should know.
    """

    text: str
    notes: tuple[str, ...]


def convert(
    config: PublishedConfig, *, cohort: str = COHORT, split: str = SPLIT, embeddings: str | None = None
) -> Converted:
    """Return a published configuration as an experiment of ours.

    A ``pretrained_model_path`` is a checkpoint of the published code, which is not read: the experiment
    starts from the checkpoint that the converted reference run of the same model writes.

    Parameters
    ----------
    cohort, split
        What the experiment names.
    embeddings
        The store of a genomic language model (default: ``stores/`` and its name).

    Raises
    ------
    UsageError
        The values make no experiment.
    """
    start_from = f"{_out(config, 'reference')}/checkpoint" if config.pretrained else None
    text = _text(config, cohort, split, embeddings or default_store(config), start_from)
    parse_config(yaml.safe_load(text), where=str(config.path))
    return Converted(text, (*config.notes, *_notes(config, start_from)))


def default_store(config: PublishedConfig) -> str:
    """Return the store that an experiment names where none is given."""
    return f"stores/{config.backbone}"


def cohort_command(config: PublishedConfig, cohort: str = COHORT) -> str:
    """Return the command that builds the cohort of the files that a configuration names."""
    partition = str(locate(config, config.partition)) if config.partition else "PARTITION.csv"
    reference = str(locate(config, config.reference)) if config.reference else "REFERENCE.fa"
    words = ["glm2x", "cohort", "build", "--expression", partition]
    words += [
        "--reference",
        reference,
        "--variants",
        str(Path(partition).parent / _VARIANTS),
        "--out",
        cohort,
    ]
    return shlex.join(words)


def store_commands(config: PublishedConfig, cohort: str, embeddings: str) -> list[str]:
    """Return the commands that fill the store that an experiment reads."""
    there = _imports(config)
    what = ["import", str(locate(config, config.embeddings))] if there else ["plan"]
    words = ["glm2x", "embed", *what, "--cohort", cohort, "--backbone", config.backbone]
    words += ["--window", str(config.window), "--out", embeddings]
    return [shlex.join(words), *([] if there else [shlex.join(["glm2x", "embed", "run", embeddings])])]


def _imports(config: PublishedConfig) -> bool:
    """Whether published embeddings fill the store; otherwise they are computed."""
    return bool(config.embeddings) and config.is_language_model and config.backbone != _PADDED


def _out(config: PublishedConfig, name: str) -> str:
    return str(Path(config.save_root or "runs") / f"{config.backbone}-{name}")


def _notes(config: PublishedConfig, start_from: str | None) -> list[str]:
    notes = list(missing_lists(config))
    if start_from is not None:
        notes.append(
            f"pretrained_model_path {config.pretrained} is a checkpoint of the published code, and is not "
            f"read here: convert and train the reference run first, it writes {start_from}; or train both "
            f"phases in one run (glm2x config show {config.backbone}-reference-then-personal)"
        )
    if config.data == "reference":
        notes.append(
            "the published reference windows are one base longer than people's, and shifted by it on the - "
            "strand; here they are the same windows"
        )
    elif config.haplotypes != "both":
        notes.append("of one haplotype the published code trains without the pairwise term, and so does this")
    if config.is_language_model and config.data == "personal" and config.haplotypes != "both":
        notes.append("the published code of language models stops at one haplotype; here it is trained")
    if config.backbone == _PADDED:
        notes.append(
            "the published Tower also reads the model's first token, which is of no base, and padding to "
            "2,000 rows, and letters other than ACGT are cut out of its windows; here neither, and N stays"
        )
    if config.embeddings and config.backbone == _PADDED:
        notes.append(
            f"preCalculatedEmbed_root {config.embeddings}: published embeddings of this model hold rows of no"
            " base (its first token, and padding), which embed import refuses; they are computed again"
        )
    notes.append("learning_rate is multiplied by the number of devices, as published (times-devices)")
    return notes


def _text(config: PublishedConfig, cohort: str, split: str, embeddings: str, start_from: str | None) -> str:
    reference = config.data == "reference"
    name = "reference" if reference else "personal"
    both_phases = "reference-then-personal" if start_from and not reference else name
    pairs = not reference and config.haplotypes == "both"
    genes = _scalar(str(locate(config, config.genes))) if config.genes else "all"
    batch = "published: on each GPU; here: of all processes together"
    lines = [
        f"# The published {config.path.name} (bioRxiv 10.1101/2025.07.09.664024) as an experiment of glm2x.",
        "# What has no key here, and what takes its place:",
        f"#   partition_data_path {_said(config.partition)}: the cohort's genes and expression",
        f"#   ref_genome_path {_said(config.reference)}: the cohort's reference",
        f"#   consensus_root {_said(config.consensus)}: nothing; haplotypes are made of genotypes",
        f"#   train_sample {_said(config.train)}, test_sample {_said(config.test)}: the split",
        "#   load_model: nothing; the published code does not use it",
        f"#   preCalculatedEmbed_root {_said(config.embeddings)}: " + _store_said(config),
        f"cohort: {_scalar(cohort)}",
        f"split: {_scalar(split)}",
        f"backbone: {{name: {config.backbone}, weights: null, revision: null}}  # the official weights",
        *([f"embeddings: {_scalar(embeddings)}"] if config.is_language_model else []),
        f"window: {config.window}",
        f"head: {{name: {'tower' if config.is_language_model else 'attention-pool'}}}",
        "target: log  # log_TPM",
        f"strategy: {name}",
        f"genes: {{{name}: {genes}}}",
        *_start(config, start_from),
        f"haplotypes: {config.haplotypes}",
        "loss: {kind: smooth-l1, pairwise: published, alpha: 0.3}"
        if pairs
        else "loss: {kind: smooth-l1, pairwise: none}",
        "training:",
        f"  epochs: {config.epochs}",
        "  batch: people",
        f"  batch_size: {config.batch_size}  # {batch}",
        f"  sampler: {config.sampler}",
        "  optimizer: adam",
        f"  learning_rate: {_scalar(config.learning_rate)}",
        "  learning_rate_rule: times-devices",
        "  schedule: published",
        "  precision: 32-true",
        "  seed: 0  # published: none",
        f"out: {_scalar(_out(config, both_phases))}",
    ]
    return "\n".join(lines) + "\n"


def _store_said(config: PublishedConfig) -> str:
    if not config.is_language_model:
        return "nothing; this model has no store"
    return "the store: glm2x embed import" if _imports(config) else "the store: glm2x embed plan, embed run"


def _start(config: PublishedConfig, start_from: str | None) -> list[str]:
    """Return the line of the starting point, below what the published file says of it."""
    if start_from is None:
        return ["start_from: null"]
    return [
        f"# pretrained_model_path {_said(config.pretrained)} is not read; the reference run writes:",
        f"start_from: {_scalar(start_from)}",
    ]


def _said(text: str) -> str:
    """Return a value for a comment; `read_published` has seen that it stands in one line."""
    return f'"{text}"'


def _scalar(value: str | float) -> str:
    """Return a value as YAML reads it back, in one line."""
    if isinstance(value, float):
        return yaml.safe_dump(value).splitlines()[0]
    if _PLAIN.fullmatch(value) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)
