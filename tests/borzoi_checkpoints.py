"""Small Borzoi models of random weights, and their checkpoints in the official format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

# the widths of Borzoi's convolutions are fixed, so that this is about as small as it gets: 19 M parameters
SIZES = {"dim": 16, "depth": 2, "heads": 2, "attn_dim_key": 4, "attn_dim_value": 4}


def small_borzoi(*, bins_to_return: int = 10, seed: int = 0) -> nn.Module:
    """Return the library's own model, in evaluation mode, every tensor of it random.

    Its own crop keeps `bins_to_return` bins of 32 bp. Weights are twice what the library initialises
    them to: otherwise a sequence changes the output by 1e-5.
    """
    from borzoi_pytorch.config_borzoi import BorzoiConfig
    from borzoi_pytorch.pytorch_borzoi_model import Borzoi

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = BorzoiConfig(**SIZES, enable_human_head=False, bins_to_return=bins_to_return)
        model = Borzoi(config).eval()
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1)
            elif tensor.ndim > 1:
                tensor.mul_(2)
    return model


def write_borzoi(
    folder: Path, model: nn.Module | None = None, *, binary: bool = False, **config: Any
) -> nn.Module:
    """Write a checkpoint as the official ones are, output heads included, and return the model in it.

    Parameters
    ----------
    binary
        ``pytorch_model.bin`` instead of ``model.safetensors``.
    config
        Other keys of ``config.json``.
    """
    model = model or small_borzoi()
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "architectures": ["Borzoi"],
        "model_type": "borzoi",
        "attn_dropout": 0.05,
        "bins_to_return": 6144,
        "dropout_rate": 0.2,
        "enable_mouse_head": True,
        "pos_dropout": 0.01,
        "return_center_bins_only": True,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(described | SIZES | config))
    state = model.state_dict() | _heads()
    if binary:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return model


def _heads() -> dict[str, Tensor]:
    """Return output heads of fewer tracks than the official 7,611 and 2,608."""
    return {
        f"{name}_head.{kind}": torch.zeros(shape)
        for name in ("human", "mouse")
        for kind, shape in (("weight", (3, 1920, 1)), ("bias", (3,)))
    }
