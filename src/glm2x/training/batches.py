"""Batches: which samples go together, in what order, and the haplotypes that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x.training.inputs import GeneSource, Inputs, Part
from glm2x.training.parallel import ALONE, Ranks
from glm2x.training.samples import REFERENCE, Samples
from glm2x.training.seeds import stream


@dataclass(frozen=True)
class Batch:
    """P people, of whom this process predicts p from h haplotypes.

    Attributes
    ----------
    inputs
        Codes, uint8 [u, L], or embeddings, [u, rows, width].
    index
        int64 [p, n]: which of the h haplotypes a person's n are.
    seen
        int64 [h]: which of `inputs` each haplotype that the head sees is; None: `inputs` are these.
    observed
        float32 [P].
    gene
        int64 [P]: equal for people of the same gene.
    gene_sd
        float32 [P]: the gene's standard deviation over training people.
    sizes
        How many of the P people each process predicts, in their order.
    """

    inputs: Tensor
    index: Tensor
    seen: Tensor | None
    observed: Tensor
    gene: Tensor
    gene_sd: Tensor
    sizes: tuple[int, ...]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; a GPU copies it from pinned memory while the program goes on."""
        return self._moved(lambda part: part.to(device, non_blocking=device.type == "cuda"))

    def pinned(self) -> Batch:
        """Return the batch in memory that a GPU copies from by itself."""
        return self._moved(Tensor.pin_memory)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> Batch:
        moved: dict[str, Any] = {n: move(p) for n, p in vars(self).items() if isinstance(p, Tensor)}
        return replace(self, **moved)


def plan(
    samples: Samples,
    sampler: Literal["random", "gene"],
    batch_size: int | None,
    *,
    key: tuple[int | str, ...],
) -> list[NDArray[np.int64]]:
    """Return an epoch's batches as rows of `samples`; every sample is in exactly one.

    ``random`` shuffles all samples. ``gene`` shuffles the genes and each gene's people, and puts
    no two genes in a batch.

    Parameters
    ----------
    batch_size
        Samples a batch; None (``gene`` only): all of a gene's.
    key
        The order is a pure function of it: (seed, phase, epoch).
    """
    order = np.random.default_rng(stream(*key, "order"))
    if sampler == "random":
        if batch_size is None:
            raise ValueError("a random order needs a batch size")
        return _cut(order.permutation(len(samples)).astype(np.int64), batch_size)
    genes = samples.by_gene()
    batches: list[NDArray[np.int64]] = []
    for position in order.permutation(len(genes)):
        rows = order.permutation(genes[position])
        batches += _cut(rows, batch_size or len(rows))
    return batches


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


class Batcher:
    """Makes batches of samples.

    Parameters
    ----------
    samples, inputs
        What to make batches of, and what gives the model its inputs.
    columns
        Which of a person's haplotypes count: (0, 1), (0,) or (1,).
    unique
        True computes each unique haplotype of a batch once (``batch: haplotypes``); False lists
        every person's haplotypes in order (``batch: people``, as published), so that BatchNorm
        sees people.
    trunk_once
        The trunk is frozen, and so computes each unique haplotype once, whatever the head sees.
    ranks
        The processes that share a batch.
    """

    def __init__(
        self,
        samples: Samples,
        inputs: Inputs,
        columns: tuple[int, ...],
        *,
        unique: bool,
        trunk_once: bool = False,
        ranks: Ranks = ALONE,
    ) -> None:
        self.samples = samples
        self.inputs = inputs
        self.columns = columns
        self.unique = unique
        self.trunk_once = trunk_once
        self.ranks = ranks

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return the batch of the samples at `rows`, in that order.

        A process whose share is empty predicts the first one's people, and nobody listens: it takes part
        in every exchange.
        """
        if not len(rows):
            raise ValueError("a batch needs at least one sample")
        samples = self.samples
        parts = self.ranks.parts(rows)
        own = parts[self.ranks.rank]
        listed = not (self.unique or self.trunk_once)
        parts_of, index = self._haplotypes(own if len(own) else parts[0], listed=listed)
        seen = None
        if not self.unique and self.trunk_once:
            seen, index = index.ravel(), np.arange(index.size).reshape(index.shape)
        gene = samples.gene[rows]
        return Batch(
            inputs=self.inputs.of(parts_of),
            index=torch.from_numpy(index),
            seen=None if seen is None else torch.from_numpy(seen),
            observed=torch.from_numpy(samples.observed[rows]),
            gene=torch.from_numpy(gene),
            gene_sd=torch.from_numpy(samples.gene_sd[gene]),
            sizes=tuple(len(part) for part in parts),
        )

    def _haplotypes(self, rows: NDArray[np.int64], *, listed: bool) -> tuple[list[Part], NDArray[np.int64]]:
        """Return the haplotypes of samples, and which of them are whose, int64 [P, n].

        `listed`: every person's in order; else each unique one once.
        """
        samples = self.samples
        gene = samples.gene[rows]
        if listed:
            each = [self._of_person(row) for row in rows]
            count = 1 if each[0][1] is None else len(self.columns)
            return each, np.arange(len(rows) * count).reshape(len(rows), count)
        parts: list[Part] = []
        indices: list[tuple[NDArray[np.intp], NDArray[np.int64]]] = []
        offset = 0
        for number in np.unique(gene):
            here = np.flatnonzero(gene == number)
            name = samples.genes[number]
            unique, gathered = rows_of(self.inputs.gene(name), samples.individual[rows[here]], self.columns)
            indices.append((here, gathered + offset))
            offset += 1 if unique is None else len(unique)
            parts.append((name, unique))
        index = np.empty((len(rows), indices[0][1].shape[1]), dtype=np.int64)
        for here, gathered in indices:
            index[here] = gathered
        return parts, index

    def _of_person(self, row: int) -> Part:
        """Return the haplotypes of one sample in order."""
        name, individual = self.samples.genes[self.samples.gene[row]], self.samples.individual[row]
        if individual == REFERENCE:
            return name, None
        return name, self.inputs.gene(name).index[individual, list(self.columns)]


def rows_of(
    gene: GeneSource, individuals: NDArray[np.int64], columns: tuple[int, ...]
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return which unique haplotypes some people have, int64 [U], and where theirs are, int64 [P, n].

    For the reference the rows are None: the cohort's haplotypes are not looked at, since a source
    may have to work for them.
    """
    if (individuals == REFERENCE).all():
        return None, np.zeros((len(individuals), 1), dtype=np.int64)
    rows, inverse = np.unique(gene.index[individuals][:, list(columns)], return_inverse=True)
    return rows, inverse.reshape(len(individuals), len(columns)).astype(np.int64)


def parts_of(samples: Samples, inputs: Inputs, columns: tuple[int, ...]) -> list[Part]:
    """Return the unique haplotypes of all samples, a part a gene."""
    found: list[Part] = []
    for rows in samples.by_gene():
        name = samples.genes[samples.gene[rows[0]]]
        found.append((name, rows_of(inputs.gene(name), samples.individual[rows], columns)[0]))
    return found
