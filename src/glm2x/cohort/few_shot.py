"""Few-shot splits: n people drawn several times from one base, which holds the test people of all.

n counts everybody that a model learns from, those who choose epochs included: "ten people" are ten
people whose expression had to be measured, whatever the model does with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from glm2x.cohort.split import Split
from glm2x.errors import UsageError

DRAWS = 5


def parse_counts(text: str, option: str = "--train-count") -> tuple[int | None, ...]:
    """Read ``10,20,all``: numbers of people, None for all of them (`UsageError` for anything else)."""
    words = [word.strip() for word in text.split(",")]
    numbers = [word.isascii() and word.isdigit() and int(word) > 0 for word in words]
    known = all(word == "all" or number for word, number in zip(words, numbers, strict=True))
    counts = tuple(None if word == "all" else int(word) for word in words) if known else ()
    if not known or len(set(counts)) < len(words):
        raise UsageError(
            f"{option} is no list of numbers of people",
            got=text,
            wanted="different whole numbers by commas, or all, such as 10,20,50,100,all",
        )
    return counts


def draw_people(base: Split, count: int, draw: int) -> Split:
    """Return the split of one draw of `count` people to learn from.

    Training people come from the base's training people, validation people from its validation
    people and in the same proportion (of ten people with a validation share of 0.1 one chooses
    epochs). Both are the beginning of an order that depends on the base's seed and the draw only:
    the people of a smaller count are among those of a larger one. Test people and genes are the
    base's. Relatives on one side of the base may both be drawn, which parts nobody.

    Raises
    ------
    UsageError
        The base has fewer people to learn from, nobody would be trained on, or `draw` is negative.
    """
    pool, judges = len(base.train), len(base.validation)
    if draw < 0 or not 0 < count <= pool + judges:
        raise UsageError(
            "these people cannot be drawn",
            got=f"{count} people, draw {draw}",
            wanted=f"1 to {pool + judges} people ({pool} to train on, {judges} to choose epochs with), "
            "draw 0 or more",
            do="a smaller --train-count, or a larger --train-share",
        )
    validation = max(round(count * judges / (pool + judges)), count - pool)
    if count - validation < 1:
        raise UsageError(
            "nobody is left to train on",
            got=f"{count} people, {validation} of them to choose epochs with "
            f"(as of {pool + judges} people {judges} do)",
            wanted="at least one to train on",
            do="a larger --train-count, or a smaller --validation-share",
        )
    random = np.random.default_rng([base.seed or 0, draw])
    train_order, validation_order = random.permutation(pool), random.permutation(judges)
    return replace(
        base,
        train=tuple(base.train[i] for i in train_order[: count - validation]),
        validation=tuple(base.validation[i] for i in validation_order[:validation]),
        draw=draw,
        base_digest=base.digest,
    )


def few_shot_splits(base: Split, counts: Sequence[int | None], draws: Sequence[int]) -> dict[str, Split]:
    """Return the split of each count and draw by its name; ``few-shot-all`` is the base, and one only."""
    splits: dict[str, Split] = {}
    for count in counts:
        if count is None:
            splits["few-shot-all"] = base
        else:
            splits |= {f"few-shot-n{count}-draw{d}": draw_people(base, count, d) for d in draws}
    return splits


def few_shot_files(splits: dict[str, Split], out: Path) -> dict[Path, Split]:
    """Return where each split goes: files of a folder, or the one file when `out` ends in ``.json``."""
    if out.suffix != ".json":
        return {out / f"{name}.json": split for name, split in splits.items()}
    if len(splits) > 1:
        raise UsageError(
            f"{len(splits)} splits do not go into one file",
            where=str(out),
            do="a folder as --out, or one number for --train-count and one --draw",
        )
    return dict.fromkeys([out], next(iter(splits.values())))
