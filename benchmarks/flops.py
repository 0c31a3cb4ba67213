"""Floating-point operations of forward passes, counted by torch on the meta device: no weights, no memory.

    python benchmarks/flops.py

Two a multiply-add, of matrix products, convolutions and attention; pointwise work is not counted.
`glm2x.study.costs` holds what this prints, and formulas for the language models.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from glm2x.heads.tower import Tower

WINDOW = 64_000
TOWERS = {"nucleotide-transformer-v2": (1_834, 1_024), "caduceus-ph": (64_000, 256), "evo2": (64_000, 4_096)}


def counted(model: nn.Module, *inputs: torch.Tensor) -> float:
    """Return the operations of a forward pass."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(*inputs)
    return float(counter.get_total_flops())


def meta(build: Callable[[], nn.Module], shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> float:
    """Return the operations of a model that is built on the meta device."""
    with torch.device("meta"):
        return counted(build(), torch.zeros(shape, dtype=dtype))


def backbones() -> dict[str, tuple[int, float]]:
    """Return window (bp) and operations of one window, of each backbone with published sizes."""
    from glm2x.backbones.borzoi import Borzoi
    from glm2x.backbones.enformer import Enformer

    return {
        "enformer": (WINDOW, meta(lambda: Enformer({}, WINDOW), (1, WINDOW))),
        "borzoi": (WINDOW, meta(lambda: Borzoi({}, WINDOW), (1, WINDOW))),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, (window, flops) in backbones().items():
        print(f"{name:<28}{window:>8,} bp      {flops / 1e12:8.3f} TFLOP")
    for name, (tokens, width) in TOWERS.items():
        flops = meta(lambda t=tokens, w=width: Tower(w, t), (1, tokens, width), torch.float32)
        print(f"{'tower on ' + name:<28}{tokens:>8,} tokens  {flops / 1e12:8.4f} TFLOP")
