from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from training_fakes import (
    GENES,
    PEOPLE,
    FakeCohort,
    FakeSource,
    make_config,
    make_split,
    make_values,
    run_training,
)

from glm2x.errors import DataError, UsageError
from glm2x.training import loop
from glm2x.training.checkpoint import load_checkpoint
from glm2x.training.predict import predict
from glm2x.training.run import train
from glm2x.training.runfolder import RunFolder


def predictions(run: RunFolder) -> np.ndarray:
    return predict(run.checkpoint, FakeCohort(), source=FakeSource(), device="cpu")


def parameters(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_training(tmp_path_factory.mktemp("first") / "run", training__epochs=1)


def test_a_run_folder_holds_what_it_promises(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run")
    assert load_checkpoint(run.checkpoint).config == make_config(tmp_path / "run")
    assert run.config.read_text() == (run.checkpoint / "config.yml").read_text()
    for phase in ("reference", "personal"):
        last = load_checkpoint(run.phase(phase) / "last")
        best = load_checkpoint(run.phase(phase) / "best")
        losses = [e["validation_loss"] for e in run.read_history() if e["phase"] == phase]
        assert len(losses) == 3
        assert last.state.epoch == 3
        chosen = 1 + int(np.argmin(losses))
        assert best.state.epoch == best.state.best_epoch == last.state.best_epoch == chosen
        assert best.state.best == last.state.best == min(losses)
        assert (best.optimizer, last.optimizer is None) == (None, False)
    assert load_checkpoint(run.checkpoint).state == load_checkpoint(run.phase("personal") / "best").state
    assert (run.checkpoint / "history.jsonl").read_text() == run.history.read_text()


def test_run_json_says_what_happened(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run")
    facts = run.facts()
    assert facts["done"] is True
    assert facts["device"] == "cpu"
    assert facts["parameters"] == facts["parameters_trained"]
    assert facts["counts"]["personal"]["train_samples"] == 23
    assert facts["cohort_digest"] == FakeCohort.digest
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["seconds"] == pytest.approx(sum(e["seconds"] for e in run.read_history()), abs=1e-3)


def test_metadata_names_whom_and_what_was_trained_on_or_validated_with(tmp_path: Path) -> None:
    run = run_training(
        tmp_path / "run", split=make_split(seen=("g0", "g2", "g1"), unseen=("ENSG00000000003.7",))
    )
    metadata = load_checkpoint(run.checkpoint).metadata
    assert metadata.genes == ("g0", "g1", "g2")
    assert metadata.individuals_touched == PEOPLE[:9]
    assert (metadata.head, metadata.window, metadata.target) == ("position-pool", 512, "log")
    reference = load_checkpoint(run.phase("reference") / "last").metadata
    assert reference.genes == ("g0", "g1", "g2")
    assert reference.individuals_touched == PEOPLE[:6]


def test_people_are_counted_as_baselines_count_them(tmp_path: Path) -> None:
    """Validation people choose the epoch, and baselines fit on them: six and three are nine for both."""
    for strategy in ("reference", "personal"):
        run = run_training(tmp_path / strategy, strategy=strategy, training__epochs=1)
        assert load_checkpoint(run.checkpoint).metadata.train_individuals == 9


def test_the_history_has_every_epoch_and_its_learning_rate(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", training__reference={"epochs": 2, "learning_rate": 0.01})
    history = run.read_history()
    assert [(e["phase"], e["epoch"]) for e in history] == [
        *(("reference", e) for e in (1, 2)),
        *(("personal", e) for e in (1, 2, 3)),
    ]
    assert history[0]["learning_rate"] == 0.01
    assert history[1]["learning_rate"] == pytest.approx(0.01 * 0.55)
    assert history[2]["learning_rate"] == 1e-3
    assert history[2]["validation_pearson"] is not None


def test_without_validation_there_is_only_last(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", split=make_split(validation=(), reference_validation=()))
    for phase in ("reference", "personal"):
        assert [p.name for p in run.phase(phase).iterdir()] == ["last"]
    assert {e["validation_loss"] for e in run.read_history()} == {None}
    assert load_checkpoint(run.checkpoint).state == load_checkpoint(run.phase("personal") / "last").state


def test_the_personal_phase_goes_on_from_the_best_of_the_reference_phase(tmp_path: Path) -> None:
    """With a personal learning rate of nearly nothing its weights stay the reference phase's best."""
    run = run_training(
        tmp_path / "run",
        training__learning_rate=1e-30,
        training__reference={"learning_rate": 0.1, "epochs": 6},
    )
    best, last = (parameters(run.phase("reference") / name) for name in ("best", "last"))
    assert load_checkpoint(run.phase("reference") / "best").state.epoch < 6, "the test needs best != last"
    result = parameters(run.checkpoint)
    assert all(torch.allclose(best[name], result[name], rtol=0, atol=1e-20) for name in best)
    assert not all(torch.allclose(last[name], result[name], rtol=0, atol=1e-20) for name in last)


def test_personal_alone_starts_from_scratch_at_the_mean_of_its_targets(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", strategy="personal", training__learning_rate=1e-30)
    assert [p.name for p in (run.path / "phases").iterdir()] == ["personal"]
    values = make_values().values[:, :6]
    assert parameters(run.checkpoint)["head.bias"].item() == pytest.approx(np.nanmean(values), rel=1e-6)


def test_it_learns(tmp_path: Path) -> None:
    run = run_training(
        tmp_path / "run",
        strategy="personal",
        training__epochs=20,
        training__sampler="gene",
        training__batch_size=None,
        training__batch="haplotypes",
        training__learning_rate=0.01,
        loss={"kind": "mean-difference", "pairwise": "none"},
    )
    history = run.read_history()
    assert history[-1]["train_loss"] < 0.2 * history[0]["train_loss"]
    predicted, observed = predictions(run)[:, :6], make_values().values[:, :6]
    measured = ~np.isnan(observed)
    assert np.corrcoef(predicted[measured], observed[measured])[0, 1] > 0.95


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training__batch": "haplotypes", "training__sampler": "gene", "training__batch_size": None},
        {"loss": {"kind": "smooth-l1", "pairwise": "published", "alpha": 0.3}},
        {"haplotypes": 1, "training__optimizer": "adamw", "training__weight_decay": 0.1},
    ],
)
def test_equal_seeds_are_equal_and_others_differ(tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = (predictions(run_training(tmp_path / name, **changes)) for name in ("a", "b"))
    assert np.array_equal(first, second)
    other = predictions(run_training(tmp_path / "c", training__seed=4, **changes))
    assert not np.array_equal(first, other)


def test_start_from_takes_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    first = run_training(tmp_path / "first", strategy="reference")
    changes = {"strategy": "personal", "training__learning_rate": 1e-30}
    second = run_training(tmp_path / "second", start_from=str(first.checkpoint), **changes)
    assert np.array_equal(predictions(first), predictions(second))


def test_what_an_ancestor_has_touched_is_touched(tmp_path: Path) -> None:
    first = run_training(tmp_path / "first", strategy="personal", training__epochs=1)
    other = make_split(
        train=PEOPLE[:2], validation=(), test=PEOPLE[10:], seen=("g1",), reference_validation=()
    )
    second = run_training(tmp_path / "b", start_from=str(first.checkpoint), split=other, training__epochs=1)
    third = run_training(tmp_path / "c", start_from=str(second.checkpoint), split=other, training__epochs=1)
    for run in (second, third):
        metadata = load_checkpoint(run.checkpoint).metadata
        assert metadata.individuals_touched == PEOPLE[:9]
        assert metadata.genes == tuple(sorted(GENES))
        assert metadata.train_individuals == 9


@pytest.mark.parametrize(
    ("split", "got"),
    [
        ({"train": PEOPLE[:5], "test": (PEOPLE[5], *PEOPLE[9:])}, "1 test individuals: p05"),
        ({"validation": (), "test": PEOPLE[6:]}, "3 test individuals: p06, p07, p08"),
        (
            {"train": PEOPLE[8:], "validation": (), "test": PEOPLE[:8]},
            "8 test individuals: p00, p01, p02, ...",
        ),
        ({"seen": GENES[:3], "unseen": ("ENSG00000000003.9",)}, "1 unseen genes: ENSG00000000003.7"),
        (
            {"seen": ("g0", "g1"), "unseen": ("g2",), "validation": (), "test": ("p08",)},
            "1 test individuals: p08; 1 unseen genes: g2",
        ),
    ],
)
def test_start_from_what_has_learnt_from_test_people_or_unseen_genes_is_refused(
    first: RunFolder, tmp_path: Path, split: dict[str, Any], got: str
) -> None:
    with pytest.raises(DataError, match="in start_from was trained or validated with test") as error:
        run_training(tmp_path / "run", start_from=str(first.checkpoint), split=make_split(**split))
    assert error.value.got == got
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "what", "got"),
    [({"target": "residual"}, "target", "log"), ({"window": 1024}, "window", "512 bp")],
)
def test_start_from_another_target_or_window_is_refused(
    first: RunFolder, tmp_path: Path, changes: dict[str, Any], what: str, got: str
) -> None:
    with pytest.raises(DataError, match=f"start_from is of another {what}") as error:
        run_training(tmp_path / "run", start_from=str(first.checkpoint), **changes)
    assert error.value.got == got


def test_start_from_another_model_is_refused(tmp_path: Path) -> None:
    first = run_training(tmp_path / "first", strategy="reference", head__name="attention-pool")
    with pytest.raises(DataError, match="start_from is of another model") as error:
        run_training(tmp_path / "second", start_from=str(first.checkpoint))
    assert error.value.got == "backbone onehot, head attention-pool"
    assert error.value.wanted == "backbone onehot, head position-pool"


def test_a_list_of_genes_is_what_a_phase_trains_on(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("g1\nENSG00000000003\n")
    run = run_training(tmp_path / "run", genes__personal=str(tmp_path / "list"))
    assert run.facts()["counts"]["personal"]["train_genes"] == 2
    assert run.facts()["counts"]["reference"]["train_genes"] == 3
    assert load_checkpoint(run.checkpoint).metadata.genes == ("ENSG00000000003.7", "g0", "g1", "g2")
    alone = run_training(
        tmp_path / "alone", strategy="personal", genes__personal=str(tmp_path / "list"), training__epochs=1
    )
    assert load_checkpoint(alone.checkpoint).metadata.genes == ("ENSG00000000003.7", "g1")


def test_a_split_of_another_cohort_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the split was made for another cohort"):
        run_training(tmp_path / "run", split=make_split(cohort_digest="d" * 64))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("validation", "kind"), [(("g2",), "validation"), ((), "training")])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, validation: Any, kind: str) -> None:
    with pytest.raises(DataError, match=f"the {kind} loss is no longer a finite number") as error:
        run_training(
            tmp_path / "run",
            split=make_split(reference_validation=validation),
            training__learning_rate=1e30,
            training__schedule="constant",
        )
    assert error.value.where.startswith("reference phase, epoch")


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match="no cuda device") as error:
        run_training(tmp_path / "run", training__device="cuda")
    assert "cpu" in error.value.wanted


def test_tensorboard_missing_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="needs the package tensorboard") as error:
        run_training(tmp_path / "run", training__tensorboard=True)
    assert 'pip install "glm2x[tensorboard]"' in error.value.do


