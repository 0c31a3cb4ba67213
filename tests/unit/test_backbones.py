from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from glm2x.backbones import onehot
from glm2x.backbones.caduceus import Caduceus
from glm2x.backbones.kmer import Kmer
from glm2x.backbones.language import LanguageModel
from glm2x.backbones.nucleotide_transformer import LAYER, NucleotideTransformer
from glm2x.backbones.onehot import N_CODE, OneHot, unique_rows
from glm2x.backbones.registry import backbones, build, get
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError
from glm2x.heads.registry import heads

# the architectures of official weights, where a backbone has any
OFFICIAL = {"onehot": None, "alphagenome": {"organisms": ["human", "mouse"], "max_seq_len": 2**20}}


TRAINED = [info for info in backbones() if info.kind == "trainable"]
# the sizes in the official config.json of what is read through embeddings
LANGUAGE: dict[str, Callable[[], LanguageModel]] = {
    "nucleotide-transformer-v2": lambda: NucleotideTransformer(
        {
            **{"hidden_size": 1024, "intermediate_size": 4096, "max_position_embeddings": 2050},
            **{"num_attention_heads": 16, "num_hidden_layers": 29},
        },
        LAYER,
    ),
    "caduceus-ph": lambda: Caduceus(
        {
            **{"d_model": 256, "n_layer": 16, "vocab_size": 16, "d_state": 16, "d_conv": 4, "expand": 2},
            **{"dt_rank": 16, "norm_epsilon": 1e-5},
        }
    ),
    "kmer": Kmer,
}


@pytest.mark.parametrize("info", TRAINED, ids=lambda info: info.name)
@pytest.mark.parametrize("window", [63_488, 2_048])
def test_what_the_registry_says_is_what_the_model_does(info, window: int) -> None:
    """At full size, without the memory for it."""
    for module in info.needs:
        pytest.importorskip(module)
    architecture = OFFICIAL.get(info.name, {})
    spec = None if architecture is None else {"architecture": architecture}
    with torch.device("cpu" if spec is None else "meta"):
        model = build(info.name, window, BackboneConfig(name=info.name), spec)
        if info.name != "alphagenome":  # it asks for its device's autocast, which the meta device has not
            output = model(torch.zeros(2, window, dtype=torch.uint8))
            assert output.shape == (2, info.tokens_for(window), info.width)
    assert (model.tokens(window), model.width) == (info.tokens_for(window), info.width)
    assert info.head in heads()
    count = sum(p.numel() for p in model.parameters())
    assert info.parameters in (f"{count / 1e6:.1f} million", f"{count / 1e3:.0f} thousand")


@pytest.mark.parametrize("name", LANGUAGE)
def test_what_the_registry_says_of_a_language_model(name: str) -> None:
    info = get(name)
    with torch.device("cpu" if name == "kmer" else "meta"):
        model = LANGUAGE[name]()
    for window in (11_000, 64_000):
        assert model.tokens(window) == info.tokens_for(window)
    assert model.width == info.width
    assert info.head in heads()
    count = sum(p.numel() for p in model.parameters())
    assert info.parameters.startswith(f"{count / 1e6:.1f} million" if count else "none")
    assert (model.longest is not None) == ("in tiles" in info.input)
    assert model.longest is None or f"{model.longest:,} bp in tiles" in info.input


def test_the_registry_needs_no_torch() -> None:
    code = (
        "import sys; from glm2x.backbones.registry import backbones, get; "
        "get('onehot').tokens_for(64000); print('torch' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no backbone is called one-hot") as error:
        get("one-hot")
    assert error.value.do == "did you mean onehot?"


@pytest.mark.parametrize(("field", "value"), [("weights", "folder"), ("revision", "main")])
def test_onehot_has_no_pretrained_weights(field: str, value: str) -> None:
    with pytest.raises(UsageError, match="no pretrained weights") as error:
        build("onehot", 512, BackboneConfig(name="onehot", **{field: value}))
    assert error.value.where == f"backbone.{field}"
    assert "start_from" in error.value.do


def test_onehot_is_a_strided_convolution_of_one_hot_dna() -> None:
    """The first stage as a plain conv1d over an explicit one-hot encoding."""
    model = OneHot(256)
    codes = torch.randint(0, 5, (2, 256), dtype=torch.uint8)
    dna = torch.stack([(codes == base).float() for base in range(4)], dim=1)
    kernel = model.convolutions[0].weight.reshape(24, 4, 16)
    expected = torch.nn.functional.conv1d(dna, kernel, model.convolutions[0].bias, stride=16)
    x = model.convolutions[0](model._one_hot(codes))
    torch.testing.assert_close(x.transpose(1, 2), expected)


def test_a_window_is_padded_with_n_on_the_right() -> None:
    model = OneHot(300)
    codes = torch.randint(0, 4, (1, 300), dtype=torch.uint8)
    padded = torch.full((1, 512), N_CODE, dtype=torch.uint8)
    padded[:, :300] = codes
    torch.testing.assert_close(model(codes), model(padded))


def test_one_base_changes_its_own_token_only() -> None:
    model = OneHot(1024)
    codes = torch.zeros(2, 1024, dtype=torch.uint8)
    codes[1, 600] = 2
    first, second = model(codes)
    assert (first != second).any(dim=1).tolist() == [False, False, True, False]


def test_what_haplotypes_share_is_computed_once() -> None:
    """The same tokens and gradients as stretch by stretch, from as many stretches as differ."""
    torch.manual_seed(0)
    model = OneHot(1024).double()
    codes = torch.randint(0, 5, (1, 1024), dtype=torch.uint8).repeat(6, 1)
    codes[2, 300] = (codes[2, 300] + 1) % 5
    codes[4, 300] = codes[2, 300]
    codes[4, 1000] = (codes[4, 1000] + 1) % 5
    stretches, place = unique_rows(codes.reshape(-1, 256))
    assert len(stretches) == 4 + 1 + 1
    assert torch.equal(stretches[place], codes.reshape(-1, 256))
    weight = torch.randn(6, 4, 48, dtype=torch.float64)
    results = []
    for tokens in (model(codes), model._tokens(codes.reshape(-1, 256)).reshape(6, 4, 48)):
        model.zero_grad()
        (tokens * weight).sum().backward()
        results.append([tokens, *(p.grad.clone() for p in model.parameters())])
    torch.testing.assert_close(*results)


def test_rows_that_a_hash_confuses_are_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onehot, "_hash_weights", lambda words: np.zeros(words, dtype=np.int64))
    codes = torch.randint(0, 5, (5, 256), dtype=torch.uint8)
    stretches, place = unique_rows(codes)
    assert torch.equal(stretches, codes)
    assert place.tolist() == [0, 1, 2, 3, 4]
