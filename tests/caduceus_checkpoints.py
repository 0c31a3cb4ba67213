"""Small random checkpoints of Caduceus-ph in the official format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2f_checkpoints import write_state

TINY = {"d_model": 16, "n_layer": 2}


def caduceus_state(
    *, d_model: int = 16, n_layer: int = 2, rank: int = 1, directions: str = "fwd", seed: int = 0
) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint.

    Parameters
    ----------
    directions
        Of which the shared projections are there: ``fwd`` as in the official file, ``rev`` or ``both``.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=generator) * scale

    inner, numbers = 2 * d_model, 16
    state = {"embeddings.word_embeddings.weight": normal(16, d_model)}
    for layer in range(n_layer):
        shared = {"in_proj.weight": normal(2 * inner, d_model, scale=d_model**-0.5)}
        shared["out_proj.weight"] = normal(d_model, inner, scale=inner**-0.5)
        for way in ("fwd", "rev"):
            own = {
                "A_log": torch.arange(1.0, numbers + 1).log() + normal(inner, numbers, scale=0.1),
                "D": 1 + normal(inner, scale=0.1),
                "conv1d.weight": normal(inner, 1, 4, scale=0.5),
                "conv1d.bias": normal(inner, scale=0.1),
                "x_proj.weight": normal(rank + 2 * numbers, inner, scale=inner**-0.5),
                "dt_proj.weight": normal(inner, rank, scale=rank**-0.5),
                "dt_proj.bias": normal(inner) - 3,
            }
            own |= {name: t.clone() for name, t in shared.items() if directions in (way, "both")}
            state |= {f"layers.{layer}.mixer.mamba_{way}.{name}": tensor for name, tensor in own.items()}
        state[f"layers.{layer}.norm.weight"] = 1 + normal(d_model, scale=0.1)
    state["norm_f.weight"] = 1 + normal(d_model, scale=0.1)
    official = {f"caduceus.backbone.{name}": tensor for name, tensor in state.items()}
    return {**official, "lm_head.weight": state["embeddings.word_embeddings.weight"].clone()}


def caduceus_config(**changes: Any) -> dict[str, Any]:
    """Return a config.json with the official one's keys; those of `ssm_cfg` may be changed by name."""
    inner = {
        **{"d_state": 16, "d_conv": 4, "expand": 2, "dt_rank": "auto", "dt_min": 0.001, "dt_max": 0.1},
        **{"dt_init": "random", "dt_scale": 1.0, "dt_init_floor": 0.0001, "conv_bias": True, "bias": False},
        "use_fast_path": True,
    }
    inner |= {name: changes.pop(name) for name in list(changes) if name in inner}
    official = {
        **{"architectures": ["CaduceusForMaskedLM"], "model_type": "caduceus", "torch_dtype": "float32"},
        **{"bidirectional": True, "bidirectional_strategy": "add", "bidirectional_weight_tie": True},
        **{"complement_map": {"7": 10, "8": 9, "9": 8, "10": 7}, "rcps": False, "rms_norm": True},
        **{"fused_add_norm": True, "residual_in_fp32": False, "norm_epsilon": 1e-5},
        **{"pad_vocab_size_multiple": 8, "vocab_size": 16, "ssm_cfg": inner},
    }
    return {**official, **TINY, **changes}


def write_caduceus(
    folder: Path, state: dict[str, Tensor] | None = None, *, kind: str = "safetensors", **changes: Any
) -> Path:
    """Write a checkpoint as the official one is, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(caduceus_config(**changes)))
    write_state(folder, caduceus_state() if state is None else state, kind)
    return folder
