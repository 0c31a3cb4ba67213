from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glm2x.backbones import nucleotide_transformer
from glm2x.backbones.nucleotide_transformer import GatedLinear, NucleotideTransformer, RotaryPositions, build
from glm2x.backbones.tiling import Tiling, choose_tiling, embed
from glm2x.backbones.weights import Weights
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import encode
from nt_checkpoints import TINY, nt_state, shapes, write_nt

CLS, N = 3, 4106
LETTERS = dict(zip("ATCGN", range(4102, 4107), strict=True))


def load(folder: Path, layer: int | None = 2, **config: Any) -> NucleotideTransformer:
    config = {"name": "nucleotide-transformer-v2", "weights": str(folder), **config}
    return build(BackboneConfig(**config, layer=layer)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nt")
    write_nt(folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> NucleotideTransformer:
    return load(folder)


def codes(length: int, count: int = 2, letters: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, letters, (count, length), dtype=torch.uint8, generator=generator)


def encoded(sequence: str) -> Tensor:
    return torch.from_numpy(encode(sequence))[None]


def six_mer(letters: str) -> int:
    return 6 + int("".join(str("ATCG".index(letter)) for letter in letters), 4)


def hidden(model: NucleotideTransformer, *ids: int) -> Tensor:
    """The rows of a sequence of tokens behind CLS."""
    return model.esm(torch.tensor([[CLS, *ids]])).last_hidden_state[0, 1:]


# the model


def test_it_is_what_the_checkpoint_says(model: NucleotideTransformer, folder: Path) -> None:
    assert (model.width, model.token_bp, model.longest) == (32, 6, 2047 * 6)
    names = {
        n: s for n, s in shapes(TINY).items() if n.startswith(("esm.encoder.layer", "esm.embeddings.word"))
    }
    kept = {n: s for n, s in names.items() if "layer.2." not in n and not n.endswith("inv_freq")}
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == kept
    assert len(kept) == 1 + 2 * 14
    assert not [name for name, tensor in model.named_parameters() if tensor.is_meta or not tensor.any()]
    spec = dict(model.spec)
    assert len(spec.pop("weights_digest")) == 64
    assert spec == {
        "architecture": {
            **{name: value for name, value in TINY.items() if name != "max_position_embeddings"},
            "layer_norm_eps": 1e-5,
            "tokens": "6-mers in a fixed frame",
        },
        "layer": 2,
        "weights": "folder",
        "revision": None,
        "precision": "float32",
    }


@pytest.mark.parametrize(("layer", "layers"), [(None, 20), (29, 29)], ids=["published", "last"])
def test_the_official_weights_at_their_layer(
    layer: int | None, layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """29 layers, each of them small, found under the official name."""
    asked = []

    def resolve(official: str, config: BackboneConfig) -> Weights:
        asked.append(official)
        return Weights(tmp_path, official, "0" * 40)

    write_nt(tmp_path, num_hidden_layers=29, hidden_size=8, intermediate_size=8)
    monkeypatch.setattr(nucleotide_transformer, "resolve", resolve)
    model = load(tmp_path, layer, weights=None)
    assert asked == ["InstaDeepAI/nucleotide-transformer-v2-500m-multi-species"]
    assert (model.spec["layer"], len(model.esm.encoder.layer), model.longest) == (layers, layers, 12_282)
    assert (model.spec["weights"], model.spec["revision"]) == (asked[0], "0" * 40)
    assert model.spec["weights_digest"] is None


@torch.no_grad()
def test_a_layer_is_the_hidden_state_of_the_whole_model(folder: Path) -> None:
    """Of layers below the last without the final norm, as the published model numbers them."""
    window = codes(60)
    whole = load(folder, 3)
    ids = torch.cat([torch.full((2, 1), CLS), torch.stack([_six_mers(row) for row in window])], dim=1)
    states = whole.esm(ids, output_hidden_states=True).hidden_states
    assert len(states) == 4
    for layer in (1, 2, 3):
        torch.testing.assert_close(load(folder, layer)(window), states[layer][:, 1:], rtol=0, atol=5e-6)
    assert (states[3] - states[2]).abs().max() > 0.1
    # the last has been through the final norm
    norm = whole.esm.encoder.emb_layer_norm_after
    standard = (states[3] - norm.bias) / norm.weight
    torch.testing.assert_close(standard.mean(-1), torch.zeros(2, 11), rtol=0, atol=1e-5)


def _six_mers(row: Tensor) -> Tensor:
    letters = "".join("ACGT"[code] for code in row.tolist())
    return torch.tensor([six_mer(letters[i : i + 6]) for i in range(0, len(letters), 6)])


@pytest.mark.parametrize("kind", ["bin", "sharded"])
@torch.no_grad()
def test_each_layout_of_the_weights_gives_the_same_numbers(
    kind: str, model: NucleotideTransformer, tmp_path: Path
) -> None:
    write_nt(tmp_path, kind=kind)
    assert torch.equal(load(tmp_path)(codes(50)), model(codes(50)))


@torch.no_grad()
def test_what_the_hub_s_code_saves_beside_the_model_may_be_there_or_not(
    model: NucleotideTransformer, tmp_path: Path
) -> None:
    state = nt_state()
    beside = ("lm_head.", "esm.contact_head.", "esm.embeddings.position_embeddings.", "esm.pooler.")
    bare = {n: t for n, t in state.items() if not n.startswith(beside) and not n.endswith("inv_freq")}
    assert len(state) - len(bare) == 6 + 2 + 1 + 3
    write_nt(tmp_path / "bare", state=bare)
    more = {
        **state,
        "esm.embeddings.position_ids": torch.arange(2050)[None],
        "esm.pooler.dense.weight": torch.zeros(32, 32),
    }
    write_nt(tmp_path / "more", state=more)
    for folder in (tmp_path / "bare", tmp_path / "more"):
        assert torch.equal(load(folder)(codes(50)), model(codes(50)))


@torch.no_grad()
def test_the_epsilon_of_config_json_is_not_taken(model: NucleotideTransformer, tmp_path: Path) -> None:
    write_nt(tmp_path, layer_norm_eps=0.5)
    other = load(tmp_path)
    assert torch.equal(other(codes(50)), model(codes(50)))
    norms = [m for m in load(tmp_path, 3).modules() if isinstance(m, torch.nn.LayerNorm)]
    assert [norm.eps for norm in norms] == [1e-5] * (2 * 3 + 1)


@torch.no_grad()
def test_training_mode_changes_nothing(folder: Path, model: NucleotideTransformer, tmp_path: Path) -> None:
    write_nt(tmp_path, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    assert torch.equal(load(tmp_path).train()(codes(50)), model(codes(50)))


def test_the_first_half_is_the_gate() -> None:
    gated = GatedLinear(1, 2)
    gated.dense.weight.data = torch.tensor([[1.0], [-1.0], [3.0], [5.0]])
    gate = 1 / (1 + torch.tensor(-2.0).exp())
    expected = torch.stack([2 * gate * 6, -2 * (1 - gate) * 10])
    torch.testing.assert_close(gated(torch.tensor([2.0])), expected)


def test_rotary_positions_are_transformers_own() -> None:
    from transformers.models.esm.modeling_esm import RotaryEmbedding

    query, key = torch.randn(2, 2, 4, 2_048, 8)
    ours = RotaryPositions()(query, key)
    torch.testing.assert_close(ours, RotaryEmbedding(8)(query, key), rtol=0, atol=1e-5)
    assert torch.equal(ours[0][:, :, 0], query[:, :, 0])
    assert RotaryPositions()(query.bfloat16(), key)[0].dtype == torch.bfloat16


# what is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("esm.encoder.layer.1.LayerNorm.bias"),
            "1 lacking: esm.encoder.layer.1.LayerNorm.bias",
        ),
        (lambda s: s.update(extra=torch.zeros(1)), "1 left over: extra"),
        (lambda s: s.update({"esm.contact_heads": torch.zeros(1)}), "1 left over: esm.contact_heads"),
        (
            lambda s: s.update({"esm.encoder.layer.1.output.dense.bias": torch.zeros(32)}),
            "1 left over: esm.encoder.layer.1.output.dense.bias",
        ),
        # more layers than config.json says
        (
            lambda s: s.update({"esm.encoder.layer.3.LayerNorm.bias": torch.zeros(32)}),
            "1 left over: esm.encoder.layer.3.LayerNorm.bias",
        ),
        # not gated
        (
            lambda s: s.update({"esm.encoder.layer.0.intermediate.dense.weight": torch.zeros(48, 32)}),
            "1 in another shape: esm.encoder.layer.0.intermediate.dense.weight [48, 32] instead of [96, 32]",
        ),
        (lambda s: s["esm.embeddings.word_embeddings.weight"].fill_(torch.nan), "without a number"),
    ],
)
def test_other_weights_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    state = nt_state()
    change(state)
    write_nt(tmp_path, state=state)
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(tmp_path)
    assert message in error.value.got
    assert error.value.where == str(tmp_path)


@pytest.mark.parametrize("layer", [2, 3])
def test_the_final_norm_belongs_to_the_last_layer(layer: int, tmp_path: Path) -> None:
    state = nt_state()
    del state["esm.encoder.emb_layer_norm_after.bias"]
    write_nt(tmp_path, state=state)
    if layer == 2:
        assert load(tmp_path, layer)(codes(6)).shape == (2, 1, 32)
        return
    with pytest.raises(DataError) as error:
        load(tmp_path, layer)
    assert error.value.got == "1 lacking: esm.encoder.emb_layer_norm_after.bias"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "bert"),
        ("position_embedding_type", "absolute"),  # v1
        ("emb_layer_norm_before", True),
        ("token_dropout", True),
        ("add_bias_fnn", True),
        ("hidden_size", 0),
        ("hidden_size", "large"),
        ("intermediate_size", None),
        ("num_hidden_layers", True),
        ("num_attention_heads", 5),
        ("num_attention_heads", 32),  # heads of one channel
        ("max_position_embeddings", 3),
    ],
)
def test_what_config_json_may_not_say(name: str, value: object, tmp_path: Path) -> None:
    write_nt(tmp_path, state={"x": torch.zeros(1)}, **{name: value})
    with pytest.raises(DataError, match="not describe a Nucleotide Transformer v2") as error:
        load(tmp_path)
    assert error.value.got == f"{name}: {value}"
    assert error.value.where == str(tmp_path / "config.json")