def test_tensorboard_gets_every_epoch_and_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, list[Any]] = {}

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            self.events = written.setdefault(Path(folder).name, [purge_step])

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            self.events.append((name, epoch))

        def flush(self) -> None:
            self.events.append("flushed")

        def close(self) -> None:
            self.events.append("closed")

    module = SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    split = make_split(validation=(), reference_validation=())
    run = run_training(tmp_path / "run", split=split, training__tensorboard=True, training__epochs=2)
    assert run.facts()["done"]
    one = ["train_loss", "learning_rate", "seconds"]
    events = [1, *((n, 1) for n in one), "flushed", *((n, 2) for n in one), "flushed", "closed"]
    assert written == {"reference": events, "personal": events}


def test_gradients_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = []

    class Spy(torch.optim.Adam):
        def step(self, *rest: Any) -> Any:
            gradients = [p.grad.norm() for group in self.param_groups for p in group["params"]]
            norms.append(torch.stack(gradients).norm().item())
            return super().step(*rest)

    monkeypatch.setattr(loop, "Adam", Spy)
    run_training(tmp_path / "free", training__epochs=1)
    assert max(norms) > 0.1
    norms.clear()
    run_training(tmp_path / "clipped", training__epochs=1, training__gradient_clip=0.1)
    assert max(norms) == pytest.approx(0.1, rel=1e-4)


