"""Whom each draw of a table learnt from, as its own labels say it."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from glm2x.cohort.split import Split


@dataclass(frozen=True)
class Learnt:
    """The rows of one draw and number of people, and whom their models learnt from.

    Attributes
    ----------
    draw, people
        The draw, and the number of training and validation people, as the table says them.
    rows
        What is true of those rows of the table.
    train, validation
        The people: the split's where the rows are its own, else whom the rows label so.
    complete
        Whether these are all.
    """

    draw: int | None
    people: int | None
    rows: pl.Expr
    train: tuple[str, ...]
    validation: tuple[str, ...]
    complete: bool


def learnt_people(frame: pl.DataFrame, split: Split) -> list[Learnt]:
    """Return the draws of a table, sorted, and whom each learnt from, by its people (`Table.people`).

    Rows of the split's own draw learnt from its people, and so did those that say neither draw nor
    number. Of others the labels of rows decide: they name everybody where they are as many as the
    number that the rows say.
    """
    own_people = len(split.train) + len(split.validation)
    found = []
    for (draw, people), rows in frame.group_by("draw", "train_individuals", maintain_order=True):
        these = pl.col("draw").eq_missing(pl.lit(draw, pl.Int64))
        these &= pl.col("train_individuals").eq_missing(pl.lit(people, pl.Int64))
        if draw is None:
            own = split.draw is None or people in (None, own_people)
        else:
            own = draw == split.draw and people in (None, own_people)
        if own:
            found.append(Learnt(draw, people, these, split.train, split.validation, True))
            continue
        sides = {side: _labelled(rows, side) for side in ("train", "validation")}
        complete = people == sum(map(len, sides.values()))
        found.append(Learnt(draw, people, these, sides["train"], sides["validation"], complete))
    return sorted(found, key=lambda one: (one.draw is not None, one.draw or 0, one.people or 0))


def _labelled(rows: pl.DataFrame, side: str) -> tuple[str, ...]:
    return tuple(rows.filter(pl.col("individual_split") == side)["individual"].unique().sort())
