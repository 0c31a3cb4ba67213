from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alphagenome_checkpoints import SIZES, small_alphagenome, write_alphagenome
from glm2x.backbones import alphagenome as module
from glm2x.backbones.alphagenome import OFFICIAL, ORGANISMS, AlphaGenome, build
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from s2f_checkpoints import write_hub_cache

pytest.importorskip("alphagenome_pt", reason="needs the extra alphagenome")

WINDOW = 2048


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alphagenome") / "weights"
    write_alphagenome(folder)
    return folder


@pytest.fixture
def model(folder: Path) -> AlphaGenome:
    return load(folder)


def load(folder: Path, window: int = WINDOW) -> AlphaGenome:
    return build(window, BackboneConfig(name="alphagenome", weights=str(folder))).eval()


def sequences(count: int = 2, length: int = WINDOW) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def library_tokens(codes: Tensor, dtype_policy: str = "float32") -> Tensor:
    """Return what the whole library model says of letters, for humans, 5 bins to each side of the middle."""
    letters = ["".join("ACGTN"[code] for code in row) for row in codes.tolist()]
    embedding = small_alphagenome(dtype_policy=dtype_policy).embed(letters, organism_index=1).embeddings_128bp
    middle = embedding.shape[1] // 2
    return embedding[:, middle - 5 : middle + 5]


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(4096, 2048), (2048, 8192, 2048)], ids=str)
def test_the_library_s_own_embeddings(model: AlphaGenome, lengths: tuple[int, ...]) -> None:
    for length in lengths:
        codes = sequences(length=length)
        expected = library_tokens(codes)
        assert expected.std(dim=1).mean() > 1e-2
        torch.testing.assert_close(model(codes), expected)


@torch.no_grad()
def test_under_autocast_the_library_s_own_mixture(model: AlphaGenome) -> None:
    expected = library_tokens(sequences(), dtype_policy="deepmind")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(sequences())
    assert torch.equal(rough.to(expected.dtype), expected)
    exact = model(sequences())
    assert 0 < (rough - exact).norm() < 0.1 * exact.norm()


def test_tokens_are_ten_bins_wherever_it_came_from(model: AlphaGenome, folder: Path) -> None:
    assert model(sequences()).shape == (2, model.tokens(WINDOW), model.width) == (2, 10, 48)
    architecture = model.spec["architecture"]
    assert architecture.items() >= SIZES.items()
    assert architecture["organisms"] == ["mouse", "human"]
    assert (model.spec["weights"], model.spec["revision"]) == (str(folder), None)


def test_a_saved_one_is_built_again_without_its_weights(model: AlphaGenome) -> None:
    spec = json.loads(json.dumps(model.spec))
    again = build(WINDOW, BackboneConfig(name="alphagenome", weights="no such folder"), spec)
    again.load_state_dict(model.state_dict())
    assert again.spec == spec
    assert torch.equal(again.eval()(sequences()), model(sequences()))


@pytest.mark.parametrize(
    ("window", "do"), [(1024, "2048"), (64_000, "8192"), (5000, "4096 or 6144"), (10_240, "8192")]
)
def test_windows_that_it_refuses(model: AlphaGenome, window: int, do: str) -> None:
    with pytest.raises(UsageError, match=f"no window of {window} bp") as error:
        model.tokens(window)
    assert error.value.do == f"window: {do}"
    assert error.value.wanted == "a multiple of 2048, at most 8192"
    with pytest.raises(UsageError):
        model(torch.zeros(1, window, dtype=torch.uint8))


@torch.no_grad()
@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_person_homozygous_for_the_reference_is_the_reference(
    model: AlphaGenome, demo_cohort: Cohort, strand: str
) -> None:
    dictionary = HaplotypeDictionary(demo_cohort, WINDOW)
    for place in demo_cohort.genes:
        gene = dictionary.gene(place.gene)
        carries = (gene.codes() != gene.reference).any(axis=1)[gene.index]  # people x 2
        if place.strand == strand and not carries.all(axis=1).all() and carries.all(axis=1).any():
            break
    else:
        pytest.fail("no such gene")
    person = int((~carries).all(axis=1).argmax())
    assert not carries[person].any()
    reference = model(torch.from_numpy(gene.reference.copy())[None])
    for row in gene.index[person]:
        assert torch.equal(model(torch.from_numpy(gene.codes([row]))), reference)
    other = gene.index[int(carries.all(axis=1).argmax()), 0]
    assert not torch.equal(model(torch.from_numpy(gene.codes([other]))), reference)


