from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_fakes import make_config, make_split

from glm2x.cohort.split import Split
from glm2x.errors import DataError
from glm2x.files import sha256
from glm2x.training.checkpoint import (
    Metadata,
    State,
    copy_for_prediction,
    load_checkpoint,
    recover,
    save_checkpoint,
)

SPEC = {"architecture": {"layers": [1, 2], "rate": 0.1, "kind": None}, "weights": "name", "revision": None}
METADATA = Metadata(
    "0.1.0", "onehot", SPEC, None, "position-pool", "log", 512, "c", "s", 6, ("g0", "g1"), ("p00", "p01")
)
STATE = State("personal", epoch=2, step=10, best=0.1 + 0.2, best_epoch=1)


def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.manual_seed(5)
    model(torch.randn(8, 3)).square().mean().backward()
    optimizer.step()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, nn.Module, torch.optim.Optimizer]:
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1 + 0.2, weight_decay=0.3)
    step(model, optimizer)
    save_checkpoint(tmp_path / "last", model, make_config("out"), make_split(), STATE, METADATA, optimizer)
    return tmp_path / "last", model, optimizer


def edit(folder: Path, **changes: Any) -> None:
    content = json.loads((folder / "state.json").read_text())
    del content["checksum"]
    (folder / "state.json").write_text(json.dumps(content | changes))


def test_it_holds_what_was_saved(saved: tuple[Path, nn.Module, torch.optim.Optimizer]) -> None:
    folder, model, _ = saved
    checkpoint = load_checkpoint(folder)
    other = make_model()
    checkpoint.load_into(other)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert (checkpoint.state, checkpoint.metadata) == (STATE, METADATA)
    assert checkpoint.config == make_config("out")
    assert Split.load(checkpoint.split) == make_split()


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_training_goes_on_bit_for_bit(tmp_path: Path, kind: Any) -> None:
    model = make_model()
    optimizer = kind(model.parameters(), lr=0.01)
    step(model, optimizer)
    save_checkpoint(tmp_path / "last", model, make_config("out"), make_split(), STATE, METADATA, optimizer)
    other = make_model()
    again = kind(other.parameters(), lr=9.0)
    checkpoint = load_checkpoint(tmp_path / "last")
    checkpoint.load_into(other)
    checkpoint.load_optimizer_into(again)
    for _ in range(3):
        optimizer.zero_grad()
        again.zero_grad()
        step(model, optimizer)
        step(other, again)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_the_same_content_is_the_same_bytes(saved: tuple[Path, nn.Module, torch.optim.Optimizer]) -> None:
    folder, model, optimizer = saved
    save_checkpoint(
        folder.parent / "again", model, make_config("out"), make_split(), STATE, METADATA, optimizer
    )
    for path in folder.iterdir():
        assert sha256(path) == sha256(folder.parent / "again" / path.name), path.name


def test_nothing_in_it_is_a_pickle(saved: tuple[Path, nn.Module, torch.optim.Optimizer]) -> None:
    names = sorted(path.name for path in saved[0].iterdir())
    assert names == ["config.yml", "model.safetensors", "optimizer.safetensors", "split.json", "state.json"]
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (saved[0] / name).read_bytes()[8:9] == b"{"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.yml", "split.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_is_named(saved: Any, name: str, damage: str) -> None:
    path = saved[0] / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-10])
    with pytest.raises(DataError) as error:
        load_checkpoint(saved[0])
    assert name in error.value.what
    assert error.value.where == str(path)
    assert ("does not exist" if damage == "remove" else "damaged") in error.value.what


def test_a_tensor_file_that_is_none_is_a_data_error(saved: Any) -> None:
    path = saved[0] / "model.safetensors"
    path.write_bytes(b"\x80\x04 not tensors")
    content = json.loads((saved[0] / "state.json").read_text())
    edit(saved[0], files=content["files"] | {path.name: sha256(path)})
    with pytest.raises(DataError, match=r"damaged: model\.safetensors is not what was written"):
        load_checkpoint(saved[0]).load_into(make_model())


