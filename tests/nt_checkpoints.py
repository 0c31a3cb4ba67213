"""Small Nucleotide Transformers of random weights, in the official format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2f_checkpoints import write_state

VOCABULARY = 4107
# the official ones: 1024, 4096, 16, 29 and 2050
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "max_position_embeddings": 2050,
}
OFFICIAL = {
    "architectures": ["EsmForMaskedLM"],
    "model_type": "esm",
    "add_bias_fnn": False,
    "attention_probs_dropout_prob": 0.0,
    "emb_layer_norm_before": False,
    "hidden_dropout_prob": 0.0,
    "is_folding_model": False,
    "layer_norm_eps": 1e-12,
    "mask_token_id": 2,
    "pad_token_id": 1,
    "position_embedding_type": "rotary",
    "tie_word_embeddings": False,
    "token_dropout": False,
    "torch_dtype": "float32",
    "vocab_size": VOCABULARY,
}


def shapes(sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the model, its output head, and what the Hub's code saves beside them."""
    width, inner = sizes["hidden_size"], sizes["intermediate_size"]
    heads, layers = sizes["num_attention_heads"], sizes["num_hidden_layers"]
    square = {"weight": (width, width), "bias": (width,)}
    norm = {"weight": (width,), "bias": (width,)}
    parts: dict[str, dict[str, tuple[int, ...]]] = {
        "esm.embeddings.word_embeddings": {"weight": (VOCABULARY, width)},
        "esm.embeddings.position_embeddings": {"weight": (sizes["max_position_embeddings"], width)},
        "esm.encoder.emb_layer_norm_after": norm,
        "esm.contact_head.regression": {"weight": (1, layers * heads), "bias": (1,)},
        "lm_head": {"bias": (VOCABULARY,)},
        "lm_head.decoder": {"weight": (VOCABULARY, width)},
        "lm_head.dense": square,
        "lm_head.layer_norm": norm,
    }
    for number in range(layers):
        layer = f"esm.encoder.layer.{number}"
        parts |= {f"{layer}.{name}": norm for name in ("LayerNorm", "attention.LayerNorm")}
        linear = ("self.query", "self.key", "self.value", "output.dense")
        parts |= {f"{layer}.attention.{name}": square for name in linear}
        parts[f"{layer}.attention.self.rotary_embeddings"] = {"inv_freq": (width // heads // 2,)}
        parts[f"{layer}.intermediate.dense"] = {"weight": (2 * inner, width)}
        parts[f"{layer}.output.dense"] = {"weight": (width, inner)}
    return {f"{part}.{name}": shape for part, tensors in parts.items() for name, shape in tensors.items()}


def nt_state(seed: int = 0, **sizes: int) -> dict[str, Tensor]:
    """Return all tensors of the official file, random, so large that each layer changes what it is given."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes({**TINY, **sizes}).items():
        values = torch.randn(shape, generator=generator)
        if "norm" in name.lower() and name.endswith(".weight"):
            values = 1 + values / 10
        elif len(shape) == 2 and "embeddings" not in name:
            values /= shape[1] ** 0.5
        state[name] = values
    return state


def write_nt(
    folder: Path, *, state: dict[str, Tensor] | None = None, kind: str = "safetensors", **config: Any
) -> dict[str, Tensor]:
    """Write a checkpoint as the official one is, and return its tensors.

    Parameters
    ----------
    state
        Other tensors than `nt_state` makes of the sizes.
    kind
        As of `write_state`.
    config
        Other values of ``config.json``; sizes hold for the tensors, too.
    """
    sizes = {name: config[name] for name in TINY if type(config.get(name)) is int and config[name] > 0}
    state = nt_state(**sizes) if state is None else state
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**OFFICIAL, **TINY, **config}))
    write_state(folder, state, kind)
    return state
