"""What a training step of Enformer and of Borzoi takes, beside a step written the published way.

    python benchmarks/training_step.py [--full] [--rounds 5] [--models enformer,borzoi]

Seconds of CPU of one thread: forward, loss (smooth L1 and the published pairwise term), backward, Adam. Each
round takes another batch of 8 people of the demo data, either each person with any of the 26 genes or all
with the same one, and does the step in every way, in a turning order; medians of the rounds, and medians of
the rounds' ratios. The weights are the same random ones in every way, and so are the predictions in
evaluation mode, which is checked. Peak memory is what two steps add to a process that holds the model.

Freed memory stays with the process while steps are timed, as it does on a GPU. By default Linux takes large
tensors back and zeroes them again at every step, and a batch of 16 haplotypes, whose tensors are larger, then
pays a fifth more than two batches of 8, whatever computes it.

The published way: each person's first and second haplotypes one after the other, the pairwise term in two
Python loops, and for Borzoi two passes through the trunk, the model's own and then the one for the embeddings
(of the first, the output head's share is left out, in its favour).

Small models, unless --full is given: Borzoi's convolutions have fixed widths, so that its small one has the
published convolutions and a small transformer. Who shares a haplotype is decided in windows of 64 kb, as in
a real run; the middle of them is what goes through the trunk. --full takes the published sizes and all of
the 64 kb: minutes a step, and 60 GB for Enformer.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.registry import build
from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.sources import CohortSources
from glm2x.cohort.target import log_expression
from glm2x.config import BackboneConfig
from glm2x.heads.attention_pool import AttentionPool
from glm2x.training.batches import Batch, Batcher
from glm2x.training.inputs import Codes, GeneSource
from glm2x.training.losses import Loss
from glm2x.training.model import ExpressionModel
from glm2x.training.samples import Samples
from measuring import in_child

WINDOW = 64_000
PEOPLE = 8
BINS = 10
ALPHA = 0.3
RATE = 1e-6
GOALS = {"enformer": 1.0, "borzoi": 1.25}  # times faster than published, with the same batch
KINDS = {"random": "any genes", "gene": "one gene"}
WAYS = ("published", "people", "haplotypes")
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**36)}


@dataclass(frozen=True)
class Size:
    """A model's architecture, and the base pairs that go through it."""

    architecture: dict[str, Any]
    window: int


SMALL = {
    "enformer": Size({"dim": 384, "depth": 4, "heads": 8, "attn_dim_key": 32, "dim_divisible_by": 8}, 4_096),
    "borzoi": Size({"dim": 384, "depth": 2, "heads": 4, "attn_dim_key": 32, "attn_dim_value": 96}, 2_048),
}
FULL = {"enformer": Size({}, WINDOW), "borzoi": Size({}, WINDOW)}


