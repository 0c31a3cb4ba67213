from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from glm2x.backbones.hub_cache import cache_folder, cached_snapshot, is_offline
from glm2x.backbones.weights import FILES, load_into, read_config, read_state, require_fitting, resolve
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from hub_server import hub
from s2f_checkpoints import write_hub_cache, write_state

NAME = "someone/some-weights"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def official(revision: str | None = None) -> BackboneConfig:
    return BackboneConfig(name="enformer", revision=revision)


def of_folder(folder: Path, revision: str | None = None) -> BackboneConfig:
    return BackboneConfig(name="enformer", weights=str(folder), revision=revision)


def write(folder: Path, kind: str = "bin") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"dim": 3}')
    write_state(folder, STATE, kind)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no way to the real Hub."""
    for name in (
        *("HF_HOME", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub that knows one repository, with weights in two formats and what nobody asked for."""
    folder = write(tmp_path / "repository")
    (folder / "README.md").write_text("read me")
    gated = write(tmp_path / "gated")
    repositories = {NAME: (COMMIT, folder), "someone/gated": (COMMIT, gated)}
    with hub(repositories, gated=frozenset(["someone/gated"])) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield asked


# what the Hub gives


def test_official_weights_are_downloaded_once(served: list[str], own_cache: Path) -> None:
    weights = resolve(NAME, official(), files=FILES)
    assert (
        weights.folder
        == cached_snapshot(NAME)
        == own_cache / f"models--someone--some-weights/snapshots/{COMMIT}"
    )
    assert (weights.source, weights.revision) == (NAME, COMMIT)
    assert sorted(served) == ["config.json", "pytorch_model.bin"]
    torch.testing.assert_close(read_state(weights.folder), STATE)
    assert read_config(weights.folder) == {"dim": 3}
    assert resolve(NAME, official(COMMIT), files=FILES) == weights
    assert len(served) == 2


def test_a_bin_file_is_left_where_there_are_safetensors(served: list[str], tmp_path: Path) -> None:
    write_state(tmp_path / "repository", STATE, "sharded")
    folder = resolve(NAME, official(), files=FILES).folder
    assert not list(folder.glob("*.bin"))
    assert len(served) == 1 + 1 + 2
    torch.testing.assert_close(read_state(folder), STATE)


def test_a_file_in_a_folder_of_the_repository(served: list[str], tmp_path: Path) -> None:
    (tmp_path / "repository/v1").mkdir()
    save_file(STATE, tmp_path / "repository/v1/all.safetensors")
    folder = resolve(NAME, official(), files=("v1/all.safetensors",)).folder
    torch.testing.assert_close(read_state(folder, ("v1/all.safetensors",)), STATE)
    assert served == ["all.safetensors"]


