from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from borzoi_checkpoints import SIZES, write_borzoi
from glm2x.backbones.borzoi import ARCHITECTURE, Borzoi, build
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from s2f_checkpoints import write_hub_cache

WINDOW = 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("borzoi") / "weights"
    write_borzoi(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Borzoi:
    return load(folder)


@pytest.fixture
def model(loaded: Borzoi) -> Borzoi:
    return copy.deepcopy(loaded)


def load(folder: Path, window: int = WINDOW) -> Borzoi:
    return build(window, BackboneConfig(name="borzoi", weights=str(folder))).eval()


def sequences(count: int = 2, length: int = WINDOW) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def test_tokens_are_ten_bins_wherever_it_came_from(model: Borzoi, folder: Path) -> None:
    tokens = model(sequences())
    assert tokens.shape == (2, model.tokens(WINDOW), model.width) == (2, 10, 1920)
    assert model.spec == {
        "architecture": {**SIZES, "dropout_rate": 0.2, "attn_dropout": 0.05, "pos_dropout": 0.01},
        "weights": str(folder),
        "revision": None,
    }
    json.dumps(model.spec)


@torch.no_grad()
def test_both_formats_of_a_checkpoint_are_read(model: Borzoi, tmp_path: Path) -> None:
    write_borzoi(tmp_path, binary=True)
    assert [path.name for path in tmp_path.glob("*model*")] == ["pytorch_model.bin"]
    assert torch.equal(load(tmp_path)(sequences()), model(sequences()))


@torch.no_grad()
def test_the_official_weights_are_those_of_the_hub(
    model: Borzoi, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commit = "b" * 40
    snapshot = write_hub_cache(tmp_path, "johahi/borzoi-replicate-0", commit)
    for path in folder.iterdir():
        (snapshot / path.name).symlink_to(path)
    official = build(WINDOW, BackboneConfig(name="borzoi", revision="main")).eval()
    assert (official.spec["weights"], official.spec["revision"]) == ("johahi/borzoi-replicate-0", commit)
    assert torch.equal(official(sequences()), model(sequences()))


def test_a_saved_one_is_built_again_without_its_weights(model: Borzoi) -> None:
    spec = json.loads(json.dumps(model.spec))
    again = build(WINDOW, BackboneConfig(name="borzoi", weights="no such folder"), spec)
    assert not any(tensor.any() for tensor in again.state_dict().values())
    again.load_state_dict(model.state_dict())
    assert again.spec == spec
    assert torch.equal(again.eval()(sequences()), model(sequences()))


@pytest.mark.parametrize("window", [384, 414, 512, 542, 64_000])
def test_windows_that_it_takes(model: Borzoi, window: int) -> None:
    assert model.tokens(window) == 10


@pytest.mark.parametrize(
    ("window", "do"),
    [(256, "window: 384"), (382, "window: 384"), (544, "window: 512 or 640"), (66_000, "65920 or 66048")],
)
def test_windows_that_it_refuses(model: Borzoi, window: int, do: str) -> None:
    with pytest.raises(UsageError, match=f"no window of {window} bp") as error:
        model.tokens(window)
    assert do in error.value.do
    for length in error.value.do.removeprefix("window: ").split(" or "):
        assert model.tokens(int(length)) == 10
    with pytest.raises(UsageError):
        Borzoi(SIZES, window)
    with pytest.raises(UsageError):
        model(torch.zeros(1, window, dtype=torch.uint8))


def test_n_is_a_column_of_zeros_and_strands_differ(model: Borzoi) -> None:
    codes = sequences(1)
    assert (codes == 4).any()
    heard: list[Tensor] = []
    model.model.conv_dna.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    model(codes)
    assert heard[0].shape == (1, 4, WINDOW)
    assert torch.equal(heard[0].sum(dim=1), (codes != 4).float())
    assert torch.equal(heard[0].argmax(dim=1)[codes != 4], codes[codes != 4].long())


@torch.no_grad()
@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_person_homozygous_for_the_reference_is_the_reference(
    model: Borzoi, demo_cohort: Cohort, strand: str
) -> None:
    dictionary = HaplotypeDictionary(demo_cohort, WINDOW)
    for place in demo_cohort.genes:
        gene = dictionary.gene(place.gene)
        carries = (gene.codes() != gene.reference).any(axis=1)[gene.index]  # people x 2
        if place.strand == strand and not carries.all() and carries.all(axis=1).any():
            break
    else:
        pytest.fail("no such gene")
    person = int((~carries).all(axis=1).nonzero()[0][0])
    other = int(carries.all(axis=1).nonzero()[0][0])
    reference = model(torch.from_numpy(gene.reference.copy())[None])
    for row in gene.index[person]:
        assert torch.equal(model(torch.from_numpy(gene.codes([row]))), reference)
    for row in gene.index[other]:
        assert not torch.equal(model(torch.from_numpy(gene.codes([row]))), reference)


def test_gradients_after_inference(model: Borzoi) -> None:
    """In evaluation mode, where no dropout makes a copy of the positions that inference left behind."""
    with torch.inference_mode():
        model(sequences())
    model(sequences()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_positions_are_kept_while_windows_are_alike(model: Borzoi) -> None:
    attention = model.model.transformer[0][0].fn[1]
    model(sequences())
    first = attention.positions
    model(sequences())
    assert attention.positions is first


def test_positions_follow_the_model_to_another_device(model: Borzoi) -> None:
    model(sequences())
    model.to("meta")
    assert model(sequences().to("meta")).shape == (2, 10, 1920)


def test_every_parameter_is_in_one_stage(model: Borzoi) -> None:
    own = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert sorted(own) == sorted(id(p) for p in model.parameters())
    assert len(own) == len(set(own))
    assert len(model.stages()) == 10 + SIZES["depth"]


def test_stages_are_in_the_order_of_the_computation(model: Borzoi) -> None:
    order = {id(module): n for n, stage in enumerate(model.stages()) for module in stage.modules()}
    heard: list[int] = []
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda module, *_: heard.append(order[id(module)]))
    model(sequences())
    assert heard == sorted(heard)
    assert set(heard) == set(range(len(model.stages())))


def test_the_last_stages_alone_are_trained(model: Borzoi) -> None:
    model.freeze(2)
    model.train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(sequences()).sum().backward()
    changed = {name.split(".")[1] for name, buffer in model.named_buffers() if (buffer != before[name]).any()}
    trained = {
        name.split(".")[1] for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    assert changed == {"horizontal_conv0", "upsampling_unet0", "final_joined_convs"}
    assert trained == changed | {"separable0"}


@pytest.mark.parametrize("freeze", [None, 4], ids=["whole", "last 4"])
def test_activation_checkpointing_changes_nothing(model: Borzoi, freeze: int | None) -> None:
    """Outputs, gradients, running statistics: with dropout, in training mode."""
    results = []
    for checkpointing in (False, True):
        one = copy.deepcopy(model)
        one.freeze(freeze)
        one.train()
        one.activation_checkpointing = checkpointing
        torch.manual_seed(2)
        tokens = one(sequences())
        (tokens * torch.linspace(-1, 1, 1920)).sum().backward()
        gradients = {name: p.grad for name, p in one.named_parameters() if p.grad is not None}
        results.append((tokens.detach(), gradients, dict(one.named_buffers())))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)
    _, gradients, buffers = results[1]
    assert len(gradients) > 10
    counts = {int(value) for name, value in buffers.items() if name.endswith("num_batches_tracked")}
    assert counts == ({1} if freeze is None else {0, 1})


def test_activation_checkpointing_keeps_less(model: Borzoi) -> None:
    def kept(checkpointing: bool) -> int:
        model.activation_checkpointing = checkpointing
        sizes = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: sizes.setdefault(tensor.untyped_storage().data_ptr(), tensor.nbytes) and tensor,
            lambda tensor: tensor,
        ):
            model(sequences()).sum()
        return sum(sizes.values())

    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert parameters
    assert kept(True) < 0.4 * kept(False)


def test_batch_norm_and_dropout_in_training(model: Borzoi) -> None:
    """What the class says of people and haplotypes: alike in evaluation, not in training."""
    codes = sequences(2)
    people = codes[[0, 0, 0, 1]]
    torch.testing.assert_close(model(people), model(codes)[[0, 0, 0, 1]], rtol=1e-4, atol=1e-4)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.train()
    assert (model(people) - model(codes)[[0, 0, 0, 1]]).abs().max() > 1e-2
    model.freeze("trunk")
    torch.testing.assert_close(model(people), model(codes)[[0, 0, 0, 1]], rtol=1e-4, atol=1e-4)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    assert len(norms) == 11


@torch.no_grad()
def test_bfloat16_by_autocast_and_not_of_weights(model: Borzoi) -> None:
    exact = model(sequences())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(sequences())
    assert rough.dtype == torch.bfloat16
    assert 0 < (rough.float() - exact).norm() < 0.05 * exact.norm()
    with pytest.raises(RuntimeError, match="dtype"):
        model.bfloat16()(sequences())


def test_weights_with_more_than_output_heads_are_refused(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    assert {name.split(".")[0] for name in state} >= {"human_head", "mouse_head"}
    save_file(state | {"human_head_bak.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(tmp_path)
    assert "human_head_bak.weight" in error.value.got


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "prime"}))
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="not Borzoi's") as error:
        load(tmp_path)
    assert error.value.got == "model_type prime"


