"""Predictions in evaluation mode: each unique haplotype of a gene once, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glm2x.training.batches import rows_of
from glm2x.training.inputs import Inputs
from glm2x.training.losses import Loss
from glm2x.training.parallel import ALONE, Ranks
from glm2x.training.samples import REFERENCE, Samples

NULL_SHARE = 1e-3  # predictions that vary less than this share of the observed are constant

Forward = Callable[[Tensor, Tensor], Tensor]  # (inputs [H, ...], index [P, n]) -> [P]


def predict_gene(
    forward: Forward,
    inputs: Inputs,
    gene: str,
    individuals: NDArray[np.int64],
    columns: tuple[int, ...],
    device: torch.device,
    at_once: int = 256,
) -> NDArray[np.float64]:
    """Return one number a person, float64 [P]: the mean over the person's haplotypes.

    Parameters
    ----------
    forward
        The model, in evaluation mode.
    inputs
        Gives the model what it takes of haplotypes.
    gene
        Which gene.
    individuals
        int64 [P]: columns of the cohort, or all `REFERENCE`.
    columns
        Which haplotypes count.
    device
        Where `forward` computes.
    at_once
        How many windows go there together.
    """
    if not len(individuals):
        return np.zeros(0)
    rows, index = rows_of(inputs.gene(gene), individuals, columns)
    outputs = []
    with torch.inference_mode():
        for start in range(0, 1 if rows is None else len(rows), at_once):
            # a part's inputs are made when it is its turn: all of a gene's are too many for the memory
            of_part = None if rows is None else rows[start : start + at_once]
            part = inputs.of([(gene, of_part)]).to(device)
            each = torch.arange(len(part), device=device)[:, None]
            outputs.append(forward(part, each).float().cpu().double().numpy())  # mps has no float64
            del part  # before the next is made
    mean: NDArray[np.float64] = np.concatenate(outputs)[index].mean(axis=1)
    return mean


def predict_samples(
    forward: Forward,
    samples: Samples,
    inputs: Inputs,
    columns: tuple[int, ...],
    device: torch.device,
    at_once: int = 256,
    ranks: Ranks = ALONE,
) -> NDArray[np.float64]:
    """Return one number a sample, float64 [N]; each of several processes predicts its share of the genes."""
    predicted = np.zeros(len(samples))
    for rows in samples.by_gene()[ranks.rank :: ranks.size]:
        gene = samples.genes[samples.gene[rows[0]]]
        predicted[rows] = predict_gene(
            forward, inputs, gene, samples.individual[rows], columns, device, at_once
        )
    return ranks.total(predicted)


def validation_loss(samples: Samples, predicted: NDArray[np.float64], loss: Loss) -> float:
    """Return the mean over genes of the loss over the gene's samples (pairs are within genes here)."""
    each = []
    for rows in samples.by_gene():
        gene = samples.gene[rows]
        value = loss(
            torch.from_numpy(predicted[rows]),
            torch.from_numpy(samples.observed[rows]).double(),
            torch.from_numpy(gene),
            torch.from_numpy(samples.gene_sd[gene]).double(),
        )
        each.append(float(value))
    return float(np.mean(each))


def validation_pearson(samples: Samples, predicted: NDArray[np.float64]) -> float | None:
    """Return the mean over genes of Pearson's r across people; of reference samples, r across genes.

    Constant predictions (SD below 1e-3 of the observed) score 0. None where nothing can be
    correlated: fewer than two samples, or observations that do not vary.
    """
    groups = samples.by_gene()
    if (samples.individual == REFERENCE).all():
        groups = [np.arange(len(samples), dtype=np.int64)]
    scores = [_pearson(predicted[rows], samples.observed[rows].astype(np.float64)) for rows in groups]
    judged = [score for score in scores if score is not None]
    return float(np.mean(judged)) if judged else None


def _pearson(predicted: NDArray[np.float64], observed: NDArray[np.float64]) -> float | None:
    if len(observed) < 2 or observed.std() == 0:
        return None
    if predicted.std() < NULL_SHARE * observed.std():
        return 0.0
    return float(np.corrcoef(predicted, observed)[0, 1])
