"""A split that is given to `predict` may not make test people of those that the model has learnt from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_fakes import (
    GENES,
    PEOPLE,
    WINDOW,
    FakeCohort,
    FakeSource,
    make_split,
    make_values,
    run_training,
)

from glm2x.cohort.split import Split
from glm2x.errors import DataError
from glm2x.training import predict as predict_module
from glm2x.training import tabulate
from glm2x.training.runfolder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Trained on g0 and g1 in the personal phase, and on the reference of g0, g1 and g2."""
    folder = tmp_path_factory.mktemp("tabulate")
    (folder / "list").write_text("g0\ng1\n")
    split = make_split(seen=GENES[:3], unseen=GENES[3:], reference_validation=("g2",))
    return run_training(folder / "run", split=split, genes__personal=str(folder / "list"))


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cohort(FakeCohort):
        genes = GENES

    monkeypatch.setattr(predict_module, "HaplotypeDictionary", lambda cohort, window: FakeSource(window))
    monkeypatch.setattr(tabulate, "make_target", lambda cohort, split, mode, keep: make_values())
    monkeypatch.setattr(FakeCohort, "genes", GENES, raising=False)


def table(checkpoint: Path, split: Split | None = None) -> Any:
    return tabulate.predictions_of(checkpoint, FakeCohort(), split=split, device="cpu")


def test_the_model_s_own_split_is_the_default(run: RunFolder) -> None:
    made = table(run.checkpoint)
    assert made.metadata.split_digest == Split.load(run.checkpoint / "split.json").digest
    assert made.metadata.window == WINDOW
    assert set(made.frame["train_individuals"]) == {9}
    assert made.frame["draw"].null_count() == made.frame.height
    tested = made.frame.filter(individual_split="test")["individual"].unique().to_list()
    assert sorted(tested) == list(PEOPLE[9:])


def test_the_covariates_of_residuals_are_told(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(run.checkpoint).metadata.covariates is None
    made = replace(make_values(), covariates=("PC1",))
    monkeypatch.setattr(tabulate, "make_target", lambda cohort, split, mode, keep: made)
    assert table(run.checkpoint).metadata.covariates == ("PC1",)


@pytest.mark.parametrize(("kept", "told"), [(["b", "a"], ("a", "b")), (None, None)])
def test_in_another_cohort_the_covariates_are_those_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[str] | None, told: tuple[str, ...] | None
) -> None:
    checkpoint = run_training(tmp_path / "run", target="residual", covariates_keep=kept).checkpoint
    monkeypatch.setattr(FakeCohort, "digest", "d" * 64)
    made = table(checkpoint)
    assert made.metadata.covariates == told
    assert made.frame["observed"].null_count() == made.frame.height


def test_the_draw_is_the_one_that_was_trained_on(tmp_path: Path) -> None:
    base = make_split()
    draw = replace(base, train=base.train[:3], draw=2, base_digest=base.digest)
    checkpoint = run_training(tmp_path / "run", split=draw).checkpoint
    for given in (None, base):
        made = table(checkpoint, given)
        assert set(made.frame["draw"]) == {2}
        assert set(made.frame["train_individuals"]) == {6}
        assert made.metadata.family == base.digest


def test_another_split_whose_test_side_is_untouched_is_taken(run: RunFolder) -> None:
    split = make_split(train=PEOPLE[3:9], validation=PEOPLE[:3], seen=GENES[:3], unseen=GENES[3:], seed=1)
    made = table(run.checkpoint, split)
    assert made.metadata.split_digest == split.digest
    assert np.isfinite(made.frame["predicted"].to_numpy()).all()


@pytest.mark.parametrize(
    ("split", "got"),
    [
        (
            {"train": PEOPLE[6:], "validation": (), "test": PEOPLE[:6]},
            "6 test individuals: p00, p01, p02, ...",
        ),
        ({"validation": (), "test": PEOPLE[8:]}, "1 test individuals: p08"),
        ({"seen": ("g1", "g2"), "unseen": ("g0",)}, "1 unseen genes: g0"),
        ({"seen": ("g0", "g1"), "unseen": ("g2",)}, "1 unseen genes: g2"),  # validated on, a phase before
    ],
)
def test_a_split_that_tests_what_the_model_has_learnt_from_is_refused(
    run: RunFolder, split: dict[str, Any], got: str
) -> None:
    with pytest.raises(DataError, match="the model was trained or validated with test individuals") as error:
        table(run.checkpoint, make_split(**split))
    assert error.value.got == got
    assert error.value.where == str(run.checkpoint)


def test_what_an_ancestor_has_learnt_from_is_refused(run: RunFolder, tmp_path: Path) -> None:
    narrow = make_split(
        train=PEOPLE[:2], validation=(), test=PEOPLE[9:], seen=("g1",), reference_validation=()
    )
    child = run_training(
        tmp_path / "child", strategy="personal", start_from=str(run.checkpoint), split=narrow
    )
    with pytest.raises(DataError, match="trained or validated with test individuals") as error:
        table(child.checkpoint, make_split(validation=(), test=PEOPLE[7:], seen=("g1",), unseen=("g0",)))
    assert error.value.got == "2 test individuals: p07, p08; 1 unseen genes: g0"
