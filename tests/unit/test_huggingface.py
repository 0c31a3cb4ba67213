from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from glm2x.backbones.hub_tokenizer import HubTokenizer
from glm2x.backbones.huggingface import HuggingFace, build
from glm2x.backbones.token_grid import on_grid
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import encode
from hub_server import hub
from language_checkpoints import (
    bpe_tokenizer,
    esm_tokenizer,
    kmers,
    letters_tokenizer,
    random_dna,
    write_bert,
    write_esm,
    write_small,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


def load(folder: Path, **values: Any) -> HuggingFace:
    return build(BackboneConfig(name="huggingface", weights=str(folder), **values))


def codes(*sequences: str) -> Tensor:
    return torch.from_numpy(np.stack([encode(sequence) for sequence in sequences]))


@torch.no_grad()
def theirs(folder: Path, text: str, layer: int | None = None) -> Tensor:
    """All rows that transformers gives for a text, special tokens included, [S, width]."""
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    output = AutoModel.from_pretrained(folder).eval()(ids, output_hidden_states=True)
    rows: Tensor = (output.last_hidden_state if layer is None else output.hidden_states[layer])[0]
    return rows


@pytest.fixture(scope="module")
def esm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("esm")
    write_esm(folder, [*kmers(6), *"ATCGN"])
    return folder


@pytest.fixture
def copied(esm: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(esm, tmp_path / "copied"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# the grid


def test_cells_are_the_mean_over_their_bases() -> None:
    """Tokens of 3, 1, 4 and 2 bp in cells of 4: 3/4 and 1/4 of the first two, the third, the last."""
    tokens = torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])
    spans = np.array([[0, 3], [3, 4], [4, 8], [8, 10]])
    assert on_grid(tokens, spans, 10, 4).tolist() == [[[1.25], [3.0], [4.0]]]


def test_a_base_under_several_tokens_is_their_mean() -> None:
    """2-mers at 0, 1 and 2 of 4 bp: the middle bases have two of them."""
    tokens = torch.tensor([[[1.0], [2.0], [6.0]]])
    spans = np.array([[0, 2], [1, 3], [2, 4]])
    assert on_grid(tokens, spans, 4, 1).tolist() == [[[1.0], [1.5], [4.0], [6.0]]]
    assert on_grid(tokens, spans, 4, 4).tolist() == [[[3.125]]]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.integers(1, 12), st.booleans())
