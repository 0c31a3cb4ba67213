"""One colour and one marker a model, the same in every figure and table of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# From Okabe & Ito's palette. Orange, sky and purple are darkened: each colour has a contrast of 3 with the
# light and with the dark ground, and two models that share a marker differ for colour-blind readers.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#c98500", "#009e73", "#a94f9c"
_SKY, _VERMILION, _GREY, _OLIVE = "#3a99d6", "#d55e00", "#8c939d", "#a08c00"


@dataclass(frozen=True)
class Look:
    """How one model is drawn: a colour (hex) and a matplotlib marker; `filled` is False for a constant."""

    colour: str
    marker: str
    filled: bool = True


BASELINES = {
    "elastic-net": Look(_ORANGE, "s"),
    "ridge": Look(_GREEN, "^"),
    "gblup": Look(_PURPLE, "v"),
    "lasso": Look(_OLIVE, "*"),
    "top-variant": Look(_SKY, "P"),
    "informed-ridge": Look(_GREEN, "<"),
    "informed-gblup": Look(_PURPLE, ">"),
    "genotype-pcs": Look(_GREY, "X"),
    "training-mean": Look(_GREY, "s", filled=False),
}
"""The baselines of `glm2x baseline`, each of which looks the same on every page."""

_MODELS = (
    Look(_BLUE, "o"),
    Look(_VERMILION, "D"),
    Look(_BLUE, "h"),
    Look(_VERMILION, "p"),
    Look(_BLUE, "*"),
    Look(_VERMILION, "d"),
)


def looks(tested: Sequence[tuple[str, str]], baselines: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """Return the look of every row.

    Parameters
    ----------
    tested
        (label, name of its line) of the models, the one that the report follows first; it gets the blue
        disc. Rows of one line differ in the number of people alone and look the same.
    baselines
        (label, model); a baseline looks the same from report to report.
    """
    lines = list(dict.fromkeys(line for _, line in tested))
    found = {label: _MODELS[lines.index(line) % len(_MODELS)] for label, line in tested}
    return found | {
        label: BASELINES.get(model.partition(" (")[0], Look(_GREY, "D")) for label, model in baselines
    }