@pytest.mark.parametrize("flashed", [True, "false", 1])
def test_flashzoi_is_refused(folder: Path, tmp_path: Path, flashed: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"flashed": flashed}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(UsageError, match="Flashzoi weights are not supported") as error:
        build(512, BackboneConfig(name="borzoi", weights=str(tmp_path)))
    assert "borzoi-replicate-0" in str(error.value)


def test_the_official_size() -> None:
    with torch.device("meta"):
        model = Borzoi({}, 64_000)
    assert sum(parameter.numel() for parameter in model.parameters()) == 171_271_968
    assert len(model.stages()) == 18
    assert set(ARCHITECTURE) - {"flashed"} <= set(vars(model.model.config))


@pytest.mark.parametrize(
    ("key", "value"), [("dim", "x"), ("dim", -4), ("depth", "2"), ("dropout_rate", 5), ("dim", 10**30)]
)
def test_a_configuration_that_makes_no_model_is_one_message(
    folder: Path, tmp_path: Path, key: str, value: object
) -> None:
    config = json.loads((folder / "config.json").read_text()) | {key: value}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    with pytest.raises(DataError, match=r"describes no model|not those of this architecture") as error:
        build(512, BackboneConfig(name="borzoi", weights=str(tmp_path)))
    assert str(tmp_path) in str(error.value)


def test_a_window_is_refused_before_weights_are_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no window of 1000 bp"):
        build(1000, BackboneConfig(name="borzoi", weights=str(tmp_path / "nothing")))