def test_a_one_cycle_changes_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    class Spy(torch.optim.Adam):
        def step(self, *rest: Any) -> Any:
            rates.append(self.param_groups[0]["lr"])
            return super().step(*rest)

    monkeypatch.setattr(loop, "Adam", Spy)
    run_training(tmp_path / "run", strategy="personal", training__schedule="one-cycle")
    assert len(rates) == len(set(rates)) == 18
    assert rates[0] == pytest.approx(1e-5)
    assert rates[-1] < 0.02 * max(rates)


def test_bf16_mixed_runs(tmp_path: Path) -> None:
    run = run_training(tmp_path / "run", training__precision="bf16-mixed", training__epochs=1)
    assert {tensor.dtype for tensor in parameters(run.checkpoint).values()} == {torch.float32}


def test_lightning_is_imported_when_training_starts_and_not_before() -> None:
    code = "import sys, glm2x.training.run, glm2x.training.predict; print('lightning_fabric' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "False"


def test_progress_counts_every_sample_and_reports_every_epoch(tmp_path: Path) -> None:
    from contextlib import contextmanager

    seen: dict[str, list[Any]] = {}

    class Bar:
        def __init__(self, label: str) -> None:
            self.label = label

        def advance(self, n: int = 1, message: str = "") -> None:
            seen[self.label][1] += n
            seen[self.label][2] += [message] if message else []

    @contextmanager
    def progress(label: str, total: int, unit: str = "") -> Any:
        seen[label] = [total, 0, []]
        yield Bar(label)

    run_training(tmp_path / "run", progress=progress)
    assert {label: counts[:2] for label, counts in seen.items()} == {
        "reference phase": [9, 9],  # 3 epochs of 3 genes
        "personal phase": [69, 69],  # 3 epochs of 23 samples
    }
    assert seen["personal phase"][2][1].startswith("epoch 2/3: loss ")


