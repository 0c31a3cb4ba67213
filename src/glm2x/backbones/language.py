"""What every genomic language model is: frozen, it turns windows into tokens that say where they lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glm2x.backbones.base import WINDOW

_COMPLEMENT = (3, 2, 1, 0, 4)  # of the codes A C G T N


class LanguageModel(nn.Module, ABC):
    """Turns windows into tokens on a regular grid: token i covers base pairs ``[i, i + 1) * token_bp``.

    A grid that depends on the window's length alone is what lets haplotypes of a gene be compared token by
    token, and batched. A model whose tokenizer cuts otherwise lays its tokens on such a grid itself.

    Attributes
    ----------
    width
        Channels of a token.
    token_bp
        Base pairs of a token; the last one of a window may cover fewer.
    longest
        Base pairs that go through in one pass; None: any number. Longer windows are tiled, see `tiling`.
    spec
        All that changes the numbers, as JSON: architecture, layer, source and revision or digest of the
        weights, numeric precision. It is part of the spec of every store.
    windows_at_once
        How many windows of 64 kb go through together; shorter ones proportionally more.
    """

    width: int
    token_bp: int
    longest: int | None = None
    spec: Mapping[str, Any]
    windows_at_once: int = 1

    @abstractmethod
    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float [B, T, width], from codes, uint8 [B, L] (A C G T N = 0 1 2 3 4)."""

    def tokens(self, window: int) -> int:
        """Return the number of tokens of a window of `window` bp."""
        return -(-window // self.token_bp)

    def at_once(self, window: int) -> int:
        """Return how many windows of `window` bp go through together."""
        return max(1, self.windows_at_once * WINDOW // window)

    def spans(self, window: int) -> NDArray[np.int64]:
        """Return the base pairs that each token covers, int64 [T, 2], 0-based, half-open, in the window."""
        starts = np.arange(self.tokens(window), dtype=np.int64) * self.token_bp
        return np.stack([starts, np.minimum(starts + self.token_bp, window)], axis=1)


def reverse_complement(codes: Tensor) -> Tensor:
    """Return the other strand of codes, uint8 [B, L], read in its own direction. N stays N."""
    return torch.tensor(_COMPLEMENT, dtype=codes.dtype, device=codes.device)[codes.flip(-1).long()]
