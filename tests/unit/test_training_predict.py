from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fakes import GENES, FakeCohort, FakeSource, make_split, run_training

from glm2x.backbones import base as base_module
from glm2x.backbones.onehot import OneHot
from glm2x.config import TrainConfig
from glm2x.errors import DataError, UsageError
from glm2x.training import inference
from glm2x.training.checkpoint import load_checkpoint, save_checkpoint
from glm2x.training.inputs import Codes
from glm2x.training.model import ExpressionModel, build_model
from glm2x.training.predict import load_model, predict, predict_reference
from glm2x.training.runfolder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_training(tmp_path_factory.mktemp("predict") / "run")


def ask(run: RunFolder, source: FakeSource | None = None, **which: object) -> np.ndarray:
    return predict(run.checkpoint, FakeCohort(), source=source or FakeSource(), device="cpu", **which)


def test_a_person_is_the_mean_of_the_model_s_outputs_for_both_haplotypes(run: RunFolder) -> None:
    source = FakeSource()
    model, _ = load_model(run.checkpoint)
    predicted = ask(run)
    assert predicted.shape == (4, 12)
    for g, name in enumerate(GENES):
        gene = source.gene(name)
        with torch.no_grad():
            each = model.predict_haplotypes(torch.from_numpy(gene.haplotypes)).numpy()
        np.testing.assert_allclose(predicted[g], each[gene.index].mean(axis=1), rtol=1e-5)


def test_each_unique_haplotype_is_asked_for_once(run: RunFolder) -> None:
    source = FakeSource()
    ask(run, source)
    for gene in source.genes.values():
        assert gene.asked == [np.unique(gene.index).tolist()]


def test_who_else_is_asked_for_does_not_matter(run: RunFolder) -> None:
    every = ask(run)
    some = ask(run, genes=["ENSG00000000003.7", "g0"], individuals=["p11", "p02"])
    np.testing.assert_allclose(some, every[[3, 0]][:, [11, 2]], rtol=1e-6)


def test_parts_do_not_matter(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    every = ask(run)
    monkeypatch.setattr(OneHot, "windows_at_once", 1)
    monkeypatch.setattr(base_module, "WINDOW", 1)
    np.testing.assert_allclose(ask(run), every, rtol=1e-6)


def test_codes_are_made_part_by_part(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneHot, "windows_at_once", 2)
    monkeypatch.setattr(base_module, "WINDOW", 512)
    source = FakeSource()
    ask(run, source)
    for gene in source.genes.values():
        rows = np.unique(gene.index).tolist()
        assert gene.asked == [rows[start : start + 2] for start in range(0, len(rows), 2)]


def test_swapping_the_haplotypes_changes_nothing(run: RunFolder) -> None:
    swapped = FakeSource()
    for gene in swapped.genes.values():
        gene.index = gene.index[:, ::-1]
    assert np.array_equal(ask(run, swapped), ask(run))


def test_a_model_of_one_haplotype_predicts_from_that_one(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", haplotypes=2)
    changed = FakeSource()
    for gene in changed.genes.values():
        gene.index[:, 0] = 0
    assert np.array_equal(ask(run, changed), ask(run))
    for gene in changed.genes.values():
        gene.index[:, 1] = 0
    assert not np.array_equal(ask(run, changed), ask(run))


def test_the_reference_windows(run: RunFolder) -> None:
    source = FakeSource()
    predicted = predict_reference(run.checkpoint, FakeCohort(), source=source, device="cpu")
    model, _ = load_model(run.checkpoint)
    windows = torch.from_numpy(np.stack([source.gene(gene).reference for gene in GENES]))
    with torch.no_grad():
        np.testing.assert_allclose(predicted, model.predict_haplotypes(windows).numpy(), rtol=1e-5)
    some = predict_reference(run.checkpoint, FakeCohort(), ["g2"], source=source, device="cpu")
    np.testing.assert_allclose(some, predicted[[2]], rtol=1e-6)


def test_loading_leaves_the_random_state_and_evaluation_mode(run: RunFolder) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    model, _ = load_model(run.checkpoint)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not model.training


def test_haplotypes_of_another_window_are_refused(run: RunFolder) -> None:
    with pytest.raises(DataError, match="of another window than the model's") as error:
        ask(run, FakeSource(window=1024))
    assert (error.value.got, error.value.wanted) == ("1024 bp", "512 bp")


def test_weights_of_another_model_are_refused(run: RunFolder, tmp_path: Path) -> None:
    """The checkpoint's configuration says attention-pool, its weights are a position-pool's."""
    checkpoint = load_checkpoint(run.checkpoint)
    config = checkpoint.config.model_copy(
        update={"head": checkpoint.config.head.model_copy(update={"name": "attention-pool"})}
    )
    model = build_model(checkpoint.config)
    save_checkpoint(tmp_path / "mixed", model, config, make_split(), checkpoint.state, checkpoint.metadata)
    with pytest.raises(DataError, match=r"does not fit the model: head\.bias differs") as error:
        load_model(tmp_path / "mixed")
    assert error.value.wanted == "no such tensor"


def test_a_device_that_is_not_there_is_named(run: RunFolder) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="no cuda device"):
        predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cuda")


def test_progress_counts_genes(run: RunFolder) -> None:
    from contextlib import contextmanager

    counted = []

    class Bar:
        def advance(self, n: int = 1, message: str = "") -> None:
            counted.append((n, message))

    @contextmanager
    def progress(label: str, total: int, unit: str = ""):
        counted.append((total, label))
        yield Bar()

    ask(run, progress=progress)
    assert counted == [(4, "predict"), *((1, gene) for gene in GENES)]


@pytest.mark.parametrize("window", [10**15, 10**30, 2])
def test_a_configuration_that_the_weights_do_not_fit_costs_no_memory(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    """A window of 10^15 bp would have a position-pool of 750 TB."""
    checkpoint = load_checkpoint(run.checkpoint)
    model = build_model(checkpoint.config)
    config = checkpoint.config.model_copy(update={"window": window})
    metadata = replace(checkpoint.metadata, window=window)
    save_checkpoint(tmp_path / "huge", model, config, make_split(), checkpoint.state, metadata)
    built = []

    def build(config: TrainConfig, spec: object) -> ExpressionModel:
        built.append(torch.empty(1).device.type)
        return build_model(config, spec)

    monkeypatch.setattr("glm2x.training.possible.build_model", build)
    with pytest.raises(DataError, match=r"does not fit the model: head\.weight|makes no model"):
        load_model(tmp_path / "huge")
    assert built == ["meta"]


def test_a_gpu_without_float64_predicts() -> None:
    """mps has no float64: numbers are made double on the CPU."""

    class Mps(torch.Tensor):
        def double(self) -> torch.Tensor:
            raise TypeError("Cannot convert a MPS Tensor to float64")

        def cpu(self) -> torch.Tensor:
            return self.as_subclass(torch.Tensor)

    def forward(inputs: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return inputs.sum(dim=1).float().as_subclass(Mps)

    source = FakeSource()
    gene, inputs = source.gene("g0"), Codes(source)
    predicted = inference.predict_gene(forward, inputs, "g0", np.arange(3), (0,), torch.device("cpu"))
    expected = gene.haplotypes.sum(axis=1)[gene.index[:3, 0]]
    assert predicted.dtype == np.float64
    assert predicted.tolist() == expected.tolist()
