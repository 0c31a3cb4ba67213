"""The published configuration files (ten YAMLs of nineteen keys), read and checked.

Values are taken as they are written: YAML reads a learning rate of ``1e-6`` as text, and ``NA`` is no null.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml

from glm2x.errors import UsageError
from glm2x.files import read_text

KEYS = (
    *("model_name", "partition_data_path", "consensus_root", "ref_genome_path"),
    *("train_data", "sample_allele", "sampler", "seq_len", "batch_size", "num_epochs", "learning_rate"),
    *("model_save_root", "pretrained_model_path", "selected_gene", "train_sample", "test_sample"),
    *("load_model", "target_name", "preCalculatedEmbed_root"),
)
# without a say in what is trained, or empty in most files
_MAY_LACK = ("pretrained_model_path", "load_model", "preCalculatedEmbed_root")

BACKBONES = {
    "Enformer": "enformer",
    "Borzoi": "borzoi",
    "NT": "nucleotide-transformer-v2",
    "caduceus": "caduceus-ph",
    "evo2": "evo2",
}
TRAINED_WHOLE = ("enformer", "borzoi")

Data = Literal["personal", "reference"]
Haplotypes = Literal["both", 1, 2]
Sampler = Literal["random", "gene"]

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class PublishedConfig:
    """What a published configuration says, in our words.

    Attributes
    ----------
    path
        The file.
    backbone
        Our name of the model.
    data
        What it trains on: people's haplotypes, or the reference.
    haplotypes
        Which of a person's are read.
    sampler, window, batch_size, epochs, learning_rate
        As written; `window` in bp, `learning_rate` before it is multiplied by the number of GPUs.
    partition, consensus, reference, save_root, pretrained, genes, train, test, embeddings
        Paths as written; empty where the file has none.
    notes
        What the user should know.
    """

    path: Path
    backbone: str
    data: Data
    haplotypes: Haplotypes
    sampler: Sampler
    window: int
    batch_size: int
    epochs: int
    learning_rate: float
    partition: str
    consensus: str
    reference: str
    save_root: str
    pretrained: str
    genes: str
    train: str
    test: str
    embeddings: str
    notes: tuple[str, ...]

    @property
    def is_language_model(self) -> bool:
        """Whether the Tower is trained on a frozen model's embeddings."""
        return self.backbone not in TRAINED_WHOLE


def read_published(path: Path) -> PublishedConfig:
    """Read a published configuration.

    Raises
    ------
    DataError
        The file does not exist or is not text.
    UsageError
        It is no YAML, an unknown key stands in it (the nearest known one is named) or one is missing, or a
        value is none that the published code takes, or has no counterpart here.
    """
    values, lacking = _values(path)
    reader = _Reader(path, values)
    data: Data = reader.one_of("train_data", {"individuals": "personal", "reference": "reference"})
    reader.one_of("target_name", {"log_TPM": "log"})
    window = reader.whole("seq_len")
    if window % 2:
        raise reader.refusal("seq_len", "an even number of base pairs")
    notes = [f"the key {key} is missing: taken as empty" for key in lacking]
    return PublishedConfig(
        path=path,
        backbone=_backbone(reader),
        data=data,
        haplotypes=_haplotypes(reader, data),
        sampler=reader.one_of("sampler", {"random": "random", "gene": "gene"}),
        window=window,
        batch_size=reader.whole("batch_size"),
        epochs=reader.whole("num_epochs"),
        learning_rate=_learning_rate(reader),
        partition=values["partition_data_path"],
        consensus=values["consensus_root"],
        reference=values["ref_genome_path"],
        save_root=values["model_save_root"],
        pretrained=values["pretrained_model_path"],
        genes=values["selected_gene"],
        train=values["train_sample"],
        test=values["test_sample"],
        embeddings=values["preCalculatedEmbed_root"],
        notes=tuple(notes),
    )


class _Reader:
    """Takes values out of a file, or says why they cannot be taken."""

    def __init__(self, path: Path, values: Mapping[str, str]) -> None:
        self.path, self.values = path, values

    def refusal(self, key: str, wanted: str, do: str = "") -> UsageError:
        got = repr(self.values[key])
        return UsageError(
            f"the published {key} has no counterpart here",
            where=str(self.path),
            got=got,
            wanted=wanted,
            do=do,
        )

    def one_of(self, key: str, known: Mapping[str, _Value]) -> _Value:
        if self.values[key] not in known:
            raise self.refusal(key, " or ".join(known))
        return known[self.values[key]]

    def whole(self, key: str) -> int:
        try:
            number = int(self.values[key])
        except ValueError:
            number = 0
        if number < 1:
            raise self.refusal(key, "a whole number above 0")
        return number


def _values(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return every key's text, and the keys that may be missing and are."""
    try:
        node = yaml.compose(read_text(path, kind="configuration"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError("the configuration is not YAML", where=str(path), got=str(error)) from error
    if not isinstance(node, yaml.MappingNode):
        raise UsageError("the configuration holds no keys", where=str(path), wanted="a YAML mapping")
    values: dict[str, str] = {}
    for name, value in node.value:
        key = str(name.value)
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.4)
            raise UsageError(
                f"unknown key {key!r} in a published configuration",
                where=str(path),
                wanted=", ".join(KEYS),
                do=f"did you mean {near[0]}?" if near else "",
            )
        if key in values:
            raise UsageError(f"the key {key} stands twice", where=str(path), wanted="each key once")
        if not isinstance(value, yaml.ScalarNode) or not value.value.isprintable():
            raise UsageError(
                f"the published {key} is no plain value", where=str(path), wanted="text in one line"
            )
        values[key] = "" if value.tag == "tag:yaml.org,2002:null" else value.value
    missing = [key for key in KEYS if key not in values]
    needed = [key for key in missing if key not in _MAY_LACK]
    if needed:
        raise UsageError(
            f"{len(needed)} keys of a published configuration are missing",
            where=str(path),
            got=f"no {', '.join(needed)}",
            wanted=", ".join(KEYS),
        )
    return values | dict.fromkeys(missing, ""), missing


def _backbone(reader: _Reader) -> str:
    """Return our name; the published code takes any name that begins with a language model's."""
    name = reader.values["model_name"]
    if name in BACKBONES:
        return BACKBONES[name]
    found = [
        ours for theirs, ours in BACKBONES.items() if name.startswith(theirs) and ours not in TRAINED_WHOLE
    ]
    if not found:
        near = difflib.get_close_matches(name, BACKBONES, n=1, cutoff=0.4)
        raise reader.refusal("model_name", ", ".join(BACKBONES), f"did you mean {near[0]}?" if near else "")
    return found[0]


def _haplotypes(reader: _Reader, data: Data) -> Haplotypes:
    """Return which haplotypes are read; of the reference there is one, and the key has no say."""
    if data == "reference":
        reader.one_of("sample_allele", {"NA": "both", "1": "both", "2": "both"})
        return "both"
    known: dict[str, Haplotypes] = {"both": "both", "1": 1, "2": 2}
    return reader.one_of("sample_allele", known)


def _learning_rate(reader: _Reader) -> float:
    try:
        rate = float(reader.values["learning_rate"])
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise reader.refusal("learning_rate", "a number above 0, such as 1e-6")
    return rate
