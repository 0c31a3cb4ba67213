"""Small AlphaGenome models of random weights, and their checkpoints in both layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

SIZES = {
    "max_seq_len": 8192,
    "num_channels": 12,
    "transformer_layers": 3,
    "num_q_heads": 2,
    "pair_heads": 2,
    "pos_channels": 8,
}


def small_alphagenome(
    *, organisms: tuple[str, ...] = ("mouse", "human"), dtype_policy: str = "float32", seed: int = 0
) -> Any:
    """Return the library's own model with an output head, in evaluation mode, every tensor random."""
    from alphagenome_pt import AlphaGenome, AlphaGenomeConfig

    head = {"num_tracks": [2] * len(organisms), "means": [[2.0, 1.0]] * len(organisms)}
    metadata = {"organisms": list(organisms), "heads": {"rna_seq": head}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AlphaGenome(AlphaGenomeConfig(**SIZES, metadata=metadata, dtype_policy=dtype_policy)).eval()
        for name, tensor in model.state_dict().items():
            if name.endswith("_EMA"):
                tensor.uniform_(0.05, 0.5)
            elif name.endswith(("bias", "offset")):
                tensor.normal_(0, 0.1)
    return model


def write_alphagenome(folder: Path) -> nn.Module:
    """Write a folder as the library saves it, and return the model in it."""
    model = small_alphagenome()
    model.save(folder)
    return model