def test_sizes_that_make_no_model(tmp_path: Path) -> None:
    write_nt(tmp_path, state={"x": torch.zeros(1)}, hidden_size=2**60)
    with pytest.raises(DataError, match="describes no model") as error:
        load(tmp_path)
    assert error.value.where == str(tmp_path / "config.json")


def test_sizes_are_compared_before_there_is_memory_for_them(tmp_path: Path) -> None:
    """Of a terabyte, which no machine is asked for."""
    write_nt(tmp_path, state=nt_state(), intermediate_size=2**33)
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(tmp_path)
    assert "intermediate.dense.weight [96, 32] instead of [17179869184, 32]" in error.value.got


@pytest.mark.parametrize("size", [4105, 33, None])
def test_another_vocabulary_is_refused(size: int | None, tmp_path: Path) -> None:
    write_nt(tmp_path, vocab_size=size)
    with pytest.raises(DataError, match="another vocabulary") as error:
        load(tmp_path)
    assert error.value.got == f"vocab_size: {size}"
    assert error.value.wanted == "the 4,107 tokens of the 6-mer models of v2"


@pytest.mark.parametrize("layer", [0, -1, 4, None])
def test_a_layer_that_the_model_does_not_have(layer: int | None, folder: Path) -> None:
    with pytest.raises(UsageError, match="no such layer") as error:
        load(folder, layer)
    assert error.value.where == "backbone.layer"
    assert error.value.got == str(20 if layer is None else layer)
    assert error.value.wanted == "1 to 3, or null for layer 20"


