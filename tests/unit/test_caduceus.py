from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from caduceus_checkpoints import caduceus_config, caduceus_state, write_caduceus
from glm2x.backbones import caduceus
from glm2x.backbones.caduceus import Caduceus, build, runs_kernels
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import encode

MIXER = "layers.1.mixer.mamba_"


def load(folder: Path, **config: Any) -> Caduceus:
    return build(BackboneConfig(name="caduceus-ph", weights=str(folder), **config)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_caduceus(tmp_path_factory.mktemp("caduceus"))


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Caduceus:
    return load(folder)


@pytest.fixture
def model(loaded: Caduceus) -> Caduceus:
    return copy.deepcopy(loaded)


def codes(count: int = 2, length: int = 300, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def test_it_is_what_the_checkpoint_says(model: Caduceus, folder: Path, tmp_path: Path) -> None:
    assert model(codes()).shape == (2, model.tokens(300), model.width) == (2, 300, 16)
    assert model.spans(300)[[0, -1]].tolist() == [[0, 1], [299, 300]]
    sizes = {"d_model": 16, "n_layer": 2, "vocab_size": 16, "d_state": 16, "d_conv": 4, "expand": 2}
    digest = model.spec["weights_digest"]
    assert model.spec == {
        "architecture": {**sizes, "dt_rank": 1, "norm_epsilon": 1e-5},
        **{"layer": None, "precision": "float32"},
        **{"weights": "folder", "revision": None, "weights_digest": digest},
    }
    assert json.loads(json.dumps(model.spec)) == model.spec
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").spec == model.spec
    other = write_caduceus(tmp_path / "other", caduceus_state(seed=1))
    assert load(other).spec["weights_digest"] != digest


@pytest.mark.parametrize("kind", ["bin", "sharded"])
def test_each_layout_of_the_weights_gives_the_same_model(kind: str, model: Caduceus, tmp_path: Path) -> None:
    other = load(write_caduceus(tmp_path, kind=kind))
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("directions", ["fwd", "rev", "both"])
def test_the_directions_share_their_projections(directions: str, model: Caduceus, tmp_path: Path) -> None:
    state = caduceus_state(directions=directions)
    names = [f"caduceus.backbone.{MIXER}{way}.in_proj.weight" for way in ("fwd", "rev")]
    assert [name in state for name in names] == [directions in (way, "both") for way in ("fwd", "rev")]
    other = load(write_caduceus(tmp_path, state))
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)
    for layer in other.layers:
        forward, reverse = layer.mixer.mamba_fwd, layer.mixer.mamba_rev
        for name in ("in_proj", "out_proj"):
            assert getattr(forward, name).weight is getattr(reverse, name).weight
        assert not torch.equal(forward.x_proj.weight, reverse.x_proj.weight)


@pytest.mark.parametrize("change", [lambda t: t + 1e-6, lambda t: t[:-1], lambda t: t.to(torch.bfloat16)])
def test_projections_that_differ_are_refused(change: Any, tmp_path: Path) -> None:
    state = caduceus_state(directions="both")
    name = f"caduceus.backbone.{MIXER}rev.out_proj.weight"
    state[name] = change(state[name]).contiguous()
    with pytest.raises(DataError, match="two directions are not shared") as error:
        load(write_caduceus(tmp_path, state))
    assert error.value.got == f"{MIXER}fwd.out_proj.weight and {MIXER}rev.out_proj.weight differ"
    assert error.value.where == str(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("norm_f.weight"), "1 lacking: norm_f.weight"),
        (lambda s: s.pop(f"{MIXER}rev.A_log"), f"1 lacking: {MIXER}rev.A_log"),
        (
            lambda s: s.pop(f"{MIXER}fwd.in_proj.weight"),
            f"2 lacking: {MIXER}fwd.in_proj.weight, {MIXER}rev.in_proj.weight",
        ),
        (lambda s: s.update(extra=torch.zeros(1)), "1 left over: extra"),
        (lambda s: s.update({f"{MIXER}fwd.D": torch.zeros(3)}), f"{MIXER}fwd.D [3] instead of [32]"),
        (lambda s: s[f"{MIXER}fwd.D"].fill_(torch.nan), f"without a number: {MIXER}fwd.D"),
        (lambda s: s.update({"embeddings.word_embeddings.weight": torch.zeros(12, 16)}), "[12, 16] instead"),
    ],
)
def test_other_weights_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    state = {n.removeprefix("caduceus.backbone."): t for n, t in caduceus_state().items()}
    head = state.pop("lm_head.weight")
    change(state)
    official = {f"caduceus.backbone.{n}": t for n, t in state.items()} | {"lm_head.weight": head}
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(write_caduceus(tmp_path, official))
    assert message in error.value.got
    assert error.value.where == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "mamba"),
        ("rcps", True),
        ("bidirectional", False),
        ("bidirectional_strategy", "ew_multiply"),
        ("bidirectional_weight_tie", False),
        ("rms_norm", False),
        ("d_model", 0),
        ("n_layer", "many"),
        ("n_layer", True),
        ("n_layer", None),
        ("vocab_size", 11),
        ("pad_vocab_size_multiple", 0),
        ("norm_epsilon", "small"),
        ("norm_epsilon", 0.0),
        ("ssm_cfg", [1]),
        ("d_state", -1),
        ("d_conv", 4.0),
        ("dt_rank", "large"),
        ("dt_rank", 0),
        ("bias", True),
        ("conv_bias", False),
    ],
)
def test_what_config_json_may_not_say(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not describe a Caduceus-ph") as error:
        load(write_caduceus(tmp_path, **{name: value}))
    assert error.value.got == f"{name}: {value}"
    assert error.value.where == str(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 2**24}, "[16, 16] instead of [16, 16777216]"),
        ({"d_state": 2**33}, "A_log [32, 16] instead of [32, 8589934592]"),
        ({"n_layer": 10**9}, "tensors for 1000000000 layers"),
    ],
)
def test_sizes_are_compared_before_there_is_memory_for_them(
    change: dict[str, int], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(write_caduceus(tmp_path, **change))
    assert message in error.value.got


def test_sizes_that_config_json_leaves_to_mamba(tmp_path: Path) -> None:
    config = caduceus_config(d_model=100, vocab_size=12)
    for name in ("ssm_cfg", "pad_vocab_size_multiple", "norm_epsilon", "model_type"):
        del config[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    sizes = caduceus.read_architecture(tmp_path)
    assert sizes == {
        **{"d_model": 100, "n_layer": 2, "vocab_size": 16, "d_state": 16, "d_conv": 4, "expand": 2},
        **{"dt_rank": 7, "norm_epsilon": 1e-5},
    }


def test_the_rank_may_be_given(tmp_path: Path) -> None:
    model = load(write_caduceus(tmp_path, caduceus_state(rank=3), dt_rank=3))
    assert model(codes()).shape == (2, 300, 16)


@pytest.mark.parametrize("layer", [0, 16, "norm_f"])
def test_there_is_one_layer_to_take(layer: int | str, folder: Path) -> None:
    with pytest.raises(UsageError, match="the last hidden state") as error:
        load(folder, layer=layer)
    assert (error.value.where, error.value.got) == ("backbone.layer", str(layer))


def test_letters(model: Caduceus) -> None:
    """In the tokenizer's order; other letters are N, and case says nothing."""
    seen: list[Tensor] = []
    table = model.embeddings["word_embeddings"]
    table.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    upper, lower = (torch.from_numpy(encode(text))[None] for text in ("ACGTNR", "acgtnr"))
    tokens = model(upper)
    assert seen[0].tolist() == [[7, 8, 9, 10, 11, 11, 1]]
    assert torch.equal(model(lower), tokens)
    each = model(torch.arange(5, dtype=torch.uint8)[:, None])
    assert (torch.pdist(each[:, 0]) > 0.01).all()


def test_the_separator_is_read_and_has_no_token(model: Caduceus) -> None:
    window = codes()
    before = model(window)
    with torch.no_grad():
        model.embeddings["word_embeddings"].weight[[0, 2, 3, 4, 5, 6, 12, 13, 14, 15]] = torch.nan
        assert torch.equal(model(window), before)
        model.embeddings["word_embeddings"].weight[1] += 1
        assert model(window).shape == before.shape
        changed = (model(window) - before).abs().amax((0, 2))
    assert changed[-1] > 1e-2


@pytest.mark.parametrize("silent", ["fwd", "rev", "neither"])
def test_one_direction_reads_from_each_end(silent: str, model: Caduceus) -> None:
    for layer in model.layers:
        if silent != "neither":
            mixer = getattr(layer.mixer, f"mamba_{silent}")
            mixer.requires_grad_(False)
            mixer.x_proj.weight.zero_()  # B and C: nothing goes into the state or comes out
            mixer.D.zero_()
    window = codes(1, 20)
    first, last = window.clone(), window.clone()
    first[0, 0] = (first[0, 0] + 1) % 4
    last[0, -1] = (last[0, -1] + 1) % 4
    before = model(window)
    assert (not torch.equal(model(last)[:, 0], before[:, 0])) == (silent != "rev")
    assert torch.equal(model(last)[:, :-1], before[:, :-1]) == (silent == "rev")
    assert (not torch.equal(model(first)[:, -1], before[:, -1])) == (silent != "fwd")
    assert torch.equal(model(first)[:, 1:], before[:, 1:]) == (silent == "fwd")


@pytest.mark.parametrize("length", [1, 2, 3, 5, 700])
@torch.no_grad()
def test_it_is_what_the_mixers_make_of_it(
    length: int, model: Caduceus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their own forward, as on a GPU with kernels; on a CPU it is transformers' slow path."""
    ours = model(codes(length=length))
    monkeypatch.setattr(caduceus, "runs_kernels", lambda device: True)
    monkeypatch.setattr(caduceus, "scan_both_ways", lambda *_: pytest.fail("the scan was run"))
    torch.testing.assert_close(model(codes(length=length)), ours, rtol=0, atol=5e-6)


def test_companions_do_not_matter(model: Caduceus, monkeypatch: pytest.MonkeyPatch) -> None:
    window = codes(5)
    together = model(window)
    for row, tokens in zip(window, together, strict=True):
        torch.testing.assert_close(model(row[None])[0], tokens, rtol=0, atol=5e-6)
    at_once: list[int] = []
    model.embeddings["word_embeddings"].register_forward_hook(
        lambda module, inputs, output: at_once.append(len(inputs[0]))
    )
    monkeypatch.setattr(model, "_rows_a_core", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    torch.testing.assert_close(model(window), together, rtol=0, atol=5e-6)
    assert at_once == [2, 2, 1]


def test_kernels_are_taken_on_a_gpu_where_they_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers.utils.import_utils as installed

    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    for mamba, convolution, hub in [(1, 1, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)]:
        monkeypatch.setattr(installed, "is_mamba_ssm_available", lambda is_there=mamba: bool(is_there))
        monkeypatch.setattr(installed, "is_causal_conv1d_available", lambda there=convolution: bool(there))
        monkeypatch.setattr(installed, "is_kernels_available", lambda there=hub: bool(there))
        assert runs_kernels(gpu) == ((mamba, convolution, hub) == (1, 1, 0))
        assert not runs_kernels(cpu)


def test_no_kernels_are_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package `kernels` is installed, transformers would download them from the Hub."""
    from transformers.models.mamba import modeling_mamba

    monkeypatch.setattr(modeling_mamba, "_lazy_load_causal_conv1d", lambda: pytest.fail("it looked"))
    load(folder)(codes())


def test_no_gradients_are_kept(model: Caduceus) -> None:
    assert not model(codes()).requires_grad
