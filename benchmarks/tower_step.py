"""What a step of the Tower takes from an embedding store, and how long it waits for its batch.

    python benchmarks/tower_step.py [--steps 20] [--folder DIR]

A store of random embeddings in the shape of Nucleotide Transformer v2 at 11 kb (1,834 x 1024 in bf16, 3.8 MB
a haplotype): 20 genes, 12 unique haplotypes each, 0.9 GB, in the page cache. A step is what `glm2x train`
does: 8 people of random genes, both haplotypes, smooth L1 with the published pairwise term, backward, Adam;
the batch is made by another thread meanwhile. Wall time, since waiting is what is asked for; medians.

Beside it: the same batch read from ``.pt`` files in the published layout, one a haplotype and person, by
`torch.load`; and how long making a batch takes when nothing else goes on.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store
from glm2x.heads.tower import Tower
from glm2x.training.batches import Batcher, plan
from glm2x.training.inputs import Embeddings
from glm2x.training.losses import Loss
from glm2x.training.model import ExpressionModel
from glm2x.training.precomputed import Precomputed
from glm2x.training.prefetch import prefetched
from glm2x.training.samples import Samples

GENES, UNIQUE, PEOPLE, BATCH = 20, 12, 40, 8
WINDOW, TOKENS, WIDTH = 11_000, 1_834, 1_024


class Haplotypes:
    """One gene's haplotypes: random letters, and who has which."""

    window = WINDOW

    def __init__(self, number: int) -> None:
        random = np.random.default_rng(number)
        self._codes = random.integers(0, 4, (UNIQUE, WINDOW), dtype=np.uint8)
        self.reference = self._codes[0]
        self.index = random.integers(0, UNIQUE, (PEOPLE, 2))

    def codes(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Return unique haplotypes, uint8 [len(rows), window]."""
        return self._codes if rows is None else self._codes[rows]


class Source:
    """The haplotypes of all genes."""

    def __init__(self) -> None:
        self.genes = {f"g{number}": Haplotypes(number) for number in range(GENES)}

    def gene(self, gene: str) -> Haplotypes:
        """Return one gene's haplotypes."""
        return self.genes[gene]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where 2 GB may be written (default: a temporary one)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        measure(folder, options.steps)
    finally:
        shutil.rmtree(folder)


def measure(folder: Path, steps: int) -> None:
    source = Source()
    store = fill(folder / "store", source)
    inputs = Embeddings(source, store)
    samples = all_samples()
    batcher = Batcher(samples, inputs, (0, 1), unique=False)
    order = [rows for epoch in range(99) for rows in plan(samples, "random", BATCH, key=(epoch,))][
        : steps + 2
    ]
    torch.manual_seed(0)
    model = ExpressionModel(Precomputed(store.spec), Tower(WIDTH, TOKENS)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loss = Loss("smooth-l1", "published", 0.3)
    waits, times = [], []
    with prefetched(batcher.batch, order) as batches:
        for _ in order:
            began = time.perf_counter()
            batch = next(batches)
            came = time.perf_counter()
            optimizer.zero_grad()
            loss(
                model(batch.inputs, batch.index, batch.seen), batch.observed, batch.gene, batch.gene_sd
            ).backward()
            optimizer.step()
            waits.append(came - began)
            times.append(time.perf_counter() - began)
    waits, times = waits[2:], times[2:]  # nothing was made ahead of the first ones
    made = [seconds(lambda rows=rows: batcher.batch(rows)) for rows in order]
    files = write_files(folder / "files", source, inputs)
    read = [seconds(lambda rows=rows: read_files(files, source, samples, rows)) for rows in order]
    megabytes = 2 * BATCH * store.spec.bytes_of_one / 1e6
    waited = sum(waits) / sum(times)
    print(f"a step of {BATCH} people, {2 * BATCH} haplotypes, {megabytes:.0f} MB (medians, ms):")
    print(f"  step                     {1e3 * median(times):8.1f}")
    print(
        f"  of it waiting for data   {1e3 * median(waits):8.1f}   {waited:.1%} of all steps; goal: below 10 %"
    )
    print(f"  making the batch alone   {1e3 * median(made):8.1f}")
    longer = median(read) / median(made)
    print(f"  the same from .pt files  {1e3 * median(read):8.1f}   {longer:.1f} times as long")


def fill(folder: Path, source: Source) -> Store:
    """Return a store of random embeddings of all haplotypes."""
    spec = StoreSpec(
        backbone="random",
        model={},
        window=WINDOW,
        token_bp=6,
        strand="gene",
        tiling=None,
        keep="tokens",
        rows=TOKENS,
        width=WIDTH,
        dtype="bf16",
        device="cpu",
    )
    store = Store.create(folder, spec)
    generator = torch.Generator().manual_seed(0)
    for gene in source.genes.values():
        values = torch.randn((UNIQUE, TOKENS, WIDTH), generator=generator).bfloat16()
        store.write_shard([sequence_key(codes) for codes in gene.codes()], values)
    return store


def all_samples() -> Samples:
    """Return everybody in every gene."""
    gene, person = np.divmod(np.arange(GENES * PEOPLE), PEOPLE)
    observed = np.random.default_rng(0).normal(size=len(gene)).astype(np.float32)
    names = tuple(f"g{number}" for number in range(GENES))
    return Samples(names, gene, person, observed, np.ones(GENES, dtype=np.float32), 0)


def write_files(folder: Path, source: Source, inputs: Embeddings) -> dict[tuple[int, int], Path]:
    """Write a file for each unique haplotype, [1, tokens, width]; people who share one share the file."""
    folder.mkdir()
    files = {}
    for number, name in enumerate(source.genes):
        for row, values in enumerate(inputs.of([(name, np.arange(UNIQUE))])):
            files[number, row] = folder / f"{name}_{row}.pt"
            torch.save(values[None].clone(), files[number, row])
    return files


def read_files(
    files: dict[tuple[int, int], Path], source: Source, samples: Samples, rows: NDArray[np.int64]
) -> torch.Tensor:
    """Return a batch from files, a file for each person and haplotype."""
    genes = list(source.genes.values())
    people = ((int(samples.gene[row]), int(samples.individual[row])) for row in rows)
    wanted = [files[gene, int(row)] for gene, person in people for row in genes[gene].index[person]]
    return torch.cat([torch.load(path, weights_only=True) for path in wanted])


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
