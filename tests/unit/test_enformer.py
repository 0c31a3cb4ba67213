from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from glm2x.backbones import enformer
from glm2x.backbones.enformer import Enformer, build
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from s2f_checkpoints import TINY, official_state, small_enformer, write_enformer, write_state

WINDOW = 2_048


def load(folder: Path, window: int = WINDOW) -> Enformer:
    return build(window, BackboneConfig(name="enformer", weights=str(folder)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("enformer")
    write_enformer(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Enformer:
    return load(folder)


@pytest.fixture
def model(loaded: Enformer) -> Enformer:
    return copy.deepcopy(loaded)


def codes(count: int = 2, length: int = WINDOW) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def test_it_is_what_the_checkpoint_says(model: Enformer, folder: Path) -> None:
    assert model(codes()).shape == (2, model.tokens(WINDOW), model.width) == (2, 10, 192)
    sizes = {**TINY, "attn_dim_key": 64, "num_downsamples": 7}
    rates = {"dropout_rate": 0.4, "attn_dropout": 0.05, "pos_dropout": 0.01}
    assert model.spec == {"architecture": {**sizes, **rates}, "weights": str(folder), "revision": None}
    names = set(model.state_dict())
    assert names == {n for n in official_state(small_enformer()) if not n.startswith(("_trunk.", "_heads."))}


@pytest.mark.parametrize("kind", ["bin", "safetensors", "sharded"])
@torch.no_grad()
def test_each_layout_of_the_weights_gives_the_same_model(kind: str, model: Enformer, tmp_path: Path) -> None:
    write_enformer(tmp_path, kind=kind)
    other = load(tmp_path)
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert torch.equal(other.eval()(codes()), model.eval()(codes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("stem.0.weight"), "1 lacking: stem.0.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "1 left over: extra"),
        (lambda s: s.update(_trunks=torch.zeros(1)), "1 left over: _trunks"),
        (lambda s: s.update({"stem.0.bias": torch.zeros(3)}), "stem.0.bias [3] instead of [48]"),
        (lambda s: [s.pop(n) for n in list(s) if n.startswith("transformer.1.")], "16 lacking: "),
    ],
)
def test_other_weights_are_refused(change: Any, message: str, model: Enformer, tmp_path: Path) -> None:
    theirs = write_enformer(tmp_path)
    state = official_state(theirs)
    change(state)
    write_state(tmp_path, state, "bin")
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(tmp_path)
    assert message in error.value.got
    assert error.value.where == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_type", "borzoi"),
        ("num_downsamples", 6),
        ("dim", 100),
        ("dim", "large"),
        ("depth", 0),
        ("depth", True),
        ("dropout_rate", 1.5),
        ("attn_dropout", None),
    ],
)
def test_what_config_json_may_not_say(name: str, value: object, tmp_path: Path) -> None:
    write_enformer(tmp_path, **{name: value})
    with pytest.raises(DataError, match="not describe an Enformer") as error:
        load(tmp_path)
    assert error.value.got == f"{name}: {value}"
    assert error.value.where == str(tmp_path / "config.json")


def test_a_config_without_sizes_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with torch.device("meta"):
        model = Enformer(enformer.read_architecture(tmp_path), 64_000)
    assert (model.width, len(model.stages())) == (3_072, 1 + 6 + 11 + 1)


@pytest.mark.parametrize(("window", "bins"), [(1_152, 9), (1_154, 10)])
def test_a_window_has_ten_bins(window: int, bins: int, folder: Path) -> None:
    if bins == 10:
        assert load(folder, window)(codes(length=window)).shape == (2, 10, 192)
        return
    with pytest.raises(UsageError, match="10 bins of 128 bp") as error:
        load(folder, window)
    assert (error.value.got, error.value.wanted) == ("1152 bp", "1154 bp or more")


def test_a_checkpoint_needs_no_weights(model: Enformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enformer, "resolve", lambda *_, **__: pytest.fail("weights were looked for"))
    spec = json.loads(json.dumps(model.spec))
    again = build(WINDOW, BackboneConfig(name="enformer", weights="gone"), spec)
    assert again.spec == model.spec
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(codes()), model.eval()(codes()))


def test_every_parameter_is_in_one_stage(model: Enformer) -> None:
    stages = model.stages()
    assert len(stages) == 1 + 6 + TINY["depth"] + 1
    staged = [id(p) for stage in stages for p in stage.parameters()]
    assert sorted(staged) == sorted(id(p) for p in model.parameters())
    assert stages[0] is model.stem
    assert stages[-1] is model.final_pointwise