def test_a_layer_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        nucleotide_transformer, "resolve", lambda *_, **__: pytest.fail("weights were looked for")
    )
    config = BackboneConfig(name="nucleotide-transformer-v2", layer="encoder.layer.19")
    with pytest.raises(UsageError, match="no such layer") as error:
        build(config)
    assert (error.value.got, error.value.wanted) == ("encoder.layer.19", "a number, or null for layer 20")


# windows


@torch.no_grad()
def test_a_window_with_n_counted_by_hand(model: NucleotideTransformer) -> None:
    """A spelled slot is the mean of its letters' rows, in a sequence in which each letter is a token."""
    slots = ("ACGTAC", "GNTTAN", "NNNNNN", "TTTTTT", "CAN")
    ids = [
        six_mer("ACGTAC"),
        *(LETTERS[letter] for letter in "GNTTAN"),
        N,
        six_mer("TTTTTT"),
        *(LETTERS[letter] for letter in "CAN"),
    ]
    rows = hidden(model, *ids)
    assert len(rows) == 12
    expected = torch.stack([rows[0], rows[1:7].mean(0), rows[7], rows[8], rows[9:].mean(0)])
    tokens = model(encoded("".join(slots)))
    assert tokens.shape == (1, 5, 32) == (1, model.tokens(27), model.width)
    torch.testing.assert_close(tokens[0], expected, rtol=0, atol=5e-6)
    # what one token stands for is its row, to the bit
    assert torch.equal(tokens[0, [0, 2, 3]], rows[[0, 7, 8]])


