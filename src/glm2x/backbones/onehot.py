"""A small convolutional network on one-hot DNA, trained from scratch: no download, runs on a CPU."""

from __future__ import annotations

import math

import torch
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
CHUNK_BASES = 16_000_000  # base pairs that go through together: 250 windows of 64 kb, about 0.8 GB


class OneHot(Backbone):
    """Three convolutions with strides of 16, 4 and 4 positions, from one-hot DNA to a token every 256 bp.

    Kernels are as wide as strides, so that a convolution is one matrix product of a reshaped
    input: several times faster on a CPU than `conv1d`. Each is followed by layer normalisation
    over the channels of a position (not the first, whose input is on one scale already and whose
    output is the largest tensor) and ReLU. N is a column of zeros. Nothing is shared between the
    haplotypes of a batch.

    Parameters
    ----------
    window
        Base pairs; a window that is no multiple of 256 bp is padded with N on the right.
    """

    width = WIDTHS[-1]

    def __init__(self, window: int) -> None:
        super().__init__()
        self.chunk = max(1, CHUNK_BASES // window)
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
        x = self._one_hot(functional.pad(inputs, (0, -inputs.shape[1] % STRIDE), value=N_CODE))
        for stage, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if stage:
                x = x.reshape(x.shape[0], x.shape[1] // STRIDES[stage], -1)
            x = functional.relu(norm(convolution(x)))
        return x

    def _one_hot(self, codes: Tensor) -> Tensor:
        """Return [B, L / 16, 64] from codes [B, L]: the 16 positions of A, then of C, G and T."""
        patches = codes.reshape(codes.shape[0], -1, STRIDES[0])
        bases = torch.cat([patches == base for base in range(BASES)], dim=-1)
        weight = self.convolutions[0].weight
        assert isinstance(weight, Tensor)
        return bases.to(weight.dtype)


def build(window: int, config: BackboneConfig) -> OneHot:
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