def test_every_parameter_is_in_one_stage_and_used(model: AlphaGenome) -> None:
    own = [id(p) for stage in model.stages() for p in stage.parameters()]
    assert sorted(own) == sorted(id(p) for p in model.parameters())
    assert len(model.stages()) == 7 + SIZES["transformer_layers"] + 1
    model(sequences()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_stages_are_in_the_order_of_the_computation(model: AlphaGenome) -> None:
    order = {id(part): n for n, stage in enumerate(model.stages()) for part in stage.modules()}
    heard: list[int] = []
    for part in model.modules():
        if list(part.parameters(recurse=False)):
            part.register_forward_hook(lambda part, *_: heard.append(order[id(part)]))
    model(sequences())
    assert heard == sorted(heard)
    assert set(heard) == set(range(len(model.stages())))


@pytest.mark.parametrize("precision", ["float32", "autocast"])
@pytest.mark.parametrize("freeze", [None, 2], ids=["whole", "last 2"])
def test_activation_checkpointing_changes_nothing(
    model: AlphaGenome, freeze: int | None, precision: str
) -> None:
    results = []
    for checkpointing in (False, True):
        one = copy.deepcopy(model)
        one.freeze(freeze)
        one.train()
        one.activation_checkpointing = checkpointing
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "autocast"):
            tokens = one(sequences())
        (tokens * torch.linspace(-1, 1, 48)).sum().backward()
        gradients = {name: p.grad for name, p in one.named_parameters() if p.grad is not None}
        results.append((tokens.detach(), gradients, dict(one.named_buffers())))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)
    before = dict(model.named_buffers())
    moved = {name for name, buffer in results[1][2].items() if not torch.equal(buffer, before[name])}
    assert moved == {name for name in before if freeze is None or _is_last(name)}


def _is_last(name: str) -> bool:
    return name.startswith(
        ("model.output_t.", f"model.transformer_tower.blocks.{SIZES['transformer_layers'] - 1}.")
    )


def test_normalisation_over_the_batch(model: AlphaGenome) -> None:
    """What the class says of people and haplotypes: alike in evaluation, not in training unless frozen."""
    codes = sequences(2)
    people, rows = codes[[0, 0, 0, 1]], [0, 0, 0, 1]
    torch.testing.assert_close(model(people), model(codes)[rows], rtol=1e-4, atol=1e-5)
    model.train()
    assert (model(people) - model(codes)[rows]).abs().max() > 1e-3
    model.freeze("trunk")
    torch.testing.assert_close(model(people), model(codes)[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["folder", "hub"])
def test_the_official_file_is_read_as_it_lies_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It has no config.json: the sizes are the library's, here small ones."""
    import alphagenome_pt

    commit = "c" * 40
    folder = tmp_path / "weights"
    config = BackboneConfig(name="alphagenome", weights=str(folder))
    if place == "hub":
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        folder = write_hub_cache(tmp_path, OFFICIAL, commit)
        config = BackboneConfig(name="alphagenome")
    (folder / "v1.0.0").mkdir(parents=True)
    official = small_alphagenome(organisms=("human", "mouse"))
    save_file(official.state_dict(), folder / "v1.0.0/alphagenome_all_folds.safetensors")

    def small_config(metadata: dict[str, Any]) -> Any:
        assert metadata == {"organisms": ORGANISMS, "heads": {}}
        return alphagenome_pt.AlphaGenomeConfig(**SIZES, metadata=metadata)

    monkeypatch.setattr(alphagenome_pt, "deepmind_config", small_config)
    ours = build(WINDOW, config).eval()
    assert ours.spec["architecture"]["organisms"] == ["human", "mouse"]
    source = (OFFICIAL, commit) if place == "hub" else (str(folder), None)
    assert (ours.spec["weights"], ours.spec["revision"]) == source
    one_hot = torch.nn.functional.one_hot(sequences().long(), 5)[..., :4].float()
    expected = official.embed(one_hot, organism_index=0).embeddings_128bp[:, 3:13]
    torch.testing.assert_close(ours(sequences()), expected)
    other = official.embed(one_hot, organism_index=1).embeddings_128bp[:, 3:13]
    assert not torch.allclose(expected, other)


def test_weights_of_a_model_without_humans_are_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "metadata.json").unlink()
    (tmp_path / "metadata.json").write_text(json.dumps({"organisms": ["mouse", "dragon"]}))
    with pytest.raises(DataError, match="no human") as error:
        load(tmp_path)
    assert error.value.got == "organisms mouse, dragon"
    (tmp_path / "metadata.json").write_text(json.dumps({"organisms": 2}))
    with pytest.raises(DataError, match="name no organisms"):
        load(tmp_path)


def test_unknown_tensors_are_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    state = load_file(folder / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    save_file(state | {"transformer_tower.more": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="not those of this architecture") as error:
        load(tmp_path)
    assert "transformer_tower.more" in error.value.got


def test_a_folder_without_weights_names_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold pretrained weights") as error:
        load(tmp_path)
    assert "v1.0.0/alphagenome_all_folds.safetensors" in error.value.wanted


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alphagenome_pt", None)
    with pytest.raises(UsageError, match="needs the package alphagenome-pt") as error:
        build(WINDOW, BackboneConfig(name="alphagenome"))
    assert error.value.do == "pip install 'glm2x[alphagenome]'"


def test_the_official_size() -> None:
    config = module._library().deepmind_config(metadata={"organisms": ORGANISMS, "heads": {}}).to_dict()
    with torch.device("meta"):
        model = AlphaGenome(config | {"organisms": ORGANISMS}, 65_536)
    assert model.width == 3072
    assert sum(parameter.numel() for parameter in model.parameters()) == 286_511_104
    assert len(model.stages()) == 17
    assert model.tokens(1_048_576) == 10
