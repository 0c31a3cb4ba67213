"""Which row of the evaluation is what: the models under test, the reference-trained ones, the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glm2x.report.figures.colours import BASELINES, Look, looks
from glm2x.report.format import clean, counted, shorten

Role = Literal["model", "reference", "baseline"]

RIVALS = ("elastic-net", "ridge", "gblup")
"""The linear models that a headline always compares with."""

LONGEST_NAME = 60
"""Characters of a name in a sentence; the tables give it in full."""

_ORDER = {"reference-then-personal": 0, "personal": 1}
_WORDS = {"gblup": "GBLUP", "informed-gblup": "informed GBLUP", "genotype-pcs": "genotype PCs"}


@dataclass(frozen=True)
class Row:
    """One row of the evaluation.

    Attributes
    ----------
    label
        Its name in `metrics.json`.
    model, strategy, train_individuals
        What picks its rows out of the predictions table.
    role
        `model` is under test; `reference` was trained on the reference sequence only; `baseline` is a
        linear model or a constant.
    look
        Its colour and marker on this page.
    """

    label: str
    model: str
    strategy: str | None
    train_individuals: int | None
    role: Role
    look: Look

    @property
    def words(self) -> str:
        """The name as it stands in a sentence: `GBLUP`, `ridge (50 people)`, or the label, cut where long."""
        if self.train_individuals is None or not self.label.endswith(self._size):
            return self.name
        return f"{self.name} ({counted(self.train_individuals, 'person', 'people')})"

    @property
    def name(self) -> str:
        """The same without the number of people, for where all rows learnt from as many."""
        label = self.label.removesuffix(self._size)
        if self.role == "baseline":
            return clean(label.replace(self.model, words(self.model), 1))
        return shorten(clean(label), LONGEST_NAME)

    @property
    def _size(self) -> str:
        return f" n={self.train_individuals}"


def figure_names(rows: Sequence[Row]) -> list[str]:
    """Return the rows' names for a figure: with their number of people only where it differs."""
    same = len({row.train_individuals for row in rows}) < 2
    return [row.name if same else row.words for row in rows]


def words(model: str) -> str:
    """Return a baseline's name as it stands in a sentence."""
    return _WORDS.get(model, model.replace("-", " "))


def arrange(rows: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Return the rows in the order of the tables: models, reference-trained, baselines.

    Among the models, those that saw reference and personal data come first, then those that learnt
    from more people, then the order of the file; the first is the one that the report follows. No
    result plays a part: a model chosen by its score on the test people would look better than it is.
    Baselines stand the other way round than in the file, which begins with the simplest.
    """
    roles = [_role(row["model"], row.get("strategy")) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: _place(i, rows[i], roles[i]))
    tested = [
        (rows[i]["label"], f"{rows[i]['model']} {rows[i].get('strategy')}")
        for i in order
        if roles[i] != "baseline"
    ]
    baselines = [(rows[i]["label"], rows[i]["model"]) for i in order if roles[i] == "baseline"]
    look = looks(tested, baselines)
    return tuple(
        Row(
            label=rows[i]["label"],
            model=rows[i]["model"],
            strategy=rows[i].get("strategy"),
            train_individuals=rows[i].get("train_individuals"),
            role=roles[i],
            look=look[rows[i]["label"]],
        )
        for i in order
    )


def _role(model: str, strategy: str | None) -> Role:
    if model.partition(" (")[0] in BASELINES:  # also one that is called after its origin
        return "baseline"
    return "reference" if strategy == "reference" else "model"


def _place(at: int, row: Mapping[str, Any], role: Role) -> tuple[int, int, int]:
    people = -int(row.get("train_individuals") or 0)
    if role == "baseline":
        return 2, -at, 0
    if role == "reference":
        return 1, 0, people
    return 0, _ORDER.get(row.get("strategy") or "", 2), people


def followed(rows: Sequence[Row]) -> Row | None:
    """Return the row that headline and figures follow; None where all are baselines."""
    return next((row for row in rows if row.role != "baseline"), None)