@pytest.mark.parametrize("length", [1, 5, 6, 7, 12, 17])
@torch.no_grad()
def test_every_length_has_its_tokens(length: int, model: NucleotideTransformer) -> None:
    window = codes(length)
    tokens = model(window)
    assert tokens.shape == (2, -(-length // 6), 32) == (2, model.tokens(length), 32)
    letters = "".join("ACGT"[code] for code in window[0].tolist())
    whole, rest = length // 6 * 6, letters[length // 6 * 6 :]
    rows = hidden(model, *_six_mers(window[0, :whole]).tolist(), *(LETTERS[letter] for letter in rest))
    expected = [*rows[: whole // 6], *([rows[whole // 6 :].mean(0)] if rest else [])]
    torch.testing.assert_close(tokens[0], torch.stack(expected), rtol=0, atol=5e-6)


@torch.no_grad()
def test_a_window_does_not_know_its_companions(model: NucleotideTransformer) -> None:
    """Rows of four numbers of tokens, not in their order."""
    window = codes(52, count=6)
    window[1, 3:5] = 4
    window[2, 10:30] = 4
    window[4, 3] = 4
    window[5] = 4
    together = model(window)
    for row, tokens in zip(window, together, strict=True):
        torch.testing.assert_close(tokens, model(row[None])[0], rtol=0, atol=5e-6)
    order = [5, 0, 3, 1, 4, 2]
    torch.testing.assert_close(model(window[order]), together[order], rtol=0, atol=5e-6)
    torch.testing.assert_close(model(window[:1]), together[:1], rtol=0, atol=5e-6)


@torch.no_grad()
def test_a_snp_moves_its_own_token_most(model: NucleotideTransformer) -> None:
    window = codes(120, count=1)
    changed = window.clone()
    changed[0, 61] = (changed[0, 61] + 1) % 4
    moved = (model(window) - model(changed))[0].norm(dim=-1)
    assert moved.argmax() == 61 // 6
    assert moved.min() > 0


@torch.no_grad()
def test_a_long_window_in_tiles(tmp_path: Path) -> None:
    write_nt(tmp_path, max_position_embeddings=10)  # CLS and 7 six-mers
    model = load(tmp_path)
    assert model.longest == 42
    window = codes(100, letters=5)
    with pytest.raises(AssertionError):
        model(window)
    tiling = choose_tiling(model, 100, None, None)
    assert tiling == Tiling(42, 6)
    # tokens 0 to 6, 6 to 12 and 10 to 16: neighbours meet in the middle of what they share
    first, second, third = (model(window[:, start : start + 42]) for start in (0, 36, 60))
    expected = torch.cat([first[:, :6], second[:, :5], third[:, 1:]], dim=1)
    tokens = embed(model, window, tiling, "gene")
    assert tokens.shape == (2, 17, 32)
    assert torch.equal(tokens, expected)


@torch.no_grad()
def test_bfloat16_by_autocast_is_near(model: NucleotideTransformer) -> None:
    window = codes(60)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = model(window)
    difference = (tokens.float() - model(window)).abs().max()
    assert 0 < difference < 0.1