@pytest.mark.parametrize("what", ["trunk", 2, 5])
def test_what_is_frozen_stays_as_it_is(what: Any, model: Enformer) -> None:
    model.freeze(what)
    model.train()
    before = copy.deepcopy(model.state_dict())
    trained = 0 if what == "trunk" else what
    assert model.freeze(None) is None
    if trained:
        model(codes()).square().sum().backward()
        torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01).step()
    else:
        assert torch.equal(model(codes()), model(codes()))
    changed = [
        any(
            not torch.equal(tensor, before[name])
            for name, tensor in model.state_dict().items()
            if name in own
        )
        for own in _names_of_stages(model)
    ]
    assert changed == [False] * (len(changed) - trained) + [True] * trained


def _names_of_stages(model: Enformer) -> list[set[str]]:
    tensors = {tensor.data_ptr(): name for name, tensor in model.state_dict().items()}
    return [{tensors[t.data_ptr()] for t in stage.state_dict().values()} for stage in model.stages()]


@pytest.mark.parametrize("frozen", [None, 4])
def test_checkpointing_changes_memory_and_nothing_else(frozen: int | None, model: Enformer) -> None:
    """Tokens, gradients, running statistics and dropout of two steps."""
    model.freeze(frozen)
    results, kept = [], []
    for saving in (False, True):
        mine = copy.deepcopy(model).train()
        mine.freeze(frozen)
        assert mine.activation_checkpointing is False
        mine.activation_checkpointing = saving
        torch.manual_seed(3)
        optimizer = torch.optim.SGD([p for p in mine.parameters() if p.requires_grad], 1e-4)
        for _ in range(2):
            optimizer.zero_grad()
            size, tokens = _kept(mine)
            (tokens**2).mean().backward()
            optimizer.step()
        kept.append(size)
        gradients = {name: p.grad for name, p in mine.named_parameters() if p.requires_grad}
        results.append({"tokens": tokens, **gradients, **mine.state_dict()})
    assert results[0].keys() == results[1].keys()
    assert results[1]["final_pointwise.1.0.num_batches_tracked"] == 2
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    if frozen is None:
        assert kept[1] < kept[0] / 4


def _kept(model: Enformer) -> tuple[int, Tensor]:
    """The numbers kept for the backward pass, but for the model's own; and the tokens."""
    own = {t.data_ptr() for t in model.state_dict().values()}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        tokens = model(codes())
    return sum(sizes.values()), tokens


@pytest.mark.parametrize("saving", [False, True])
def test_bfloat16_by_autocast(saving: bool, model: Enformer) -> None:
    model.eval()
    model.activation_checkpointing = saving
    exact = model(codes())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(codes())
    rounded.float().square().mean().backward()
    assert not torch.equal(rounded.float(), exact)
    torch.testing.assert_close(rounded.float(), exact, rtol=0.05, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_no_batch_norm_over_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process group of several the library takes SyncBatchNorm, which trains on GPUs alone."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert any(isinstance(m, nn.SyncBatchNorm) for m in small_enformer().modules())
    for gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        norms = [
            m for m in Enformer(TINY, WINDOW).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
        ]
        assert {type(m) for m in norms} == {nn.BatchNorm1d}
        assert len(norms) == 1 + 2 * 6 + 1


@torch.no_grad()
def test_who_has_no_alternative_allele_has_the_reference_window(model: Enformer, demo_cohort: Cohort) -> None:
    """On both strands, bit for bit; and who has one does not."""
    model.eval()
    dictionary = HaplotypeDictionary(demo_cohort, WINDOW)
    strands = set()
    for place in demo_cohort.genes:
        dosages = demo_cohort.dosages(place.gene, WINDOW).dosage
        without, carriers = (dosages == 0).all(axis=1).nonzero()[0], (dosages == 2).any(axis=1).nonzero()[0]
        if place.strand in strands or not len(without) or not len(carriers):
            continue
        strands.add(place.strand)
        gene = dictionary.gene(place.gene)
        of = {who: gene.codes(gene.index[who]) for who in (without[0], carriers[0])}
        # in one batch of the same size: another may add up in another order
        reference = model(torch.tensor(gene.reference).expand(2, -1))
        homozygous = model(torch.from_numpy(of[without[0]]))
        assert torch.equal(homozygous, reference)
        assert not torch.equal(model(torch.from_numpy(of[carriers[0]])), reference)
    assert strands == {"+", "-"}
