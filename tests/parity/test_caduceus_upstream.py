"""Caduceus-ph against numbers of the upstream implementation with mamba_ssm's reference scan.

The oracle, `caduceus-ph-tiny.safetensors`, holds random weights under the official checkpoint's names,
without the reverse direction's shared projections; float32, CPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from glm2x.backbones.caduceus import Caduceus, build
from glm2x.config import BackboneConfig
from glm2x.genome.sequence import encode

OFFICIAL = {
    **{"d_model": 256, "n_layer": 16, "vocab_size": 16, "d_state": 16, "d_conv": 4, "expand": 2},
    **{"dt_rank": 16, "norm_epsilon": 1e-5},
}
# sizes in the oracle, and what they are officially: widths, rank and what x_proj gives
SIZES = {1: 1, 2: 16, 4: 4, 16: 16, 32: 256, 34: 48, 64: 512, 128: 1_024}


@pytest.fixture(scope="module")
def oracle(shared_data: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(shared_data / "parity/caduceus-ph-tiny.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, {name: json.loads(text) for name, text in file.metadata().items()}


def weights_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")}


def test_the_last_hidden_state(oracle: tuple[dict[str, Tensor], dict[str, Any]], tmp_path: Path) -> None:
    tensors, metadata = oracle
    save_file(weights_of(tensors), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(metadata["config"]))
    model = build(BackboneConfig(name="caduceus-ph", weights=str(tmp_path))).eval()
    codes = torch.from_numpy(np.stack([encode(letters) for letters in metadata["sequences"]]))
    expected = tensors["output.last_hidden_state"]
    assert torch.equal(tensors["input.token_ids"][:, -1], torch.tensor([1, 1]))  # SEP
    tokens = model(codes)
    assert tokens.shape == (2, 299, 32)
    torch.testing.assert_close(tokens, expected[:, :-1], rtol=0, atol=5e-6)


def test_names_and_shapes_of_the_official_size(oracle: tuple[dict[str, Tensor], dict[str, Any]]) -> None:
    expected = {}
    for name, tensor in weights_of(oracle[0]).items():
        name, shape = name.removeprefix("caduceus.backbone."), tuple(SIZES[n] for n in tensor.shape)
        if not name.startswith("layers."):
            expected[name] = shape
        elif name.startswith("layers.0."):
            for layer in range(16):
                here = name.replace("layers.0.", f"layers.{layer}.")
                expected[here] = shape
                if "in_proj" in name or "out_proj" in name:
                    expected[here.replace("fwd", "rev")] = shape
    with torch.device("meta"):
        model = Caduceus(OFFICIAL)
    assert {name: tuple(t.shape) for name, t in model.state_dict().items()} == expected
    assert sum(p.numel() for p in model.parameters()) == 7_725_312