def test_the_grid_against_base_by_base(lengths: list[int], token_bp: int, overlapping: bool) -> None:
    if overlapping:
        k = max(lengths)
        spans = np.array([[start, start + k] for start in range(len(lengths))])
    else:
        ends = np.cumsum(lengths)
        spans = np.stack([ends - lengths, ends], axis=1)
    window = int(spans[-1, 1])
    tokens = torch.randn(2, len(spans), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bases = torch.stack(
        [tokens[:, [s <= base < e for s, e in spans]].mean(dim=1) for base in range(window)], dim=1
    )
    expected = [cell.mean(dim=1) for cell in bases.split(token_bp, dim=1)]
    torch.testing.assert_close(on_grid(tokens, spans, window, token_bp), torch.stack(expected, dim=1))


# tokenizers


@torch.no_grad()
@pytest.mark.parametrize("layer", [None, 0, 2, 3])
def test_6_mers(layer: int | None, esm: Path) -> None:
    model = load(esm, layer=layer)
    text = random_dna(62)
    assert (model.token_bp, model.width) == (6, 16)
    own = model(codes(text))[0]
    rows = theirs(esm, text, layer)[1:]  # without <cls>: ten 6-mers, two single letters
    assert len(rows) == 12
    torch.testing.assert_close(own[:10], rows[:10])
    torch.testing.assert_close(own[10], (rows[10] + rows[11]) / 2)


@torch.no_grad()
def test_n_re_frames_6_mers_and_the_grid_stays(esm: Path) -> None:
    """AAC N GATTAC A over cells of 6 bp: three letters, N, two thirds ... of what the model saw."""
    text = "AACNGATTACA"
    rows = theirs(esm, text)[1:]
    assert len(rows) == 3 + 1 + 1 + 1
    own = load(esm)(codes(text))[0]
    torch.testing.assert_close(own[0], (rows[:4].sum(dim=0) + 2 * rows[4]) / 6)
    torch.testing.assert_close(own[1], (4 * rows[4] + rows[5]) / 5)


@torch.no_grad()
def test_windows_of_different_tokens_in_one_batch(esm: Path) -> None:
    model = load(esm)
    texts = [random_dna(60), random_dna(60, 1), random_dna(20) + "N" + random_dna(39)]
    together = model(codes(*texts))
    for text, rows in zip(texts, together, strict=True):
        torch.testing.assert_close(rows, model(codes(text))[0])


@torch.no_grad()
def test_single_letters_without_n(tmp_path: Path) -> None:
    """The vocabulary has no N: it is the unknown token, for one base."""
    write_esm(tmp_path, list("ATCG"))
    model = load(tmp_path)
    assert model.token_bp == 1
    text = "ACGNNT"
    rows = theirs(tmp_path, "ACG<unk><unk>T")[1:]
    torch.testing.assert_close(model(codes(text))[0], rows)


@pytest.mark.parametrize("known", [False, True])
def test_single_letters_are_looked_up(known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 kb of them take a tokenizer a second; what it would have cut is the same."""
    tokenizer = HubTokenizer(esm_tokenizer(tmp_path, list("ATCGN" if known else "ATCG")), tmp_path)
    window = encode(random_dna(40) + "NN" + random_dna(20, 1))
    ids, spans = tokenizer.cut(window)
    monkeypatch.setattr(tokenizer, "_letters", None)
    slow, theirs = tokenizer.cut(window)
    assert ids == slow
    assert np.array_equal(spans, theirs)
    monkeypatch.undo()
    monkeypatch.setattr(tokenizer, "_ids", lambda *_: pytest.fail("the tokenizer was asked"))
    assert tokenizer.cut(window)[0] == slow


@torch.no_grad()
@pytest.mark.parametrize("lower", [False, True])
def test_overlapping_3_mers(lower: bool, tmp_path: Path) -> None:
    write_bert(tmp_path, 3, lower=lower)
    model = load(tmp_path)
    text = "ACGTNAC"
    assert (model.token_bp, model.tokenizer.overlapping, model.longest) == (1, 3, 126 + 2)
    words = ["ACG", "CGT", "[UNK]", "[UNK]", "[UNK]"]
    rows = theirs(tmp_path, " ".join(w.lower() if lower and w != "[UNK]" else w for w in words))[1:-1]
    assert len(rows) == 5
    expected = [rows[max(0, base - 2) : base + 1].mean(dim=0) for base in range(7)]
    torch.testing.assert_close(model(codes(text))[0], torch.stack(expected))
    with pytest.raises(DataError, match="shorter than a token"):
        model(codes("AC"))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral"])
def test_pieces_of_variable_length(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = bpe_tokenizer(metaspace=kind == "llama")
    write_small(tmp_path, kind, tokenizer)
    model = load(tmp_path)
    assert model.token_bp == 128
    text = random_dna(200)
    pieces = AutoTokenizer.from_pretrained(tmp_path).tokenize(text)
    lengths = [len(piece.replace("▁", "")) for piece in pieces]
    assert sum(lengths) == 200
    assert len(set(lengths)) > 2
    bases = theirs(tmp_path, text).repeat_interleave(torch.tensor(lengths), dim=0)
    own = model(codes(text))[0]
    torch.testing.assert_close(own, torch.stack([bases[:128].mean(dim=0), bases[128:].mean(dim=0)]))


@torch.no_grad()
def test_n_between_pieces(tmp_path: Path) -> None:
    """Each is the unknown token; in a vocabulary without one, windows with N are refused."""
    write_small(tmp_path / "with", "gpt2", bpe_tokenizer(metaspace=False))
    model = load(tmp_path / "with")
    ids, spans = model.tokenizer.cut(encode("ACGTNNACGT"))
    assert ids.count(0) == 2
    assert spans[[number for number, token in enumerate(ids) if token == 0]].tolist() == [[4, 5], [5, 6]]
    write_small(tmp_path / "without", "gpt2", bpe_tokenizer(metaspace=False, unknown=False))
    model = load(tmp_path / "without")
    assert model(codes("ACGTACGT")).shape == (1, 1, 16)
    with pytest.raises(DataError, match="no token for N") as error:
        model(codes("ACGTNACGT"))
    assert error.value.where == str(tmp_path / "without")


@torch.no_grad()
@pytest.mark.parametrize("kind", ["gpt2", "llama", "olmo", "mamba", "modernbert", "roformer"])
def test_models_of_transformers(kind: str, tmp_path: Path) -> None:
    write_small(tmp_path, kind, letters_tokenizer())
    text = "GATTANACA"
    for layer in (None, 1):
        model = load(tmp_path, layer=layer)
        torch.testing.assert_close(model(codes(text))[0], theirs(tmp_path, text, layer)[:-1])


def test_tokens_that_do_not_spell_dna(copied: Path) -> None:
    esm_tokenizer(copied, ["the", "of", "and"]).save_pretrained(copied)
    with pytest.raises(DataError, match="do not spell DNA") as error:
        load(copied)
    assert (error.value.where, "<unk>" in error.value.got) == (str(copied), True)


def test_more_tokens_than_the_model_has(copied: Path) -> None:
    letters = (copied / "vocab.txt").read_text().split()
    (copied / "vocab.txt").write_text("\n".join([*letters[:4], "other", *letters[4:]]))
    model = load(copied)
    assert model(codes("GATTAC")).shape == (1, 1, 16)
    with pytest.raises(DataError, match="more tokens than the model") as error:
        model(codes("GATTACN"))
    assert (error.value.got, error.value.wanted[:13]) == ("token 4105", "at most 4104:")


# what fits


def test_the_longest_window(esm: Path, tmp_path: Path) -> None:
    """202 positions, 2 of which this family skips; one is for <cls>, and five for the last bases."""
    model = load(esm)
    assert model.longest == (202 - 2 - 1 - 5) * 6
    assert model(codes(random_dna(model.longest + 5))).shape[1] == 195
    with pytest.raises(DataError, match="more tokens than the model takes") as error:
        model(codes("N" * 200))
    assert (error.value.wanted, error.value.do) == ("at most 200", "--tile 198, or less")
    assert model(codes("N" * 198)).shape[1] == 33
    write_small(tmp_path, "mamba", letters_tokenizer())
    assert load(tmp_path).longest is None


# the configuration


@pytest.mark.parametrize("layer", [4, -1])
def test_a_layer_that_there_is_not(layer: int, esm: Path) -> None:
    with pytest.raises(UsageError, match="no such layer") as error:
        load(esm, layer=layer)
    assert error.value.where == "backbone.layer"
    assert error.value.wanted.startswith("from 0 (the embedding) to 3")


@pytest.mark.parametrize(
    ("values", "where", "message"),
    [
        ({}, "backbone.model", "needs the name of a model"),
        ({"weights": "x", "layer": "blocks.1"}, "backbone.layer", "numbered"),
        ({"model": "a/b", "remote_code": True}, "backbone.revision", "pinned revision"),
        ({"model": "a/b", "remote_code": True, "revision": "main"}, "backbone.revision", "pinned revision"),
        ({"model": "a/b", "remote_code": True, "revision": COMMIT[:39]}, "backbone.revision", "pinned"),
        ({"weights": "x", "remote_code": True}, "backbone.revision", "pinned revision"),
    ],
)
def test_what_the_configuration_may_not_ask(values: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        build(BackboneConfig(name="huggingface", **values))
    assert error.value.where == where


# the checkpoint


@torch.no_grad()
def test_each_layout_of_the_weights_gives_the_same_model(copied: Path, esm: Path) -> None:
    state = load_file(copied / "model.safetensors")
    expected = load(esm)(codes("GATTACA"))
    torch.save(state, copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    assert torch.equal(load(copied)(codes("GATTACA")), expected)
    base = {n.removeprefix("esm."): t for n, t in state.items() if n.startswith("esm.")}
    old = {"embeddings.position_ids": torch.arange(202), "pooler.dense.bias": torch.zeros(16)}
    save_file(base | old, copied / "model.safetensors")
    assert torch.equal(load(copied)(codes("GATTACA")), expected)


def test_a_folder_needs_no_network(esm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    assert load(esm).width == 16


def test_weights_of_another_model_are_refused(copied: Path) -> None:
    """As of Nucleotide Transformer v2, whose config.json says esm and whose feed-forward is another one."""
    state = load_file(copied / "model.safetensors")
    name = "esm.encoder.layer.1.intermediate.dense"
    state[f"{name}.weight"] = torch.zeros(48, 16)
    del state[f"{name}.bias"]
    save_file(state, copied / "model.safetensors")
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(copied)
    assert "1 lacking: encoder.layer.1.intermediate.dense.bias" in error.value.got
    assert "[48, 16] instead of [24, 16]" in error.value.got


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("run"),))


def test_nothing_is_unpickled(copied: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (copied / "model.safetensors").unlink()
    torch.save({"weight": Hostile()}, copied / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be read"):
        load(copied)
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "no such"}, "transformers has no such kind of model"),
        ({"num_attention_heads": 7}, "describes no model"),
        ({"hidden_size": "wide"}, "describes no model"),
        ({"num_hidden_layers": 10_000_000}, "not those of this architecture"),
        ({"intermediate_size": 2**40}, "not those of this architecture"),  # before there is memory for it
        ({"is_encoder_decoder": True}, "an encoder with a decoder"),
        ({"model_type": "clip"}, "not those of this architecture|describes no model|does not run"),
    ],
)
def test_what_config_json_may_not_say(values: dict[str, Any], message: str, copied: Path) -> None:
    change(copied / "config.json", **values)
    with pytest.raises(DataError, match=message):
        load(copied)


@pytest.mark.parametrize("cls", ["AutoModel", "NoTokenizer", "LlamaTokenizer", 7])
def test_a_checkpoint_without_its_tokenizer(cls: object, copied: Path) -> None:
    change(copied / "tokenizer_config.json", tokenizer_class=cls)
    (copied / "vocab.txt").unlink()
    with pytest.raises(DataError, match="no tokenizer that can be read"):
        load(copied)


def test_its_spec_says_all(esm: Path, copied: Path) -> None:
    spec = dict(load(esm, layer=2).spec)
    architecture = spec.pop("architecture")
    digest = architecture.pop("tokenizer_digest")
    assert architecture == {"model_type": "esm", "remote_code": False, "token_bp": 6, "overlapping": None}
    assert len(spec.pop("weights_digest")) == len(digest) == 64
    assert spec == {"layer": 2, "weights": "folder", "revision": None, "precision": "float32"}
    assert load(copied, layer=2).spec == load(esm, layer=2).spec
    json.dumps(load(esm).spec)
    vocabulary = (copied / "vocab.txt").read_text().split("\n")
    vocabulary[10], vocabulary[11] = vocabulary[11], vocabulary[10]
    (copied / "vocab.txt").write_text("\n".join(vocabulary))
    assert load(copied, layer=2).spec != load(esm, layer=2).spec


# the Hub, and code that comes with a model

CODE = """
from pathlib import Path
Path({canary!r}).touch()
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


class TheirConfig(PretrainedConfig):
    model_type = "their-own"


class TheirModel(PreTrainedModel):
    config_class = TheirConfig

    def __init__(self, config):
        super().__init__(config)
        self.table = torch.nn.Embedding(config.vocab_size, 4)

    def forward(self, input_ids, output_hidden_states=False):
        return BaseModelOutput(last_hidden_state=self.table(input_ids))
"""


@pytest.fixture
def served(
    tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path, list[str]]]:
    """The folder of a model with code, the file that its code makes, and what was downloaded."""
    from transformers import dynamic_module_utils

    folder, canary = tmp_path / "theirs", tmp_path / "canary"
    letters_tokenizer().save_pretrained(folder)
    auto_map = {"AutoConfig": "theirs.TheirConfig", "AutoModel": "theirs.TheirModel"}
    values = {"model_type": "their-own", "auto_map": auto_map, "vocab_size": 7, "transformers_version": "4.0"}
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "theirs.py").write_text(CODE.format(canary=str(canary)))
    save_file({"table.weight": torch.arange(28.0).reshape(7, 4)}, folder / "model.safetensors")
    (copied / "README.md").write_text("read me")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with hub({"some/model": (COMMIT, copied), "some/code": (COMMIT, folder)}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield folder, canary, asked


def test_by_its_name_on_the_hub(served: tuple[Path, Path, list[str]], esm: Path) -> None:
    model = build(BackboneConfig(name="huggingface", model="some/model", layer=1))
    assert torch.equal(model(codes("GATTACA")), load(esm, layer=1)(codes("GATTACA")))
    names = ["weights", "revision", "weights_digest"]
    assert [model.spec[name] for name in names] == ["some/model", COMMIT, None]
    assert "README.md" not in served[2]
    with pytest.raises(DataError, match="cannot be downloaded"):
        build(BackboneConfig(name="huggingface", model="some/other"))


def test_code_does_not_run_unasked(served: tuple[Path, Path, list[str]]) -> None:
    folder, canary, asked = served
    for config in (
        BackboneConfig(name="huggingface", model="some/code"),
        BackboneConfig(name="huggingface", model="some/code", revision=COMMIT),
        BackboneConfig(name="huggingface", weights=str(folder)),
    ):
        with pytest.raises(DataError, match="runs code that comes with it, which was not asked for") as error:
            build(config)
        assert error.value.got == "model_type: their-own"
        assert "backbone.remote_code: true" in error.value.do
    assert not canary.exists()
    assert "theirs.py" not in asked


def test_code_runs_when_asked_at_a_pinned_revision(served: tuple[Path, Path, list[str]]) -> None:
    config = BackboneConfig(name="huggingface", model="some/code", revision=COMMIT, remote_code=True)
    model = build(config)
    assert served[1].exists()
    assert model(codes("AN")).tolist() == [[[8.0, 9.0, 10.0, 11.0], [24.0, 25.0, 26.0, 27.0]]]
    assert model.spec["architecture"]["remote_code"] is True


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_another_repository_never_runs(name: str, served: tuple[Path, Path, list[str]]) -> None:
    folder, canary, _ = served
    change(folder / name, auto_map={"AutoConfig": "other/place--theirs.TheirConfig"})
    with pytest.raises(DataError, match="names a repository for its code") as error:
        build(BackboneConfig(name="huggingface", model="some/code", revision=COMMIT, remote_code=True))
    assert error.value.where.endswith(name)
    assert not canary.exists()


def test_a_tokenizer_that_is_code_does_not_run_unasked(copied: Path, tmp_path: Path) -> None:
    (copied / "theirs.py").write_text(CODE.format(canary=str(tmp_path / "canary")))
    change(
        copied / "tokenizer_config.json",
        tokenizer_class="TheirTokenizer",
        auto_map={"AutoTokenizer": ["theirs.TheirTokenizer", None]},
    )
    with pytest.raises(DataError, match="no tokenizer that can be read") as error:
        load(copied)
    assert "backbone.remote_code" in error.value.do
    assert not (tmp_path / "canary").exists()
