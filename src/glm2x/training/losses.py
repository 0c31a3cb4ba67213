"""The losses of a batch of people: how far predictions lie from expression, and from its differences.

All take `predicted` and `observed` float [P] (the target's scale, log2) and return a scalar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["smooth-l1", "mean-difference"]
Pairwise = Literal["none", "published", "signed-within-gene"]


@dataclass(frozen=True)
class Loss:
    """`kind`, or ``(1 - alpha) * kind + alpha * pairwise`` where there is a pairwise term."""

    kind: Kind = "smooth-l1"
    pairwise: Pairwise = "none"
    alpha: float = 0.0
    mean_weight: float = 1.0

    def __call__(self, predicted: Tensor, observed: Tensor, gene: Tensor, gene_sd: Tensor) -> Tensor:
        """Return the scalar loss.

        Parameters
        ----------
        predicted, observed
            Float [P].
        gene
            int64 [P]: people with the same number belong to the same gene.
        gene_sd
            Float [P]: the standard deviation of the person's gene over training people.
        """
        if not predicted.shape == observed.shape == gene.shape == gene_sd.shape:
            shapes = [tuple(x.shape) for x in (predicted, observed, gene, gene_sd)]
            raise ValueError(f"a loss compares vectors of one length, got {shapes}")
        if self.kind == "smooth-l1":
            base = smooth_l1(predicted, observed)
        else:
            base = mean_difference(predicted, observed, gene, gene_sd, self.mean_weight)
        if self.pairwise == "none":
            return base
        if self.pairwise == "published":
            pairs = pairwise_published(predicted, observed)
        else:
            pairs = pairwise_within_genes(predicted, observed, gene)
        return (1 - self.alpha) * base + self.alpha * pairs


def smooth_l1(predicted: Tensor, observed: Tensor) -> Tensor:
    """Return the mean over people of 0.5 e^2 where abs(e) < 1, else abs(e) - 0.5."""
    return functional.smooth_l1_loss(predicted, observed)


def pairwise_published(predicted: Tensor, observed: Tensor) -> Tensor:
    """Return the mean over pairs i < j of smoothL1(abs(p_i - p_j), abs(y_i - y_j)); 0 without pairs.

    Blind to the sign of a difference, and pairs mix genes where the batch does: kept as published
    (bioRxiv 10.1101/2025.07.09.664024).
    """
    pair = torch.ones(len(predicted), len(predicted), dtype=torch.bool, device=predicted.device).triu(1)
    return _pair_mean(_differences(predicted).abs(), _differences(observed).abs(), pair)


def pairwise_within_genes(predicted: Tensor, observed: Tensor, gene: Tensor) -> Tensor:
    """Return the mean over pairs i < j of one gene of smoothL1(p_i - p_j, y_i - y_j); 0 without pairs."""
    pair = (gene[:, None] == gene[None, :]).triu(1)
    return _pair_mean(_differences(predicted), _differences(observed), pair)


def mean_difference(
    predicted: Tensor, observed: Tensor, gene: Tensor, gene_sd: Tensor, mean_weight: float = 1.0
) -> Tensor:
    """Return the mean over genes of mean_weight * (mean error)^2 + mean squared error of differences / SD^2.

    With e = p - y over the batch's people of one gene, the first part is mean(e)^2 and the second
    mean((e - mean(e))^2) / SD^2: with weight 1 and unscaled, they add up to the mean squared error.
    Dividing the second by the gene's variance over training people makes every gene's differences
    between people count alike, whatever the gene's range. One person a gene has no difference, and
    the loss is the weighted squared error.
    """
    _, group, count = torch.unique(gene, return_inverse=True, return_counts=True)
    member = functional.one_hot(group, len(count)).to(predicted.dtype)  # [P, genes]
    share = member / count
    error = predicted - observed
    mean = error @ share
    scaled = (error - mean[group]) / gene_sd
    each: Tensor = mean_weight * mean.square() + scaled.square() @ share
    return each.mean()


def _differences(values: Tensor) -> Tensor:
    return values[:, None] - values[None, :]


def _pair_mean(predicted: Tensor, observed: Tensor, pair: Tensor) -> Tensor:
    """Return the mean smooth L1 over the [P, P] entries that `pair` marks; 0 when it marks none."""
    each = functional.smooth_l1_loss(predicted, observed, reduction="none")
    return (each * pair).sum() / pair.sum().clamp(min=1)
