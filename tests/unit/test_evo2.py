from __future__ import annotations

import importlib.util
import io
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glm2x.backbones import evo2
from glm2x.backbones.evo2 import Evo2, build, read_checkpoint
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from hub_server import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeLibraryModel:
    """Takes ids and gives each twice and plus the number of blocks, under a layer's name."""

    def __init__(self, *, fp8: bool = False, shape: Callable[[Tensor], Tensor] = lambda t: t) -> None:
        self.model: Any = nn.ModuleDict({"blocks": nn.ModuleList([nn.Identity(), nn.Linear(1, 1)])})
        self.model.config = SimpleNamespace(max_seqlen=100, use_fp8_input_projections=fp8)
        self.model.block_idx_to_device = {0: "cpu"}
        self.shape = shape
        self.seen: list[Tensor] = []

    def __call__(self, ids: Tensor, *, return_embeddings: bool, layer_names: list[str]) -> Any:
        assert return_embeddings
        self.seen.append(ids)
        values = torch.stack([ids, ids * 2], dim=-1).bfloat16()
        return None, {name: self.shape(values) for name in layer_names}


def test_letters_go_in_as_upper_case_bytes() -> None:
    library = FakeLibraryModel()
    model = Evo2(library, "blocks.1")
    tokens = model(torch.tensor([[0, 1, 2, 3, 4]], dtype=torch.uint8))
    assert bytes(library.seen[-1][0].tolist()) == b"ACGTN"
    assert library.seen[-1].dtype == torch.int32
    assert tokens.tolist() == [[[65, 130], [67, 134], [71, 142], [84, 168], [78, 156]]]
    assert (model.width, model.tokens(64_000), model.longest) == (2, 64_000, 100)
    assert not any(p.requires_grad for p in library.model.parameters())
    assert not library.model.training


@pytest.mark.parametrize(("fp8", "precision"), [(True, "fp8"), (False, "bfloat16")])
def test_the_precision_is_what_the_library_took(fp8: bool, precision: str) -> None:
    assert Evo2(FakeLibraryModel(fp8=fp8), "blocks.1").precision == precision


@pytest.mark.parametrize("shape", [lambda t: t.mT, lambda t: t[0], lambda t: None, lambda t: t[:, 1:]])
def test_a_layer_gives_a_vector_for_each_base(shape: Any) -> None:
    with pytest.raises(UsageError, match="other than one vector for each base"):
        Evo2(FakeLibraryModel(shape=shape), "blocks.1")


@pytest.mark.parametrize(
    ("values", "where", "message"),
    [
        ({"model": "evo2_40b"}, "backbone.model", "no such Evo 2 model"),
        ({"layer": 28}, "backbone.layer", "have names"),
        ({"remote_code": True}, "backbone.remote_code", "runs no code"),
    ],
)
def test_what_the_configuration_may_not_ask(values: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        build(BackboneConfig(name="evo2", **values))
    assert error.value.where == where


# the machine


@pytest.mark.parametrize(
    ("gpu", "modules", "got"),
    [
        (False, {"evo2"}, "no NVIDIA GPU, no module flash_attn_2_cuda, no module triton"),
        (True, {"evo2", "triton"}, "no module flash_attn_2_cuda"),
        (True, {"flash_attn_2_cuda", "triton"}, "no module evo2"),
    ],
)
def test_a_machine_that_cannot_run_it(
    gpu: bool, modules: set[str], got: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(evo2, "find_spec", lambda name: True if name in modules else None)
    monkeypatch.setattr(evo2, "resolve", lambda *_, **__: pytest.fail("weights were looked for"))
    with pytest.raises(DataError, match="needs an NVIDIA GPU, flash-attn and the extra evo2") as error:
        build(BackboneConfig(name="evo2"))
    assert error.value.got == got
    assert "glm2x embed import" in error.value.do


def test_a_library_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evo2", ModuleType("evo2"))
    with pytest.raises(DataError, match="needs an NVIDIA GPU") as error:
        evo2._library()
    assert "cannot import name 'models'" in error.value.got


def test_what_an_import_leaves_behind_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with pytest.raises(ImportError), evo2._without_traces():  # noqa: PT012
        root.addHandler(logging.FileHandler("activations_debug.log"))
        root.setLevel(1)
        raise ImportError
    assert (root.handlers, root.level, list(tmp_path.iterdir())) == (before, level, [])
    assert Path.cwd() == tmp_path


# the checkpoint


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("run"),))


def saved(value: object) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return io.BytesIO(buffer.getvalue())


GOOD = {"norm.scale": torch.ones(2), "blocks.0.projections._extra_state": saved({"scale": torch.ones(1)})}