def test_targets_and_haplotypes_come_from_the_cohort_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glm2x.training import run as module

    asked = []

    def make_target(cohort: Any, split: Any, mode: str, keep: Any) -> Any:
        asked.extend([mode, keep])
        return make_values()

    def dictionary(cohort: Any, window: int) -> FakeSource:
        asked.append(window)
        return FakeSource(window)

    monkeypatch.setattr(module, "make_target", make_target)
    monkeypatch.setattr(module, "HaplotypeDictionary", dictionary)
    train(make_config(tmp_path / "run", target="residual", training__epochs=1), FakeCohort(), make_split())
    assert asked == ["residual", None, 512]


def test_a_reference_phase_does_not_look_at_people_s_haplotypes(tmp_path: Path) -> None:
    """Who has which haplotype is costly to find out, and a reference phase has no use for it."""

    class OnlyReference:
        def __init__(self, gene: Any) -> None:
            self.window, self.reference = gene.window, gene.reference

    class Source(FakeSource):
        def gene(self, gene: str) -> Any:
            return OnlyReference(super().gene(gene))

    config = make_config(tmp_path / "run", strategy="reference")
    run = train(config, FakeCohort(), make_split(), target=make_values(), source=Source())
    assert run.facts()["done"]


TOWER = {"head__name": "tower", "window": 146 * 256}  # 146 tokens are the fewest, and leave one


def test_batches_too_small_for_the_head_are_refused_before_training(tmp_path: Path) -> None:
    """Three genes in batches of two leave one reference window; BatchNorm cannot train on one value."""
    with pytest.raises(UsageError, match="reference phase has a batch of too few haplotypes") as error:
        run_training(tmp_path / "run", training__batch_size=2, **TOWER)
    assert error.value.got == "a batch of 1 of 3 samples"
    with pytest.raises(UsageError, match="personal phase has a batch of too few haplotypes"):
        run_training(tmp_path / "run", strategy="personal", training__batch_size=22, haplotypes=1, **TOWER)
    assert not (tmp_path / "run").exists()


def test_a_window_too_short_for_the_head_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave nothing of a window this short"):
        run_training(tmp_path / "run", head__name="tower", window=145 * 256)
    assert not (tmp_path / "run").exists()


def test_a_person_is_two_haplotypes_to_the_head(tmp_path: Path) -> None:
    """22 of 23 samples leave a batch of one person, whose two haplotypes are enough."""
    changes = {"training__batch_size": 22, "training__epochs": 1, "strategy": "personal", **TOWER}
    assert run_training(tmp_path / "run", **changes).facts()["done"]


def test_a_cluster_s_own_variables_do_not_make_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NTASKS": "4", "JOB_NAME": "j", "JOB_ID": "1", "PROCID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    run = run_training(tmp_path / "run", strategy="personal", training__epochs=1)
    assert run.facts()["processes"] == 1


def test_the_first_phase_s_model_is_gone_in_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights and gradients would double what the longer phase needs of a GPU."""
    alive: list[weakref.ref[torch.nn.Module]] = []
    counted = []

    def watched(work: Any, fabric: Any, model: torch.nn.Module, *rest: Any) -> None:
        gc.collect()
        counted.append(sum(one() is not None for one in alive))
        alive.append(weakref.ref(model))
        loop.train_phase(work, fabric, model, *rest)

    monkeypatch.setattr("glm2x.training.run.train_phase", watched)
    run_training(tmp_path / "run", training__epochs=1)
    assert counted == [0, 0]


def test_a_starting_point_whose_backbone_is_not_described_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_training(tmp_path / "first", strategy="reference", training__epochs=1)

    def broken(*_: Any) -> Any:
        raise KeyError("architecture")

    monkeypatch.setattr("glm2x.training.possible.build_model", broken)
    with pytest.raises(DataError, match="makes no model") as caught:
        run_training(tmp_path / "second", start_from=str(first.checkpoint), strategy="personal")
    assert "no key 'architecture'" in str(caught.value)
    assert not (tmp_path / "second").exists()
