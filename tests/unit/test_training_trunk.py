"""What is trained of a pretrained trunk, how its batches are computed, and what a checkpoint says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_norm
from safetensors.torch import load_file
from training_fakes import (
    FakeCohort,
    FakeSource,
    StoppedError,
    make_config,
    make_split,
    make_values,
    run_training,
    stop_after,
)

from glm2x.commands.train import _tell
from glm2x.errors import DataError, UsageError
from glm2x.files import sha256
from glm2x.training import loop
from glm2x.training.batches import Batcher
from glm2x.training.checkpoint import load_checkpoint, save_checkpoint
from glm2x.training.inputs import Codes
from glm2x.training.losses import Loss
from glm2x.training.model import ExpressionModel, build_model
from glm2x.training.parallel import Ranks
from glm2x.training.possible import require_batches
from glm2x.training.predict import load_model, predict
from glm2x.training.runfolder import RunFolder
from glm2x.training.samples import phase_data
from glm2x.training.strategies import phases


@pytest.fixture(autouse=True)
def norm(monkeypatch: pytest.MonkeyPatch) -> None:
    training_norm.register(monkeypatch)
    monkeypatch.setattr(training_norm, "loaded", [])


def of_norm(kind: str, **changes: Any) -> dict[str, Any]:
    return {"backbone": {"name": "norm", "weights": kind}, "training__epochs": 2, **changes}


def last(run: RunFolder, phase: str = "personal") -> dict[str, torch.Tensor]:
    return load_file(run.phase(phase) / "last/model.safetensors")


def changed(run: RunFolder, **changes: Any) -> set[str]:
    """Return which tensors of the last model differ from an untrained model's."""
    torch.manual_seed(0)
    first, trained = last(run, "reference"), last(run)
    return {name for name in first if not torch.equal(first[name], trained[name])}


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[ExpressionModel]:
    """The models of each phase that is trained."""
    seen = []

    def spy(work: Any, fabric: Any, model: ExpressionModel, *rest: Any) -> None:
        seen.append(model)
        loop.train_phase(work, fabric, model, *rest)

    monkeypatch.setattr("glm2x.training.run.train_phase", spy)
    return seen