def test_another_format_version_is_refused(saved: Any) -> None:
    edit(saved[0], format_version=1)
    with pytest.raises(DataError, match="format version that this glm2x does not read") as error:
        load_checkpoint(saved[0])
    assert (error.value.got, error.value.wanted) == ("version 1", "version 2")


def test_something_else_is_refused(saved: Any) -> None:
    edit(saved[0], format="another program's")
    with pytest.raises(DataError, match="this is no glm2x checkpoint"):
        load_checkpoint(saved[0])


@pytest.mark.parametrize("key", ["files", "optimizer", "state", "metadata"])
def test_missing_keys_are_refused(saved: Any, key: str) -> None:
    content = json.loads((saved[0] / "state.json").read_text())
    del content[key]
    (saved[0] / "state.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="the checkpoint is damaged"):
        load_checkpoint(saved[0])


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no checkpoint") as error:
        load_checkpoint(tmp_path)
    assert error.value.got == "a folder without state.json"
    with pytest.raises(DataError, match="there is no checkpoint") as error:
        load_checkpoint(tmp_path / "none")
    assert error.value.got == "no folder"


def test_another_shape_is_named(saved: Any) -> None:
    other = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
    with pytest.raises(DataError, match=r"does not fit the model: 0.bias differs") as error:
        load_checkpoint(saved[0]).load_into(other)
    assert (error.value.got, error.value.wanted) == ("shape [4]", "shape [5]")


def test_missing_and_left_over_tensors_are_named(saved: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2.bias differs") as error:
        load_checkpoint(saved[0]).load_into(nn.Sequential(*make_model()[:2]))
    assert (error.value.got, error.value.wanted) == ("shape [1]", "no such tensor")
    with pytest.raises(DataError, match=r"3.bias differs") as error:
        load_checkpoint(saved[0]).load_into(nn.Sequential(*make_model(), nn.Linear(1, 1)))
    assert error.value.got == "no such tensor"


def test_a_checkpoint_without_optimiser_cannot_be_gone_on_from(saved: Any) -> None:
    folder, model, optimizer = saved
    save_checkpoint(folder, model, make_config("out"), make_split(), STATE, METADATA)
    with pytest.raises(DataError, match="holds no optimiser state"):
        load_checkpoint(folder).load_optimizer_into(optimizer)


def test_a_copy_for_prediction_has_the_history_and_no_optimiser(saved: Any, tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("{}\n")
    copy_for_prediction(saved[0], tmp_path / "checkpoint", tmp_path / "history.jsonl")
    names = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert names == ["config.yml", "history.jsonl", "model.safetensors", "split.json", "state.json"]
    copy = load_checkpoint(tmp_path / "checkpoint")
    assert (copy.state, copy.metadata, copy.optimizer) == (STATE, METADATA, None)


def test_recover_brings_back_what_was_moved_away(saved: Any) -> None:
    """The moment between the two renames of a replacement: the old one is hidden, the new one not there."""
    run = saved[0].parent
    saved[0].rename(run / ".last.replaced-123")
    (run / ".last.partial-123").mkdir()
    (run / ".run.json.partial-9").write_text("{")
    recover(run)
    assert [path.name for path in run.iterdir()] == ["last"]
    assert load_checkpoint(run / "last").state == STATE


def test_recover_removes_the_old_one_where_the_new_one_is_there(saved: Any) -> None:
    run = saved[0].parent
    shutil.copytree(saved[0], run / ".last.replaced-123")
    (run / ".last.replaced-123" / "state.json").unlink()
    recover(run)
    assert [path.name for path in run.iterdir()] == ["last"]
    assert load_checkpoint(run / "last").state == STATE


@pytest.mark.parametrize("name", ["model.safetensors", "config.yml", "split.json"])
def test_every_file_that_is_read_must_be_listed(saved: Any, name: str) -> None:
    """A file that state.json does not list could be exchanged unnoticed."""
    content = json.loads((saved[0] / "state.json").read_text())
    del content["files"][name]
    edit(saved[0], files=content["files"])
    with pytest.raises(DataError, match=r"damaged: state\.json") as error:
        load_checkpoint(saved[0])
    assert error.value.got == f"files without {name}"


@pytest.mark.parametrize("name", ["../other.txt", "/etc/hostname"])
def test_files_lie_in_the_folder(saved: Any, name: str) -> None:
    (saved[0].parent / "other.txt").write_text("mine")
    content = json.loads((saved[0] / "state.json").read_text())
    edit(saved[0], files=content["files"] | {name: sha256(saved[0] / name)})
    with pytest.raises(DataError, match="the checkpoint is damaged") as error:
        load_checkpoint(saved[0])
    assert name in error.value.got


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("state", "epoch", "many"),
        ("state", "epoch", "2"),
        ("state", "epoch", -1),
        ("state", "step", 1.5),
        ("state", "best", "low"),
        ("state", "best", float("nan")),
        ("state", "phase", None),
        ("metadata", "window", "512"),
        ("metadata", "train_individuals", True),
        ("metadata", "genes", "g0"),
        ("metadata", "genes", [1]),
        ("metadata", "individuals_touched", {"p00": 1}),
        ("metadata", "surplus", 1),
        ("metadata", "backbone_spec", "enformer"),
        ("metadata", "freeze", "head"),
    ],
)
def test_a_value_of_another_type_is_a_data_error(saved: Any, part: str, key: str, value: Any) -> None:
    content = json.loads((saved[0] / "state.json").read_text())
    edit(saved[0], **{part: content[part] | {key: value}})
    with pytest.raises(DataError, match=r"damaged: state\.json") as error:
        load_checkpoint(saved[0])
    assert error.value.got.startswith(key)


@pytest.mark.parametrize("optimizer", [[1], "none", 3])
def test_an_optimiser_of_another_type_is_a_data_error(saved: Any, optimizer: Any) -> None:
    edit(saved[0], optimizer=optimizer)
    with pytest.raises(DataError, match=r"damaged: state\.json"):
        load_checkpoint(saved[0])


@pytest.mark.parametrize("optimizer", [{}, {"scalars": {"a": {}}, "param_groups": []}, {"scalars": 1}])
def test_an_optimiser_s_state_that_is_none_is_a_data_error(saved: Any, optimizer: Any) -> None:
    edit(saved[0], optimizer=optimizer)
    with pytest.raises(DataError, match=r"damaged: optimizer\.safetensors"):
        load_checkpoint(saved[0]).load_optimizer_into(saved[2])


def test_metadata_of_another_configuration_is_refused(saved: Any) -> None:
    """A target in the metadata alone must not pass for the target that was trained."""
    content = json.loads((saved[0] / "state.json").read_text())
    edit(saved[0], metadata=content["metadata"] | {"target": "residual"})
    with pytest.raises(DataError, match=r"damaged: state\.json"):
        load_checkpoint(saved[0])


def test_a_configuration_nested_beyond_reason_is_a_data_error(saved: Any) -> None:
    path = saved[0] / "config.yml"
    path.write_text("[" * 5000)
    content = json.loads((saved[0] / "state.json").read_text())
    edit(saved[0], files=content["files"] | {path.name: sha256(path)})
    with pytest.raises(DataError, match=r"damaged: config\.yml"):
        load_checkpoint(saved[0])


class Tied(nn.Module):
    """Two layers with one weight, and a buffer that is a part of another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("whole", torch.arange(6.0))
        self.register_buffer("part", self.whole[:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def test_tied_weights_are_saved_and_stay_tied(tmp_path: Path) -> None:
    model = Tied()
    optimizer = torch.optim.Adam(model.parameters())
    step(model, optimizer)
    save_checkpoint(tmp_path / "tied", model, make_config("out"), make_split(), STATE, METADATA, optimizer)
    other = Tied()
    checkpoint = load_checkpoint(tmp_path / "tied")
    checkpoint.load_into(other)
    checkpoint.load_optimizer_into(torch.optim.Adam(other.parameters()))
    assert other.second.weight is other.first.weight
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
