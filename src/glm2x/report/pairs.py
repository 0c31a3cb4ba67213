"""Which of the models and strategies of an evaluation its data tell apart, in words."""

from __future__ import annotations

from collections.abc import Sequence

from glm2x.report.comparison import Comparison
from glm2x.report.format import MISSING, counted, interval, join_words, number
from glm2x.report.results import Results
from glm2x.report.roles import Row

_NAMED = 4
"""Pairs that a sentence names; the table of differences has them all."""


def told_apart(results: Results) -> list[str]:
    """Return a sentence on the pairs that the data tell apart, and one on those they cannot.

    Of the rows of the main cell that are no baselines, as far as they were compared; empty of fewer than two.
    """
    rows = {row.label: row for row in results.shown_rows if row.role != "baseline"}
    found = [c for c in results.comparisons if c.cell == results.main_cell and c.a in rows and c.b in rows]
    if not found:
        return []
    told = sorted((c for c in found if c.kind != "untold"), key=lambda c: -abs(c.difference or 0))
    untold = [c for c in found if c.kind == "untold"]
    of = f"Of {counted(len(found), 'pair')} of models and strategies" if len(found) > 1 else ""
    sentences = []
    if told:
        start = f"{of}, the data tell {len(told)} apart: " if of else "The data tell two models apart: "
        sentences.append(start + _listed([_better(c, rows) for c in told]))
    if untold:
        verb = "They" if told else f"{of}, the data" if of else "The data"
        smallest = max((c.smallest for c in untold if c.smallest is not None), default=None)
        where = " in any of these" if len(untold) > 1 else ""
        shows = f" A difference of {number(smallest)} would show{where}." if smallest is not None else ""
        sentences.append(f"{verb} cannot tell {_listed([_even(c, rows) for c in untold])}{shows}")
    return sentences


def _better(c: Comparison, rows: dict[str, Row]) -> str:
    c = c if c.kind == "better" else c.turned()
    return f"{rows[c.a].words} predicts better than {rows[c.b].words} {_difference(c)}"


def _even(c: Comparison, rows: dict[str, Row]) -> str:
    return f"{rows[c.a].words} from {rows[c.b].words} {_difference(c)}"


def _difference(c: Comparison) -> str:
    bounds = interval((c.low, c.high))
    ci = "no confidence interval" if bounds == MISSING else f"95 % CI {bounds}"
    return f"({number(c.difference, signed=True)}; {ci})"


def _listed(parts: Sequence[str]) -> str:
    more = len(parts) - _NAMED
    return join_words([*parts[:_NAMED], *([f"{counted(more, 'pair')} more"] if more > 0 else [])]) + "."