def test_a_frozen_trunk_stays_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its weights, its BatchNorm's running statistics and its dropout, through Fabric's wrapper."""
    run = run_training(tmp_path / "run", **of_norm("dropout", freeze="trunk"))
    assert changed(run) == {"head.score.weight", "head.output.weight", "head.output.bias"} | (
        {"head.score.bias"} & changed(run)
    )
    optimizer = load_file(run.phase("personal") / "last/optimizer.safetensors")
    assert {int(name.partition(".")[0]) for name in optimizer} == {0, 1, 2, 3}
    assert load_checkpoint(run.checkpoint).metadata.freeze == "trunk"
    facts = run.facts()
    in_trunk = (4 * 32 * 6 + 6 + 12) + (36 + 6 + 12)
    assert (facts["parameters"], facts["parameters_trained"]) == (in_trunk + 14, 14)
    _tell(run, "norm")
    assert f"trained norm: {in_trunk + 14} parameters, 14 of them trained, " in capfd.readouterr().err


def test_the_last_stages_are_trained(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", **of_norm("dropout", freeze=1))
    assert {name.split(".")[1] for name in changed(run) if name.startswith("backbone")} == {"second"}
    assert "backbone.second.1.running_mean" in changed(run)
    whole = run_training(tmp_path / "whole", **of_norm("dropout"))
    assert "backbone.first.1.running_mean" in changed(whole)


@pytest.mark.parametrize("batch", ["people", "haplotypes"])
def test_a_frozen_trunk_computes_each_haplotype_once_and_keeps_no_gradient(
    tmp_path: Path, models: list[ExpressionModel], batch: str
) -> None:
    changes = of_norm("plain", freeze="trunk", training__batch=batch, strategy="personal")
    run_training(tmp_path / "run", training__batch_size=23, **changes)
    (model,) = models
    calls = model.backbone.calls
    source, samples = FakeSource(), make_values().values[:, :6]
    index = {name: gene.index[:6] for name, gene in source.genes.items()}
    unique = sum(
        len(np.unique(people[~np.isnan(values)]))
        for people, values in zip(index.values(), samples, strict=True)
    )
    assert [call for call in calls if call[0] > 5] == [(unique, False)] * 2  # others: validation, by gene
    assert not any(gradient for _, gradient in calls)


def test_a_frozen_trunk_computes_a_bounded_number_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(make_config("out", **of_norm("plain", freeze="trunk")))
    codes = torch.randint(0, 4, (7, 512), dtype=torch.uint8)
    whole = model.predict_haplotypes(codes)
    model.backbone.calls.clear()
    monkeypatch.setattr(model.backbone, "windows_at_once", 1)
    monkeypatch.setattr("glm2x.backbones.base.WINDOW", 3 * 512)
    torch.testing.assert_close(model.predict_haplotypes(codes), whole)
    assert model.backbone.calls == [(3, False), (3, False), (1, False)]


def test_what_cannot_be_frozen_or_checkpointed_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    for changes, message in (
        ({"freeze": "trunk"}, "cannot be frozen so"),
        ({"freeze": 3, **of_norm("plain")}, "cannot be frozen so"),
        ({"training__activation_checkpointing": True}, "knows no activation checkpointing"),
    ):
        with pytest.raises(UsageError, match=message):
            run_training(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_frozen_run_goes_on_frozen(tmp_path: Path) -> None:
    changes = of_norm("dropout", freeze=1)
    whole = run_training(tmp_path / "whole", **changes)
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2 + 8), **changes)
    training_norm.loaded.clear()
    resumed = run_training(tmp_path / "run", resume=True, **changes)
    assert sha256(resumed.phase("personal") / "last/model.safetensors") == sha256(
        whole.phase("personal") / "last/model.safetensors"
    )
    assert training_norm.loaded == [], "the checkpoint holds all that is needed"


def test_start_from_may_free_what_was_frozen(tmp_path: Path) -> None:
    first = run_training(tmp_path / "first", **of_norm("plain", freeze="trunk"))
    training_norm.loaded.clear()
    second = run_training(
        tmp_path / "second", start_from=str(first.checkpoint), strategy="personal", **of_norm("plain")
    )
    assert training_norm.loaded == []
    assert not torch.equal(last(first)["backbone.first.0.weight"], last(second)["backbone.first.0.weight"])


def test_activation_checkpointing_changes_no_gradient(tmp_path: Path, models: list[ExpressionModel]) -> None:
    changes = of_norm("eval-norm")
    plain = run_training(tmp_path / "plain", **changes)
    again = run_training(tmp_path / "again", training__activation_checkpointing=True, **changes)
    assert [model.backbone.activation_checkpointing for model in models] == [False, False, True, True]
    for name, tensor in last(plain).items():
        torch.testing.assert_close(last(again)[name], tensor, rtol=0, atol=1e-6)


SGD = {"training__optimizer": "sgd", "training__schedule": "constant", "training__learning_rate": 0.05}


@pytest.mark.parametrize("k", [2, 3, 4])
def test_accumulated_batches_equal_one_large_one(tmp_path: Path, k: int) -> None:
    """23 samples in batches of 4: the last batch is of 3, and the last group is not complete."""
    changes = of_norm("eval-norm", loss__pairwise="none", **SGD)
    many = run_training(tmp_path / "many", training__accumulate=k, **changes)
    one = run_training(
        tmp_path / "one", training__batch_size=4 * k, training__reference={"batch_size": 4 * k}, **changes
    )
    plain = run_training(tmp_path / "plain", **changes)
    for name, tensor in last(one).items():
        torch.testing.assert_close(last(many)[name], tensor, rtol=0, atol=1e-6)
    difference = max(float((last(plain)[name] - tensor).abs().max()) for name, tensor in last(one).items())
    assert difference > 1e-4
    assert load_checkpoint(many.phase("personal") / "last").state.step == 2 * -(-6 // k)
    assert many.read_history()[-1]["train_loss"] == pytest.approx(one.read_history()[-1]["train_loss"])


def test_pairs_are_those_of_one_batch(tmp_path: Path) -> None:
    changes = of_norm("eval-norm", training__batch_size=1, **SGD)
    with_pairs = run_training(tmp_path / "pairs", training__accumulate=4, loss__alpha=0.5, **changes)
    halved = changes | {"training__learning_rate": 0.025}
    without = run_training(
        tmp_path / "none",
        training__accumulate=4,
        loss__pairwise="none",
        training__reference={"learning_rate": 0.05},
        **halved,
    )
    for name, tensor in last(with_pairs).items():
        torch.testing.assert_close(last(without)[name], tensor, rtol=0, atol=1e-6)


def test_an_accumulated_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    changes = of_norm("dropout", training__accumulate=4, training__optimizer="sgd")
    whole = run_training(tmp_path / "whole", **changes)
    with pytest.raises(StoppedError):
        run_training(tmp_path / "run", progress=stop_after(2 + 9), **changes)
    resumed = run_training(tmp_path / "run", resume=True, **changes)
    for name, tensor in last(whole).items():
        assert torch.equal(last(resumed)[name], tensor), name


def test_people_and_haplotypes_are_one_where_batchnorm_is_in_evaluation_mode(tmp_path: Path) -> None:
    runs = {
        (kind, batch): run_training(tmp_path / kind / batch, **of_norm(kind, training__batch=batch, **SGD))
        for kind in ("eval-norm", "plain")
        for batch in ("people", "haplotypes")
    }
    for name, tensor in last(runs["eval-norm", "people"]).items():
        torch.testing.assert_close(last(runs["eval-norm", "haplotypes"])[name], tensor, rtol=0, atol=1e-5)
    mean = "backbone.first.1.running_mean"  # in training mode: over people, or over different haplotypes
    assert not torch.allclose(
        last(runs["plain", "people"])[mean], last(runs["plain", "haplotypes"])[mean], rtol=1e-3
    )


@pytest.mark.parametrize("frozen", [False, True])
def test_the_head_sees_people_whatever_the_trunk_computes(frozen: bool) -> None:
    samples = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train
    rows = np.arange(12)
    model = build_model(make_config("out", **of_norm("plain"))).eval()
    batches = [
        Batcher(samples, Codes(FakeSource()), (0, 1), unique=unique, trunk_once=frozen).batch(rows)
        for unique in (False, True)
    ]
    seen = [len(batch.inputs if batch.seen is None else batch.seen) for batch in batches]
    assert seen[0] == 24 > seen[1]
    assert len(batches[0].inputs) == (seen[1] if frozen else 24)
    first, second = (model(batch.inputs, batch.index, batch.seen) for batch in batches)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_processes_share_a_batch_and_know_all_of_it(size: int) -> None:
    samples = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train
    rows = np.array([20, 0, 7, 1])
    whole = Batcher(samples, Codes(FakeSource()), (0, 1), unique=True).batch(rows)
    predicted = []
    for rank in range(size):
        part = Batcher(samples, Codes(FakeSource()), (0, 1), unique=True, ranks=Ranks(rank, size)).batch(rows)
        assert torch.equal(part.observed, whole.observed)
        assert len(part.sizes) == size
        assert sum(part.sizes) == 4
        of_part = (part.inputs == 0).sum(dim=1).double()[part.index].mean(dim=1)
        assert len(of_part) == (part.sizes[rank] or part.sizes[0])  # who has none takes part all the same
        predicted.append(of_part[: part.sizes[rank]])
    of_whole = (whole.inputs == 0).sum(dim=1).double()[whole.index].mean(dim=1)
    assert torch.equal(torch.cat(predicted), of_whole)


def test_batches_too_small_for_the_processes_are_refused() -> None:
    config = make_config("out", training__batch_size=4)
    phase = phases(config)[1]
    data = phase_data(phase, FakeCohort(), make_split(), make_values())
    head = torch.nn.Identity()
    require_batches(config, phase, data, head, 4)
    with pytest.raises(UsageError, match="shared by all processes") as error:
        require_batches(config, phase, data, head, 5)
    assert error.value.got == "4 samples for 5 processes"
    head.least_haplotypes = 3
    require_batches(config, phase, data, head, 1)  # the smallest batch is of three people
    with pytest.raises(UsageError, match="too few haplotypes") as error:
        require_batches(config, phase, data, head, 2)
    assert error.value.got == "a batch of 1 of 23 samples in each of 2 processes"


def test_a_checkpoint_predicts_without_the_official_weights(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", **of_norm("plain"))
    training_norm.loaded.clear()
    checkpoint = load_checkpoint(run.checkpoint)
    spec = {"architecture": {"kind": "plain"}, "weights": "fake/norm", "revision": "abc"}
    assert checkpoint.metadata.backbone_spec == spec
    predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu")
    assert training_norm.loaded == []


def test_saved_loaded_and_saved_again_is_the_same_bytes(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", **of_norm("dropout", freeze=1))
    for name in ("last", "best"):
        folder = run.phase("personal") / name
        model, checkpoint = load_model(folder)
        optimizer = None
        if checkpoint.optimizer is not None:
            optimizer = loop.make_optimizer(checkpoint.config.training, 1.0, model)
            checkpoint.load_optimizer_into(optimizer)
        rest = (checkpoint.config, make_split(), checkpoint.state, checkpoint.metadata, optimizer)
        save_checkpoint(tmp_path / name, model, *rest)
        assert len(list(folder.iterdir())) == (5 if optimizer else 4)
        for path in folder.iterdir():
            assert sha256(path) == sha256(tmp_path / name / path.name), path.name


def test_a_checkpoint_of_another_backbone_is_refused(tmp_path: Path) -> None:
    first = run_training(tmp_path / "first", training__epochs=1, head__name="attention-pool")
    with pytest.raises(DataError, match="start_from is of another model") as error:
        run_training(tmp_path / "second", start_from=str(first.checkpoint), **of_norm("plain"))
    assert error.value.got == "backbone onehot, head attention-pool"
    assert error.value.wanted == "backbone norm, head attention-pool"
    assert not (tmp_path / "second").exists()


def test_a_checkpoint_of_an_unknown_backbone_is_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_training(tmp_path / "run", **of_norm("plain", training__epochs=1))
    monkeypatch.undo()
    with pytest.raises(DataError, match="configuration makes no model") as error:
        load_model(run.checkpoint)
    assert error.value.got == "no backbone is called norm"


def test_a_damaged_spec_is_a_data_error(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", **of_norm("plain", training__epochs=1))
    model, checkpoint = load_model(run.checkpoint)
    checkpoint.metadata.backbone_spec["architecture"] = {}
    rest = (checkpoint.config, make_split(), checkpoint.state, checkpoint.metadata)
    save_checkpoint(tmp_path / "damaged", model, *rest)
    with pytest.raises(DataError, match="configuration makes no model"):
        load_model(tmp_path / "damaged")


def test_validation_is_in_the_precision_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def loss(self: Loss, predicted: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return predicted.sum() * 0

    def forward(self: Any, inputs: torch.Tensor) -> torch.Tensor:
        seen.add((torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")))
        return real(self, inputs)

    real = training_norm.Norm.forward
    monkeypatch.setattr(Loss, "__call__", loss)
    monkeypatch.setattr(training_norm.Norm, "forward", forward)
    run_training(tmp_path / "run", **of_norm("plain", training__precision="bf16-mixed"))
    assert seen == {(False, True), (True, True)}