def test_what_was_downloaded_serves_without_a_network(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = resolve(NAME, official(), files=FILES)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert resolve(NAME, official(), files=FILES) == weights
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(NAME, official(), files=FILES) == weights


@pytest.mark.parametrize(
    ("name", "revision", "got", "do"),
    [
        ("nobody/nothing", None, "no such name", "private"),
        (NAME, "v9", "no revision v9", "set backbone.revision"),
        ("someone/gated", None, "accepted their licence", "hf auth login, and hf download someone/gated"),
        ("not a name", None, "HFValidationError", "where there is a network"),
    ],
)
def test_what_the_hub_does_not_give(
    name: str, revision: str | None, got: str, do: str, served: list[str], own_cache: Path
) -> None:
    error = refused(name, official(revision))
    assert got in error.got
    assert do in error.do
    assert "backbone.weights" in error.do
    assert error.where == str(own_cache)
    assert error.wanted == "config.json and model.safetensors or pytorch_model.bin"


def test_without_a_network(own_cache: Path) -> None:
    error = refused(NAME, official("abc"))
    assert "Connection" in error.got
    assert "\n" not in error.got
    assert f"where there is a network: hf download {NAME} --revision abc" in error.do


def test_offline_and_not_downloaded_before(served: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    error = refused(NAME, official())
    assert error.got == "HF_HUB_OFFLINE is set, and they were not downloaded before"
    assert f"hf download {NAME};" in error.do
    assert served == []


def test_a_download_that_was_broken_off(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = write_hub_cache(own_cache, NAME, COMMIT)
    (snapshot / "config.json").write_text("{}")
    with pytest.raises(DataError, match="not complete") as error:
        resolve(NAME, official(), files=FILES)
    assert error.value.where == str(snapshot)
    assert error.value.got == "no model.safetensors or pytorch_model.bin"
    assert error.value.do == f"hf download {NAME}"


def test_a_repository_without_what_is_asked_for(served: list[str]) -> None:
    with pytest.raises(DataError, match="not complete") as error:
        resolve(NAME, official(), files=("config.json", "other.json", "other.safetensors"))
    assert error.value.got == "no other.json and no other.safetensors"


def refused(name: str, config: BackboneConfig) -> DataError:
    with pytest.raises(DataError, match=f"the weights {name} are not on this machine") as error:
        resolve(name, config, files=FILES)
    return error.value


# a folder


@pytest.mark.parametrize("kind", ["bin", "safetensors", "sharded"])
def test_a_folder_is_taken_as_it_is(kind: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "weights", kind)
    weights = resolve(NAME, of_folder(folder), files=FILES)
    assert (weights.folder, weights.source, weights.revision) == (folder, str(folder), None)
    torch.testing.assert_close(read_state(folder), STATE)


@pytest.mark.parametrize(
    ("without", "got"),
    [
        ("config.json", "no config.json"),
        ("pytorch_model.bin", "no model.safetensors or pytorch_model.bin"),
        (None, "no such folder"),
    ],
)
def test_a_folder_that_lacks_something(without: str | None, got: str, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    if without is not None:
        (write(folder) / without).unlink()
    with pytest.raises(DataError, match="does not hold pretrained weights") as error:
        resolve(NAME, of_folder(folder), files=FILES)
    assert (error.value.where, error.value.got) == (str(folder), got)
    assert error.value.do == f"hf download {NAME} --local-dir {folder}"


def test_a_checkpoint_is_no_pretrained_weights(tmp_path: Path) -> None:
    folder = write(tmp_path / "checkpoint", "safetensors")
    (folder / "state.json").write_text("{}")
    with pytest.raises(DataError, match="is a checkpoint of glm2x") as error:
        resolve(NAME, of_folder(folder), files=FILES)
    assert error.value.do == f"to go on from it: start_from: {folder}"


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no revisions") as error:
        resolve(NAME, of_folder(write(tmp_path / "weights"), "v1"), files=FILES)
    assert error.value.where == "backbone.revision"
    assert resolve(NAME, of_folder(tmp_path / "weights", "main"), files=FILES).revision is None


# reading


def test_safetensors_are_read_before_bin(tmp_path: Path) -> None:
    write(tmp_path, "safetensors")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    torch.testing.assert_close(read_state(tmp_path), STATE)


def test_a_bin_file_of_old_torch(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    torch.testing.assert_close(read_state(tmp_path), STATE)


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_no_code_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    path, mark = tmp_path / "pytorch_model.bin", tmp_path / "ran"
    torch.save({**STATE, "more": Hostile(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="weights cannot be read") as error:
        read_state(tmp_path)
    assert (error.value.where, mark.exists()) == (str(path), False)
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file is not hostile"


@pytest.mark.parametrize("content", [[1, 2], {"weight": "text"}, {1: torch.ones(1)}, torch.ones(1)])
def test_what_holds_other_things_than_tensors(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="holds other things"):
        read_state(tmp_path)


@pytest.mark.parametrize("kind", ["bin", "safetensors"])
@pytest.mark.parametrize("length", [0, 5, 200])
def test_a_damaged_file(kind: str, length: int, tmp_path: Path) -> None:
    write(tmp_path, kind)
    path = tmp_path / ("pytorch_model.bin" if kind == "bin" else "model.safetensors")
    path.write_bytes(path.read_bytes()[:-20][:length])
    with pytest.raises(DataError, match="weights cannot be read") as error:
        read_state(tmp_path)
    assert error.value.where == str(path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no weights"):
        read_state(tmp_path)


def test_a_shard_is_lacking(tmp_path: Path) -> None:
    write(tmp_path, "sharded")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(DataError, match="a shard of the weights is lacking") as error:
        read_state(tmp_path)
    assert error.value.where.endswith("model-00002-of-00002.safetensors")


@pytest.mark.parametrize("places", [None, [], {"a": "../a"}, {"a": 1}])
def test_an_index_that_is_none(places: object, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    with pytest.raises(DataError, match="names no shards"):
        read_state(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read"), ("[]", "holds no keys"), ("[" * 10**5, "cannot be read")]
)
def test_a_config_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_config(tmp_path)
    assert error.value.where == str(tmp_path / "config.json")


# loading


def test_loading_is_strict_but_for_what_is_ignored() -> None:
    layer = nn.Linear(3, 2)
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load_into(layer, {"weight": torch.ones(3), "heads.a": torch.ones(1)}, where="there")
    assert error.value.where == "there"
    assert error.value.got == (
        "1 lacking: bias; 1 left over: heads.a; 1 in another shape: weight [3] instead of [2, 3]"
    )
    before = layer.weight.clone()
    with pytest.raises(DataError):
        load_into(layer, {**STATE, "heads": torch.ones(1)}, ignore=("heads.",))
    assert torch.equal(layer.weight, before)
    load_into(layer, {**STATE, "heads.a": torch.ones(1)}, ignore=("heads.",))
    torch.testing.assert_close(dict(layer.state_dict()), STATE)


# the cache, by path


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
    ],
)
def test_where_the_cache_is(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_a_snapshot_by_branch_and_by_commit(own_cache: Path) -> None:
    assert cached_snapshot(NAME) is None
    snapshot = write_hub_cache(own_cache, NAME, COMMIT)
    assert cached_snapshot(NAME) == cached_snapshot(NAME, COMMIT) == snapshot
    assert cached_snapshot(NAME, "v1") is None


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_whether_it_is_offline(value: str, offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert is_offline() == offline


@pytest.mark.parametrize(
    "strange",
    [
        torch.ones(2, 3, dtype=torch.int8),
        torch.full((2, 3), float("nan")),
        torch.full((2, 3), float("inf")),
        torch.ones(2, 3, dtype=torch.complex64),
        torch.ones(2, 3, device="meta"),
        torch.ones(2, 3).to_sparse(),
        torch.ones(2, 3).to(torch.float8_e4m3fn),
        torch.ones(2, 3).to(torch.float8_e5m2),
    ],
    ids=["int8", "nan", "inf", "complex", "meta", "sparse", "float8_e4m3fn", "float8_e5m2"],
)
def test_tensors_that_are_no_weights_are_refused(strange: torch.Tensor) -> None:
    module = torch.nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load_into(module, {"weight": strange, "bias": torch.zeros(2)})
    assert "of another type or without a number: weight" in str(error.value)
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_the_modules(kind: torch.dtype) -> None:
    module = torch.nn.Linear(3, 2)
    load_into(module, {"weight": torch.full((2, 3), 1.5, dtype=kind), "bias": torch.zeros(2, dtype=kind)})
    assert module.weight.dtype == torch.float32
    assert module.weight.unique().tolist() == [1.5]


def test_a_module_without_memory_is_looked_at_by_name_and_shape() -> None:
    with torch.device("meta"):
        module = torch.nn.Linear(3, 10**9)
    state = {"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)}
    with pytest.raises(DataError, match=r"2 in another shape: weight \[2, 3\] instead of \[1000000000, 3\]"):
        require_fitting(module, state)
    with torch.device("meta"):
        module = torch.nn.Linear(3, 2)
    require_fitting(module, state)  # numbers are looked at when they are loaded
    with pytest.raises(DataError, match="1 lacking: bias"):
        require_fitting(module, {"weight": state["weight"]})
