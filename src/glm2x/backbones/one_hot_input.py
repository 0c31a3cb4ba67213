"""One-hot DNA for the sequence-to-function models, made from codes on the device that computes with it."""

from __future__ import annotations

import torch
from torch import Tensor

BASES = 4


def one_hot(codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return one-hot DNA, [B, 4, L], channels in the order A C G T, from codes, uint8 [B, L].

    N (code 4) is a column of zeros, as both Enformer and Borzoi were trained with.
    """
    bases = torch.arange(BASES, dtype=codes.dtype, device=codes.device)
    return (codes.unsqueeze(1) == bases.unsqueeze(1)).to(dtype)
