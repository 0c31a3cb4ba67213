"""A cohort small enough to train on in a second: 4 genes, 12 people, windows of 512 bp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.cohort.split import Split
from glm2x.cohort.target import Target
from glm2x.config import TrainConfig, parse_config
from glm2x.training.run import train

WINDOW = 512
GENES = ("g0", "g1", "g2", "ENSG00000000003.7")
PEOPLE = tuple(f"p{i:02d}" for i in range(12))
UNIQUE = 5


@dataclass
class FakeGene:
    """One gene's haplotypes; `asked` records the rows of every call of `codes`."""

    reference: NDArray[np.uint8]
    haplotypes: NDArray[np.uint8]
    index: NDArray[np.int64]
    asked: list[list[int]] = field(default_factory=list)

    @property
    def window(self) -> int:
        return len(self.reference)

    def codes(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        rows = np.arange(len(self.haplotypes)) if rows is None else rows
        self.asked.append([int(row) for row in rows])
        return self.haplotypes[rows]


class FakeSource:
    """Haplotypes of random bases that differ from the reference at ten places."""

    def __init__(self, window: int = WINDOW) -> None:
        random = np.random.default_rng(1)
        self.genes = {}
        for gene in GENES:
            reference = random.integers(0, 4, window, dtype=np.uint8)
            haplotypes = np.repeat(reference[None], UNIQUE, axis=0)
            places = random.choice(window, 10, replace=False)
            haplotypes[:, places] = random.integers(0, 4, (UNIQUE, 10))
            index = random.integers(0, UNIQUE, (len(PEOPLE), 2))
            self.genes[gene] = FakeGene(reference, haplotypes, index)

    def gene(self, gene: str) -> FakeGene:
        return self.genes[gene]


class FakeCohort:
    digest = "c" * 64
    folder = Path("cohorts/fake")
    gene_ids = GENES
    individuals = PEOPLE

    def gene_index(self, genes: Any) -> NDArray[np.int64]:
        return np.array([GENES.index(gene) for gene in genes], dtype=np.int64)

    def individual_index(self, individuals: Any) -> NDArray[np.int64]:
        return np.array([PEOPLE.index(person) for person in individuals], dtype=np.int64)


def make_split(**changes: Any) -> Split:
    values: dict[str, Any] = {
        "train": PEOPLE[:6],
        "validation": PEOPLE[6:9],
        "test": PEOPLE[9:],
        "seen": GENES,
        "unseen": (),
        "reference_validation": ("g2",),
        "preset": "test",
        "seed": 0,
        "cohort_digest": FakeCohort.digest,
        "window": WINDOW,
    }
    return Split(**(values | changes))


def make_values() -> Target:
    """Expression: a mean a gene and a number a haplotype; p01 is not measured in g0."""
    random = np.random.default_rng(2)
    source = FakeSource()
    values = np.stack(
        [
            5 * g + random.normal(size=UNIQUE)[source.gene(gene).index].mean(axis=1)
            for g, gene in enumerate(GENES)
        ]
    )
    values[0, 1] = np.nan
    return Target("log", values, np.nanmean(values[:, :6], axis=1))


def make_config(out: Path | str, **changes: Any) -> TrainConfig:
    """Return a configuration; `changes` are dotted keys with `__` for the dot."""
    values: dict[str, Any] = {
        "cohort": "cohort",
        "split": "split.json",
        "backbone": {"name": "onehot"},
        "window": WINDOW,
        "training": {"epochs": 3, "batch_size": 4, "learning_rate": 1e-3, "device": "cpu", "seed": 3},
        "out": str(out),
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = values
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return parse_config(values, where="test")


class StoppedError(Exception):
    """Raised by `stop_after`."""


def stop_after(steps: int) -> Any:
    """Return a progress that raises after so many steps."""
    done = 0

    class Bar:
        def advance(self, n: int = 1, message: str = "") -> None:
            nonlocal done
            done += n > 0  # a step counts its samples at once
            if done >= steps and n:
                raise StoppedError

    @contextmanager
    def progress(label: str, total: int, unit: str = "") -> Iterator[Bar]:
        yield Bar()

    return progress


def run_training(out: Path | str, **options: Any) -> Any:
    """Train on the fakes; keys of `train` go to it, others to the configuration."""
    known = {key: options.pop(key) for key in ("resume", "force", "progress") if key in options}
    split = options.pop("split", make_split())
    config = make_config(out, **options)
    return train(config, FakeCohort(), split, target=make_values(), source=FakeSource(config.window), **known)
