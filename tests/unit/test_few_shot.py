"""Draws of a few people from one base, and the files they go to."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from glm2x.cohort.few_shot import draw_people, few_shot_files, few_shot_splits, parse_counts
from glm2x.cohort.split import Split
from glm2x.errors import UsageError

BASE = Split(
    train=tuple(f"t{i}" for i in range(80)),
    validation=tuple(f"v{i}" for i in range(20)),
    test=("x", "y"),
    seen=("g1", "g2"),
    unseen=("g3",),
    reference_validation=("g2",),
    preset="few-shot",
    seed=7,
    cohort_digest="c",
    window=8,
    relatives="none",
)


def learnt(split: Split) -> set[str]:
    return {*split.train, *split.validation}


@pytest.mark.parametrize(
    ("count", "train", "validation"), [(1, 1, 0), (10, 8, 2), (12, 10, 2), (99, 79, 20), (100, 80, 20)]
)
def test_the_count_is_of_everybody_who_is_learnt_from(count: int, train: int, validation: int) -> None:
    split = draw_people(BASE, count, 0)
    assert (len(split.train), len(split.validation)) == (train, validation)
    assert set(split.train) <= set(BASE.train)
    assert set(split.validation) <= set(BASE.validation)
    same = ("test", "seen", "unseen", "reference_validation", "window", "cohort_digest", "relatives", "seed")
    assert [getattr(split, name) for name in same] == [getattr(BASE, name) for name in same]
    assert (split.draw, split.base_digest, split.family) == (0, BASE.digest, BASE.digest)


def test_few_are_among_more_and_draws_differ() -> None:
    for draw in range(3):
        sets = [learnt(draw_people(BASE, count, draw)) for count in range(1, 101)]
        assert all(few < more for few, more in pairwise(sets))
    tens = [frozenset(learnt(draw_people(BASE, 10, draw))) for draw in range(5)]
    assert len(set(tens)) == 5


def test_a_draw_is_of_its_seed_and_number_only() -> None:
    other = replace(BASE, seen=("g1",), reference_validation=(), window=10, test=("z",))
    assert draw_people(BASE, 10, 3).train == draw_people(other, 10, 3).train
    assert draw_people(BASE, 10, 3).train != draw_people(replace(BASE, seed=8), 10, 3).train


def test_without_validation_people_all_are_trained_on() -> None:
    split = draw_people(replace(BASE, validation=()), 10, 0)
    assert (len(split.train), split.validation) == (10, ())


@pytest.mark.parametrize(("count", "draw"), [(101, 0), (0, 0), (10, -1)])
def test_what_cannot_be_drawn(count: int, draw: int) -> None:
    with pytest.raises(UsageError, match="cannot be drawn") as caught:
        draw_people(BASE, count, draw)
    assert "1 to 100 people (80 to train on, 20 to choose epochs with)" in caught.value.wanted


def test_somebody_is_trained_on() -> None:
    base = replace(BASE, train=BASE.train[:20], validation=tuple(f"v{i}" for i in range(30)))
    with pytest.raises(UsageError, match="nobody is left to train on") as caught:
        draw_people(base, 1, 0)
    assert caught.value.got == "1 people, 1 of them to choose epochs with (as of 50 people 30 do)"
    assert "--validation-share" in caught.value.do
    assert len(draw_people(base, 2, 0).train) == 1


def test_all_is_the_base_once() -> None:
    splits = few_shot_splits(BASE, [10, None, 20], [0, 4])
    assert list(splits) == [
        *("few-shot-n10-draw0", "few-shot-n10-draw4", "few-shot-all"),
        *("few-shot-n20-draw0", "few-shot-n20-draw4"),
    ]
    assert splits["few-shot-all"] is BASE
    assert {split.family for split in splits.values()} == {BASE.digest}
    assert len({split.digest for split in splits.values()}) == 5


def test_files_of_a_folder_and_a_single_file() -> None:
    splits = few_shot_splits(BASE, [10], [0, 1])
    assert few_shot_files(splits, Path("out")) == {
        Path("out/few-shot-n10-draw0.json"): splits["few-shot-n10-draw0"],
        Path("out/few-shot-n10-draw1.json"): splits["few-shot-n10-draw1"],
    }
    one = few_shot_splits(BASE, [10], [3])
    assert few_shot_files(one, Path("s.json")) == {Path("s.json"): one["few-shot-n10-draw3"]}
    with pytest.raises(UsageError, match="2 splits do not go into one file"):
        few_shot_files(splits, Path("s.json"))


def test_counts() -> None:
    assert parse_counts("10, 20,all") == (10, 20, None)


@pytest.mark.parametrize("text", ["", "10,", "ten", "0", "-5", "1.5", "10,10", "10,010", "all,all", "\u0661"])
def test_what_is_no_count(text: str) -> None:
    with pytest.raises(UsageError, match="--train-count is no list of numbers"):
        parse_counts(text)
