"""Small Enformers of random weights, and their checkpoints in the official format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

TINY = {"dim": 96, "depth": 2, "heads": 8, "dim_divisible_by": 8}


def small_enformer(*, seed: int = 0, target_length: int = -1, **sizes: Any) -> nn.Module:
    """Return the library's own model, in evaluation mode, with random statistics and no inert attention."""
    from enformer_pytorch import Enformer, EnformerConfig

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heads = {"human": 12, "mouse": 3}
        config = EnformerConfig(**{**TINY, **sizes}, output_heads=heads, target_length=target_length)
        model = Enformer(config).eval()
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
            elif "to_out" in name:
                tensor.normal_(0, 0.05)
    return model


def official_state(model: nn.Module) -> dict[str, Tensor]:
    """Return all tensors of the official file: the trunk, again as ``_trunk.*``, and ``_heads.*``."""
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any(name.startswith("_trunk.") for name in state)
    assert any(name.startswith("_heads.") for name in state)
    return state


def write_enformer(
    folder: Path, model: nn.Module | None = None, *, kind: str = "bin", **config: Any
) -> nn.Module:
    """Write a checkpoint as the official one is, and return the library's model in it.

    Parameters
    ----------
    kind
        ``bin`` as the official one, ``safetensors``, or ``sharded`` (safetensors in two files).
    config
        Other values of ``config.json``.
    """
    model = model if model is not None else small_enformer()
    folder.mkdir(parents=True, exist_ok=True)
    official = {
        **{"architectures": ["Enformer"], "model_type": "enformer", "torch_dtype": "float32"},
        **{"attn_dim_key": 64, "attn_dropout": 0.05, "dropout_rate": 0.4, "pos_dropout": 0.01},
        **{"num_downsamples": 7, "target_length": 896, "use_checkpointing": False},
        **{name: getattr(model.config, name) for name in (*TINY, "output_heads")},
    }
    (folder / "config.json").write_text(json.dumps({**official, **config}))
    write_state(folder, official_state(model), kind)
    return model


def write_state(folder: Path, state: dict[str, Tensor], kind: str) -> None:
    """Write tensors in one of three layouts."""
    if kind == "bin":
        torch.save(state, folder / "pytorch_model.bin")
    elif kind == "safetensors":
        save_file(state, folder / "model.safetensors")
    else:
        places = {}
        for shard in (0, 1):
            name = f"model-0000{shard + 1}-of-00002.safetensors"
            part = dict(list(state.items())[shard::2])
            save_file(part, folder / name)
            places |= dict.fromkeys(part, name)
        index = {"metadata": {}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_hub_cache(cache: Path, name: str, commit: str) -> Path:
    """Return the empty folder where the Hub's cache has a repository's files at ``main``."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot
