"""What is kept of a window's tokens: all of them, their means in bins, or one mean."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from glm2x.embeddings.shard import DTYPES
from glm2x.embeddings.spec import StoreSpec


def kept_of(tokens: Tensor, spec: StoreSpec) -> Tensor:
    """Return what a store keeps, [B, rows, width] in its dtype, of tokens, float [B, T, width].

    Means are taken, and kept, in float32: between two people they differ by less than the 8 bits that
    bfloat16 keeps.
    """
    if spec.keep == "tokens":
        return tokens.to(DTYPES[spec.dtype])
    edges = bin_edges(tokens.shape[1], spec.rows)
    means = [tokens[:, start:end].float().mean(dim=1) for start, end in edges]
    return torch.stack(means, dim=1)


def bin_edges(tokens: int, bins: int) -> list[tuple[int, int]]:
    """Return the tokens of each bin, first and behind the last; their numbers differ by one at most."""
    edges = [round(number * tokens / bins) for number in range(bins + 1)]
    return list(itertools.pairwise(edges))
