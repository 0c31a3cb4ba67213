"""A small convolutional network on one-hot DNA, trained from scratch: no download, runs on a CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones.base import Backbone
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError

BASES = 4
N_CODE = 4
STRIDES = (16, 4, 4)
WIDTHS = (24, 32, 48)
STRIDE = math.prod(STRIDES)


class OneHot(Backbone):
    """Three convolutions with strides of 16, 4 and 4 positions, from one-hot DNA to a token every 256 bp.

    Kernels are as wide as strides, so that a convolution is one matrix product of a reshaped
    input: several times faster on a CPU than `conv1d`. Each is followed by layer normalisation
    over the channels of a position (not the first, whose input is on one scale already and whose
    output is the largest tensor) and ReLU. N is a column of zeros. Nothing is shared between the
    haplotypes of a batch.

    A token depends on its own 256 bp alone, and the haplotypes of a gene are alike in nearly all of
    them. So each different stretch of a batch is computed once and its token handed to all that have
    it: the same function, with about a hundredth of the work.

    Parameters
    ----------
    window
        Base pairs; a window that is no multiple of 256 bp is padded with N on the right.
    """

    width = WIDTHS[-1]
    windows_at_once = 250

    def __init__(self, window: int) -> None:
        super().__init__()
        inputs = (BASES, *WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Linear(width * stride, out) for width, stride, out in zip(inputs, STRIDES, WIDTHS, strict=True)
        )
        self.norms = nn.ModuleList([nn.Identity(), *(nn.LayerNorm(out) for out in WIDTHS[1:])])

    def tokens(self, window: int) -> int:
        """Return the number of tokens of a window of `window` bp."""
        return -(-window // STRIDE)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, ceil(L / 256), 48], from codes, uint8 [B, L]."""
        padded = functional.pad(inputs, (0, -inputs.shape[1] % STRIDE), value=N_CODE)
        stretches, place = unique_rows(padded.reshape(-1, STRIDE))
        tokens = self._tokens(stretches)
        return functional.embedding(place, tokens).reshape(inputs.shape[0], -1, self.width)

    def _tokens(self, stretches: Tensor) -> Tensor:
        """Return one token a stretch, float [S, 48], from codes [S, 256]."""
        x = self._one_hot(stretches)
        for stage, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if stage:
                x = x.reshape(x.shape[0], x.shape[1] // STRIDES[stage], -1)
            x = functional.relu(norm(convolution(x)))
        return x.reshape(len(stretches), self.width)

    def _one_hot(self, codes: Tensor) -> Tensor:
        """Return [B, L / 16, 64] from codes [B, L]: the 16 positions of A, then of C, G and T."""
        patches = codes.reshape(codes.shape[0], -1, STRIDES[0])
        bases = torch.cat([patches == base for base in range(BASES)], dim=-1)
        weight = self.convolutions[0].weight
        assert isinstance(weight, Tensor)
        return bases.to(weight.dtype)


def unique_rows(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different rows of uint8 codes [N, L], and int64 [N]: which of them each row is.

    L is a multiple of 8. Rows are told apart by a 64-bit hash (their words times fixed random numbers,
    summed), and then compared: two that it confuses (1 in 2^64 pairs) make this return all rows.
    """
    words = codes.contiguous().view(torch.int64)
    weights = torch.from_numpy(_hash_weights(words.shape[1])).to(codes.device)
    keys = (words * weights).sum(dim=1)  # wraps around 2^64
    _, place = torch.unique(keys, return_inverse=True)
    first = torch.full((int(place.max()) + 1,), len(codes), dtype=torch.int64, device=codes.device)
    first.scatter_reduce_(0, place, torch.arange(len(codes), device=codes.device), reduce="amin")
    if not torch.equal(words[first].index_select(0, place), words):
        return codes, torch.arange(len(codes), device=codes.device)
    return codes[first], place


@lru_cache
def _hash_weights(length: int) -> NDArray[np.int64]:
    """Return fixed odd random numbers, int64 [length]."""
    random = np.random.default_rng(0).integers(-(2**63), 2**63, length, dtype=np.int64)
    return random | 1


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> OneHot:
    """Return the backbone, freshly initialised.

    Raises
    ------
    UsageError
        The configuration names weights or a revision: there are none.
    """
    if config.weights is not None or config.revision is not None:
        raise UsageError(
            "the onehot backbone has no pretrained weights",
            where="backbone.weights" if config.weights is not None else "backbone.revision",
            got=config.weights if config.weights is not None else str(config.revision),
            wanted="null",
            do="to go on from a trained checkpoint set start_from",
        )
    return OneHot(window)
