"""The Nucleotide Transformer v2 beside the upstream JAX implementation, and its tokens beside transformers'.

The oracle, `nucleotide-transformer-v2-tiny.safetensors`, was made by running the upstream code on random
weights (float32, CPU); tensors named `weights.*` carry the official checkpoint's names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from glm2x.backbones.nucleotide_transformer import NucleotideTransformer, build
from glm2x.backbones.six_mers import NOTHING, spell
from glm2x.config import BackboneConfig
from glm2x.genome.sequence import encode
from nt_checkpoints import write_nt

LAYERS = (1, 2, 3, 4)
PAD = 1


@dataclass(frozen=True)
class Oracle:
    weights: dict[str, Tensor]
    config: dict[str, Any]
    sequences: list[str]
    ids: Tensor  # [2, 64], CLS first, padded
    embeddings: dict[int, Tensor]  # [2, 64, 32] by layer


@pytest.fixture(scope="module")
def oracle(shared_data: Path) -> Oracle:
    with safe_open(shared_data / "parity/nucleotide-transformer-v2-tiny.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
        described = file.metadata()
    return Oracle(
        weights={n.removeprefix("weights."): t for n, t in tensors.items() if n.startswith("weights.")},
        config=json.loads(described["config"]),
        sequences=json.loads(described["sequences"]),
        ids=tensors["input.token_ids"],
        embeddings={layer: tensors[f"output.embeddings_{layer}"] for layer in LAYERS},
    )


@pytest.fixture(scope="module")
def folder(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with an epsilon as the Hub's, which the upstream code does not have."""
    folder = tmp_path_factory.mktemp("nt")
    write_nt(folder, state=oracle.weights, **oracle.config | {"layer_norm_eps": 1e-12})
    return folder


def ours(folder: Path, layer: int) -> NucleotideTransformer:
    return build(BackboneConfig(name="nucleotide-transformer-v2", weights=str(folder), layer=layer)).eval()


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_hidden_states_are_the_upstream_ones(layer: int, oracle: Oracle, folder: Path) -> None:
    """Of both sequences, with its ids: one is re-framed behind N, both are padded."""
    model = ours(folder, layer)
    read = oracle.ids != PAD
    assert read.sum(1).tolist() == [51, 51]
    hidden = model.esm(oracle.ids, attention_mask=read).last_hidden_state
    expected = oracle.embeddings[layer]
    assert expected[read].std() > 0.3
    torch.testing.assert_close(hidden[read], expected[read], rtol=0, atol=2e-5)


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_tokens_of_a_window_are_the_upstream_ones(layer: int, oracle: Oracle, folder: Path) -> None:
    """From letters, without padding: a window of 50 6-mers."""
    window = torch.from_numpy(encode(oracle.sequences[0]))[None]
    tokens = ours(folder, layer)(window)
    assert tokens.shape == (1, 50, 32)
    torch.testing.assert_close(tokens[0], oracle.embeddings[layer][0, 1:51], rtol=0, atol=2e-5)


@torch.no_grad()
def test_the_hub_s_epsilon_is_another_model(oracle: Oracle, folder: Path) -> None:
    model = ours(folder, 4)
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
        norm.eps = 1e-12
    read = oracle.ids != PAD
    hidden = model.esm(oracle.ids, attention_mask=read).last_hidden_state
    assert (hidden - oracle.embeddings[4])[read].abs().max() > 1e-4


def test_the_official_size_has_the_official_names(oracle: Oracle) -> None:
    """Names and shapes of the oracle's weights, extended to 20 layers of the official sizes."""
    sizes = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 29,
        "max_position_embeddings": 2050,
    }
    with torch.device("meta"):
        model = NucleotideTransformer(sizes, 20)
    official = {32: 1024, 64: 4096, 128: 8192, 4107: 4107}
    expected = {}
    for name, tensor in oracle.weights.items():
        shape = tuple(official[size] for size in tensor.shape)
        if name.startswith("esm.encoder.layer.0."):
            expected |= {name.replace(".0.", f".{layer}.", 1): shape for layer in range(20)}
        elif name == "esm.embeddings.word_embeddings.weight":
            expected[name] = shape
        else:
            assert name.startswith(("esm.encoder.layer.", "esm.encoder.emb_layer_norm_after.", "lm_head."))
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == expected
    assert {name for name, _ in model.named_parameters()} == set(expected)
    assert sum(p.numel() for p in model.parameters()) == 339_913_728
    assert (model.width, model.longest, model.tokens(11_000)) == (1024, 12_282, 1834)


def test_ids_are_transformers_own(oracle: Oracle, tmp_path: Path) -> None:
    """EsmTokenizer with the official vocabulary, on windows without N; its order is checked by the oracle."""
    from transformers import EsmTokenizer

    special = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    six_mers = ["".join(letters) for letters in product("ATCG", repeat=6)]
    (tmp_path / "vocab.txt").write_text("\n".join([*special, *six_mers, *"ATCGN"]))
    tokenizer = EsmTokenizer(str(tmp_path / "vocab.txt"), eos_token=None)
    for sequence, ids in zip(oracle.sequences, oracle.ids, strict=True):
        assert tokenizer(sequence)["input_ids"] == ids[ids != PAD].tolist()
    generator = torch.Generator().manual_seed(0)
    for length in (1, 6, 59, 64, 1_000, 11_000):
        window = torch.randint(0, 4, (1, length), dtype=torch.uint8, generator=generator)
        ids = spell(window)
        theirs = tokenizer("".join("ACGT"[code] for code in window[0].tolist()))["input_ids"]
        assert theirs == [3, *ids[ids != NOTHING].tolist()]
    assert len(theirs) == 1_836