@pytest.mark.parametrize("engine", [False, True])
def test_a_checkpoint_is_tensors_and_scales(
    engine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evo2, "_scale_classes", lambda: [SimpleNamespace] if engine else [])
    torch.save(GOOD | {"blocks.1.projections._extra_state": None}, tmp_path / "evo2_7b.pt")
    state = read_checkpoint(tmp_path / "evo2_7b.pt")
    assert torch.equal(state["norm.scale"], torch.ones(2))
    scales = torch.load(state["blocks.0.projections._extra_state"], weights_only=True)
    assert scales == {"scale": torch.ones(1)}
    # pickled bytes: read by the engine, where there is one
    torch.save(GOOD | {"a._extra_state": torch.zeros(3, dtype=torch.uint8)}, tmp_path / "evo2_7b.pt")
    if not engine:
        assert set(read_checkpoint(tmp_path / "evo2_7b.pt")) == {*GOOD, "a._extra_state"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"other": Hostile()}, "cannot be read"),
        ({"a._extra_state": saved(Hostile())}, "cannot be read"),
        ({"a._extra_state": io.BytesIO(b"no file of torch")}, "cannot be read"),
        ({"a._extra_state": torch.zeros(3, dtype=torch.uint8)}, "not one of Evo 2"),
        ({"a.weight": saved({})}, "not one of Evo 2"),
        ({"a.weight": torch.tensor([1.0, torch.nan])}, "not one of Evo 2"),
        ({"step": 7}, "not one of Evo 2"),
    ],
)
def test_nothing_in_a_checkpoint_is_run(
    change: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor in the bytes inside it, which Transformer Engine would read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evo2, "_scale_classes", lambda: [SimpleNamespace])
    path = tmp_path / "evo2_7b.pt"
    torch.save(GOOD | change, path)
    with pytest.raises(DataError, match=message) as error:
        read_checkpoint(path)
    assert error.value.where == str(path)
    assert not Path("run").exists()
    torch.save([torch.ones(1)], path)
    with pytest.raises(DataError, match="holds other things"):
        read_checkpoint(path)


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> FakeLibraryModel:
    """A machine that can run it, and what the library makes there."""
    library = FakeLibraryModel()
    monkeypatch.setattr(evo2, "_require_machine", lambda: None)
    monkeypatch.setattr(evo2, "_load", lambda *_: library)
    return library


@pytest.mark.usefixtures("capable")
def test_by_its_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save(GOOD, folder / "evo2_7b_262k.pt")
    (folder / "README.md").write_text("read me")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    config = BackboneConfig(name="evo2", model="evo2_7b_262k", layer="blocks.1")
    with hub({"arcinstitute/evo2_7b_262k": (COMMIT, folder)}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        model = build(config)
    assert asked == ["evo2_7b_262k.pt"]
    assert model.spec == {
        "architecture": {"model": "evo2_7b_262k"},
        "layer": "blocks.1",
        "weights": "arcinstitute/evo2_7b_262k",
        "revision": COMMIT,
        "weights_digest": None,
        "precision": "bfloat16",
    }
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert build(config).spec == model.spec
    with pytest.raises(DataError, match="arcinstitute/evo2_7b are not on this machine"):
        build(BackboneConfig(name="evo2"))


@pytest.mark.parametrize(("name", "longest"), [("evo2_7b", 32_768), ("evo2_7b_base", 8_192)])
def test_no_more_goes_through_than_it_was_trained_on(
    name: str, longest: int, capable: FakeLibraryModel, tmp_path: Path
) -> None:
    """The library's configuration of the base model says 32,768, its description 8K."""
    capable.model.config.max_seqlen = 32_768
    torch.save(GOOD, tmp_path / f"{name}.pt")
    config = BackboneConfig(name="evo2", model=name, layer="blocks.1", weights=str(tmp_path))
    assert build(config).longest == longest


@pytest.mark.usefixtures("capable")
def test_a_folder_lacks_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold pretrained weights") as error:
        build(BackboneConfig(name="evo2", weights=str(tmp_path)))
    assert error.value.got == "no evo2_7b.pt"


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (RuntimeError("size\n mismatch"), DataError, "not those of this architecture"),
        (ImportError("requires FP8"), DataError, "needs an NVIDIA GPU"),
        (torch.OutOfMemoryError("too small"), torch.OutOfMemoryError, "too small"),
    ],
)
def test_loading_fails(
    raised: Exception,
    expected: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def library(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(evo2, "_library", lambda: SimpleNamespace(Evo2=library))
    with pytest.raises(expected, match=message):
        evo2._load("evo2_7b", tmp_path / "evo2_7b.pt", {})


def test_what_the_official_files_hold_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the library prints them when it loads evo2_7b (ArcInstitute/evo2, issues 18 and 35)."""
    model = SimpleNamespace(model=SimpleNamespace(state_dict=lambda: {"norm.scale": torch.ones(2)}))
    monkeypatch.setattr(evo2, "_library", lambda: SimpleNamespace(Evo2=lambda *_, **__: model))
    beside = ["unembed.weight", "blocks.27.mixer.mixer.filter.t", "blocks.3.mixer.attn._extra_state"]
    state = {name: torch.ones(2) for name in ["norm.scale", *beside]}
    assert evo2._load("evo2_7b", tmp_path / "evo2_7b.pt", state) is model
    with pytest.raises(DataError, match="not those of this architecture") as error:
        evo2._load("evo2_7b", tmp_path / "evo2_7b.pt", state | {"blocks.40.mlp.l1.weight": torch.ones(2)})
    assert error.value.got == "1 left over: blocks.40.mlp.l1.weight"


def test_scales_are_read_where_the_engine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("transformer_engine") is None:
        assert evo2._scale_classes() == []
    recipe = SimpleNamespace(DelayedScaling=int, Format=str, _FormatHelper=float)
    monkeypatch.setattr(evo2, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "transformer_engine", ModuleType("transformer_engine"))
    monkeypatch.setitem(sys.modules, "transformer_engine.common", SimpleNamespace(recipe=recipe))
    assert evo2._scale_classes() == [int, str, float]
