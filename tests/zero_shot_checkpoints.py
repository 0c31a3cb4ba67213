"""Small random checkpoints in the official formats, output heads included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

ENFORMER = {
    "model_type": "enformer",
    "dim": 96,
    "depth": 2,
    "heads": 8,
    "dim_divisible_by": 8,
    "attn_dim_key": 16,
    "target_length": 896,
    "output_heads": {"human": 12, "mouse": 3},
}
BORZOI = {
    "model_type": "borzoi",
    "dim": 48,
    "depth": 1,
    "heads": 2,
    "attn_dim_key": 8,
    "attn_dim_value": 8,
    "enable_mouse_head": False,
}


def enformer(**changes: Any) -> Any:
    """Return the library's model, in evaluation mode, no layer of it inert."""
    from enformer_pytorch import Enformer, EnformerConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Enformer(EnformerConfig(**{**ENFORMER, **changes})).eval()
        _spread(model, "_heads.")
    return model


def borzoi() -> Any:
    """Return the library's smallest model, in evaluation mode, no layer of it inert."""
    from borzoi_pytorch import Borzoi
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Borzoi(BorzoiConfig(**BORZOI)).eval()
        _spread(model, "human_head.")
    return model


def save(model: Any, config: dict[str, Any], folder: Path) -> Path:
    """Write a checkpoint as the Hub has it; Enformer's second names are left out, as safetensors wants."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.contiguous() for k, v in model.state_dict().items() if not k.startswith("_trunk.")}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _spread(model: nn.Module, head: str) -> None:
    """Give attention's outputs values, and let outputs differ between windows, bins and tracks."""
    for name, parameter in model.named_parameters():
        if "to_out" in name:
            nn.init.normal_(parameter, std=0.1)
        elif name.startswith(head):
            nn.init.normal_(parameter, std=0.5)
        elif parameter.dim() == 3:  # convolutions
            parameter.data *= 2
