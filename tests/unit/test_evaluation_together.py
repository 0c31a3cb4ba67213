"""Tables of several origins as one: what is the same stands once, what differs is told apart."""

from __future__ import annotations

import polars as pl
import pytest

from glm2x.errors import UsageError
from glm2x.evaluation.tables import is_baseline
from glm2x.evaluation.together import Origin, Together, put_together
from glm2x.predictions import COLUMNS, PredictionMetadata, Predictions, validate

PEOPLE = ("ann", "bob")


def origin(
    name: str,
    values: tuple[float, ...],
    *,
    model: str = "onehot",
    strategy: str | None = "personal",
    seed: int = 0,
    setting: str | None = None,
    people: tuple[str, ...] = PEOPLE,
    observed: tuple[float | None, ...] = (1.0, 2.0),
    metadata: PredictionMetadata | None = None,
) -> Origin:
    """Return a table of one gene."""
    frame = pl.DataFrame(
        {
            "model": model,
            "strategy": pl.Series([strategy] * len(people), dtype=pl.String),
            "gene": "g1",
            "individual": list(people),
            "observed": pl.Series(observed[: len(people)], dtype=pl.Float64),
            "predicted": list(values),
            "gene_split": None,
            "individual_split": None,
            "seed": seed,
            "train_individuals": None,
            "draw": None,
        },
        schema_overrides=dict(COLUMNS),
    )
    said = metadata or PredictionMetadata(target="log")
    return Origin(name, Predictions(frame, said, ((f"{name}.parquet", said),)), setting)


def rows(together: Together) -> set[tuple[str, int, str, float]]:
    validate(together.predictions.frame, where="the joint table")
    return set(together.predictions.frame.select("model", "seed", "individual", "predicted").rows())


def test_the_same_rows_stand_once_and_it_is_said() -> None:
    found = put_together([origin("a", (1, 2)), origin("b", (1, 2))])
    assert rows(found) == {("onehot", 0, "ann", 1.0), ("onehot", 0, "bob", 2.0)}
    assert found.notes == ("the same predictions stand in a, b and are taken once: onehot",)
    assert [name for name, _ in found.predictions.sources] == ["a.parquet", "b.parquet"]


def test_other_numbers_are_told_apart_by_their_origin() -> None:
    found = put_together([origin("a", (1, 2)), origin("b", (1, 2.5))])
    assert {model for model, *_ in rows(found)} == {"onehot (a)", "onehot (b)"}
    assert found.notes == (
        "onehot personal stands for several, which are told apart: onehot (a), onehot (b)",
    )


def test_another_measurement_is_another_row_too() -> None:
    found = put_together([origin("a", (1, 2)), origin("b", (1, 2), observed=(1.0, 3.0))])
    assert {model for model, *_ in rows(found)} == {"onehot (a)", "onehot (b)"}


def test_people_of_both_and_measurements_of_one_are_taken_together() -> None:
    first = origin("a", (1, 2), observed=(None, 2.0))
    found = put_together([first, origin("b", (1, 7), people=("ann", "cy"), observed=(5.0, 6.0))])
    assert rows(found) == {
        ("onehot", 0, person, value) for person, value in (("ann", 1), ("bob", 2), ("cy", 7))
    }
    measured = dict(found.predictions.frame.select("individual", "observed").iter_rows())
    assert measured == {"ann": 5.0, "bob": 2.0, "cy": 6.0}


def test_runs_of_one_setting_are_seeds_of_one_model() -> None:
    found = put_together([origin("a0", (1, 2), setting="x"), origin("a1", (3, 4), seed=1, setting="x")])
    assert {row[:2] for row in rows(found)} == {("onehot", 0), ("onehot", 1)}
    assert found.models == {"a0": "onehot", "a1": "onehot"}
    assert found.notes == ()


def test_runs_of_two_settings_are_never_taken_for_seeds() -> None:
    found = put_together(
        [
            origin("a0", (1, 2), setting="x"),
            origin("b1", (3, 4), seed=1, setting="y"),
            origin("a1", (5, 6), seed=1, setting="x"),
        ]
    )
    assert {row[:2] for row in rows(found)} == {("onehot (a0)", 0), ("onehot (a0)", 1), ("onehot (b1)", 1)}
    assert found.models == {"a0": "onehot (a0)", "b1": "onehot (b1)", "a1": "onehot (a0)"}


def test_another_strategy_needs_no_other_name() -> None:
    found = put_together(
        [origin("a", (1, 2), setting="x"), origin("b", (3, 4), strategy="reference", setting="y")]
    )
    assert {model for model, *_ in rows(found)} == {"onehot"}


def test_of_a_baseline_that_differs_the_first_keeps_its_name() -> None:
    options = {"model": "ridge", "strategy": None}
    found = put_together([origin("a", (1, 2), **options), origin("b", (3, 4), **options)])  # type: ignore[arg-type]
    assert rows(found) == {
        ("ridge", 0, "ann", 1.0),
        ("ridge", 0, "bob", 2.0),
        ("ridge (b)", 0, "ann", 3.0),
        ("ridge (b)", 0, "bob", 4.0),
    }
    assert found.notes == ("ridge stands for several, which are told apart: ridge (of a), ridge (b)",)
    assert is_baseline("ridge (b)")
    assert not is_baseline("ridges")


def test_a_control_that_two_files_tell_of_is_told_once() -> None:
    said = PredictionMetadata(target="log", permuted=(("ridge", (0.0, 0.1)),))
    found = put_together([origin("a", (1, 2), metadata=said), origin("b", (1, 2), metadata=said)])
    assert [each.permuted for _, each in found.predictions.sources] == [said.permuted, None]


def test_other_targets_are_refused() -> None:
    other = origin("b", (1, 2), metadata=PredictionMetadata(target="residual"))
    with pytest.raises(UsageError, match="different target modes") as caught:
        put_together([origin("a", (1, 2)), other])
    assert caught.value.got == "a: log; b: residual"
