"""Splits: what they refuse, and that they are what was frozen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.errors import DataError, UsageError


def test_a_split_of_another_cohort(demo_cohort: Cohort, demo_split: Split) -> None:
    demo_split.require_cohort(demo_cohort)
    with pytest.raises(DataError, match="made for another cohort"):
        replace(demo_split, cohort_digest="0" * 64).require_cohort(demo_cohort)


def test_a_split_is_read_back(demo_split: Split, tmp_path: Path) -> None:
    demo_split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == demo_split
    assert demo_split.individual_split(demo_split.validation[0]) == "validation"
    assert demo_split.individual_split("nobody") is None
    assert demo_split.gene_split("ENSG00000206176") == "seen"


def test_a_split_that_was_changed_is_refused(demo_split: Split, tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    demo_split.save(path)
    values = json.loads(path.read_text())
    values["train"].append(values["test"].pop())
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match="was changed after it was made"):
        Split.load(path)
    path.write_text(json.dumps({"format_version": 0}))
    with pytest.raises(DataError, match="no split"):
        Split.load(path)
    path.write_text(json.dumps(values | {"more": 1}))
    with pytest.raises(DataError, match="one too many"):
        Split.load(path)


def test_nobody_is_on_two_sides(demo_split: Split) -> None:
    with pytest.raises(UsageError, match="individual stands twice") as caught:
        replace(demo_split, test=(*demo_split.test, demo_split.train[0]))
    assert "train and test" in str(caught.value)
    with pytest.raises(UsageError, match="gene stands twice"):
        replace(demo_split, unseen=(demo_split.seen[0],))
    with pytest.raises(UsageError, match="no training people"):
        replace(demo_split, train=())


def test_a_draw_is_of_its_bases_family(demo_split: Split, tmp_path: Path) -> None:
    draw = replace(demo_split, train=demo_split.train[:9], draw=2, base_digest=demo_split.digest)
    assert draw.digest != demo_split.digest
    assert draw.family == demo_split.family == demo_split.digest
    draw.save(tmp_path / "draw.json")
    assert Split.load(tmp_path / "draw.json") == draw


def test_a_split_from_before_there_were_draws_is_still_read(tmp_path: Path) -> None:
    older = {
        "format_version": 1,
        "digest": "f50e4d60b6e4c3fbe1e87a270bb533da4ff4fdf47d9fa2ca711c07bb49261eb5",
        **{"train": ["ann"], "validation": [], "test": ["bob"], "seen": ["g"], "unseen": []},
        **{"reference_validation": [], "preset": "lists", "seed": None, "cohort_digest": "c", "window": 8},
        **{"reference_excluded": [], "excluded_genes": {}},
    }
    (tmp_path / "split.json").write_text(json.dumps(older))
    read = Split.load(tmp_path / "split.json")
    assert (read.draw, read.base_digest, read.relatives) == (None, None, None)