class Middle:
    """The middle of a gene's haplotypes of 64 kb; who has which is as in the whole of them."""

    def __init__(self, gene: GeneSource, window: int) -> None:
        self._gene, self.window = gene, window
        start = (gene.window - window) // 2
        self._part = slice(start, start + window)
        self.reference, self.index = gene.reference[self._part], gene.index

    def codes(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Return unique haplotypes, codes uint8 [len(rows), window]."""
        return np.ascontiguousarray(self._gene.codes(rows)[:, self._part])


class Middles:
    """The haplotypes of a cohort, shortened."""

    def __init__(self, cohort: Cohort, window: int) -> None:
        self._dictionary, self._window = HaplotypeDictionary(cohort, WINDOW), window

    def gene(self, gene: str) -> GeneSource:
        """Return one gene's haplotypes."""
        return Middle(self._dictionary.gene(gene), self._window)


class Batches:
    """Batches of 8 people of the demo cohort."""

    def __init__(self, folder: Path, window: int) -> None:
        cohort = Cohort.open(folder)
        values = log_expression(cohort)
        gene, individual = np.nonzero(np.isfinite(values))
        spread = np.ones(len(values), dtype=np.float32)
        observed = values[gene, individual].astype(np.float32)
        self.samples = Samples(cohort.gene_ids, gene, individual, observed, spread, missing=0)
        source = Middles(cohort, window)
        self._batchers = {
            unique: Batcher(self.samples, Codes(source), (0, 1), unique=unique) for unique in (False, True)
        }

    def rows(self, kind: str, number: int) -> NDArray[np.int64]:
        """Return the samples of a batch: of any genes, or of one."""
        random = np.random.default_rng((number, kind == "gene"))
        groups = self.samples.by_gene()
        pool = groups[random.integers(len(groups))] if kind == "gene" else np.arange(len(self.samples))
        return random.choice(pool, PEOPLE, replace=False)

    def batch(self, kind: str, number: int, *, unique: bool) -> Batch:
        """Return a batch with each person's haplotypes, or each unique one once."""
        return self._batchers[unique].batch(self.rows(kind, number))

    def unique(self, kind: str, times: int = 100) -> float:
        """Return how many of the 16 haplotypes of a batch differ, on average."""
        return float(np.mean([len(self.batch(kind, i, unique=True).inputs) for i in range(times)]))


class Steps:
    """One model in both ways of batching, and a copy of it that is trained the published way."""

    def __init__(self, name: str, size: Size) -> None:
        torch.manual_seed(0)
        spec = {"architecture": size.architecture, "weights": "random", "revision": None}
        backbone = build(name, size.window, BackboneConfig(name=name), spec)
        for part, parameter in backbone.named_parameters():
            if "to_out" in part:  # fresh attention gives nothing
                nn.init.normal_(parameter, std=0.02)
        self.model = ExpressionModel(backbone, AttentionPool(backbone.width))
        self.loss = Loss("smooth-l1", "published", ALPHA)
        self.head = copy.deepcopy(self.model.head)
        library, self.trunk = PUBLISHED[name](backbone, size.architecture)
        self.library = library
        self.parameters = sum(parameter.numel() for parameter in backbone.parameters())
        self._adam: dict[str, torch.optim.Optimizer] = {}

    def step(self, way: str, batch: Batch) -> None:
        """Do one training step."""
        published = way == "published"
        parts: list[nn.Module] = [self.library, self.head] if published else [self.model]
        name = "published" if published else "ours"
        if name not in self._adam:
            self._adam[name] = torch.optim.Adam([p for m in parts for p in m.parameters()], lr=RATE)
        for part in parts:
            part.train()
        self._adam[name].zero_grad()
        if published:
            loss = loss_in_loops(self.predicted_one_by_one(batch), batch.observed)
        else:
            predicted = self.model(batch.inputs, batch.index)
            loss = self.loss(predicted, batch.observed, batch.gene, batch.gene_sd)
        loss.backward()
        self._adam[name].step()

    def predicted_one_by_one(self, batch: Batch) -> Tensor:
        """Return predictions, float [P]: the first haplotypes of all people, then the second ones."""
        outputs = []
        for column in range(batch.index.shape[1]):
            outputs.append(self.head(self.trunk(one_hot(batch.inputs[batch.index[:, column]]))))
        return torch.stack(outputs).mean(dim=0)

    def difference(self, batch: Batch) -> float:
        """Return how far both ways' predictions lie apart in evaluation mode, at most."""
        for part in (self.model, self.library, self.head):
            part.eval()
        with torch.no_grad():
            ours = self.model(batch.inputs, batch.index)
            return float((ours - self.predicted_one_by_one(batch)).abs().max())


def published_enformer(
    backbone: Any, architecture: dict[str, Any]
) -> tuple[nn.Module, Callable[..., Tensor]]:
    """Return the library's Enformer with the backbone's weights, and what gives its embeddings."""
    from enformer_pytorch import Enformer, EnformerConfig

    library = Enformer(EnformerConfig(**architecture, output_heads={}, target_length=BINS))
    missing = library.load_state_dict(backbone.state_dict(), strict=False)
    if missing.unexpected_keys or any(not key.startswith("_trunk.") for key in missing.missing_keys):
        raise SystemExit("the library's Enformer has other layers than ours")
    return library, lambda x: library(x.transpose(1, 2), return_only_embeddings=True)


def published_borzoi(backbone: Any, architecture: dict[str, Any]) -> tuple[nn.Module, Callable[..., Tensor]]:
    """Return the library's Borzoi with the backbone's weights, and what gives its embeddings."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    sizes = {**architecture, "bins_to_return": BINS, "enable_human_head": False, "enable_mouse_head": False}
    library = Borzoi(BorzoiConfig(**sizes))
    library.load_state_dict(backbone.model.state_dict())

    def embeddings(x: Tensor) -> Tensor:
        return library.final_joined_convs(library.get_embs_after_crop(x)).transpose(1, 2)

    def twice(x: Tensor) -> Tensor:
        if library.training:
            embeddings(x)  # the model is called, and its output not used
        return embeddings(x)

    return library, twice


PUBLISHED = {"enformer": published_enformer, "borzoi": published_borzoi}


def loss_in_loops(predicted: Tensor, observed: Tensor) -> Tensor:
    """Return (1 - alpha) smooth L1 + alpha of the mean over pairs, pair by pair."""
    pairs = []
    for i in range(len(predicted)):
        for j in range(i + 1, len(predicted)):
            apart = (predicted[i] - predicted[j]).abs(), (observed[i] - observed[j]).abs()
            pairs.append(functional.smooth_l1_loss(*apart))
    return (1 - ALPHA) * functional.smooth_l1_loss(predicted, observed) + ALPHA * torch.stack(pairs).mean()


def seconds(steps: Steps, batches: Batches, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Return the cost of a step in each round, by kind of batch and way."""
    costs: dict[tuple[str, str], list[float]] = {(kind, way): [] for kind in KINDS for way in WAYS}
    for turn in range(-1, rounds):  # the first one makes buffers and optimisers, and does not count
        for kind in KINDS:
            given = {way: batches.batch(kind, turn + 1, unique=way == "haplotypes") for way in WAYS}
            for place in range(len(WAYS)):
                way = WAYS[(place + turn) % len(WAYS)]
                started = time.process_time()
                steps.step(way, given[way])
                if turn >= 0:
                    costs[kind, way].append(time.process_time() - started)
    return costs


def added_memory(name: str, size: Size, folder: Path, kind: str, way: str) -> float:
    """Return the megabytes that two steps add to this process at their peak."""
    steps, batches = Steps(name, size), Batches(folder, size.window)
    batch = batches.batch(kind, 0, unique=way == "haplotypes")
    before = resident("VmRSS")
    for _ in range(2):
        steps.step(way, batch)
    return resident("VmHWM") - before


def resident(which: str) -> float:
    """Return the megabytes that this process holds (``VmRSS``) or has held at most (``VmHWM``); Linux.

    `getrusage` would count what the parent held when it started this process.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def report(name: str, size: Size, folder: Path, rounds: int, options: list[str]) -> None:
    """Measure one model and print its table."""
    batches, steps = Batches(folder, size.window), Steps(name, size)
    sizes = ", ".join(f"{key} {value}" for key, value in size.architecture.items()) or "the published sizes"
    print(f"\n{name}: {steps.parameters / 1e6:.1f} M parameters ({sizes}), {size.window:,} bp")
    apart = max(steps.difference(batches.batch(kind, 0, unique=False)) for kind in KINDS)
    print(f"predictions in evaluation mode differ by {apart:.1e} from the published way's")
    costs = seconds(steps, batches, rounds)
    del steps
    memory = {
        way: in_child(__file__, "--child", name, folder, "random", way, *options)["megabytes"] for way in WAYS
    }
    same_gene = in_child(__file__, "--child", name, folder, "gene", "haplotypes", *options)["megabytes"]
    print(f"{'8 people of':<34}" + "".join(f"{text:>30}" for text in KINDS.values()))
    shares = "".join(f"{batches.unique(kind):>24.1f} of 16" for kind in KINDS)
    print(f"{'unique haplotypes, 100 batches':<34}{shares}")
    for way in WAYS:
        label = "published way" if way == "published" else f"glm2x, batch: {way}"
        cells = []
        for kind in KINDS:
            ratio = median(
                theirs / ours for theirs, ours in zip(costs[kind, "published"], costs[kind, way], strict=True)
            )
            peak = same_gene if (kind, way) == ("gene", "haplotypes") else memory[way]
            cells.append(f"{median(costs[kind, way]):.2f} s {ratio:5.2f}x {peak:6.0f} MB")
        print(f"{label:<34}" + "".join(f"{cell:>30}" for cell in cells))
    print(f"goal with the same batch (batch: people): {GOALS[name]:.2f}x")


def demo_cohort(folder: Path) -> Path:
    """Build the demo cohort and return its folder."""
    data = Path(str(resources.files("glm2x.demo") / "data"))
    with gzip.open(data / "reference.fa.gz", "rb") as packed, (folder / "r.fa").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    sources = CohortSources(
        variants=data / "genotypes.vcf.gz",
        expression=data / "expression.bed.gz",
        reference=folder / "r.fa",
    )
    build_cohort(sources, folder / "cohort")
    return folder / "cohort"


def main() -> None:
    """Measure, or be the child that one measurement of memory is made in."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the published sizes and windows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default="enformer,borzoi")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.child and not KEEP_MEMORY.keys() <= os.environ.keys():  # read when a process starts
        os.environ.update(KEEP_MEMORY)
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606
    for name in KEEP_MEMORY:  # children, whose memory is measured, do without
        os.environ.pop(name, None)
    torch.set_num_threads(1)
    sizes = FULL if given.full else SMALL
    if given.child:
        name, folder, kind, way = given.child
        print(json.dumps({"megabytes": added_memory(name, sizes[name], Path(folder), kind, way)}))
        return
    options = ["--full"] if given.full else []
    with tempfile.TemporaryDirectory() as scratch:
        folder = demo_cohort(Path(scratch))
        for name in given.models.split(","):
            report(name, sizes[name], folder, given.rounds, options)


if __name__ == "__main__":
    main()
