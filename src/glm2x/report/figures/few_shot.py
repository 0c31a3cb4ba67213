"""The few-shot curve: mean r against how many people a model learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import MUTED, PAPER, Picture, new_axes, style, to_picture
from glm2x.report.format import clean, count, shorten

_APART = 17.0  # CSS pixels between the names of two lines


@dataclass(frozen=True)
class Line:
    """One model: [sizes] people learnt from (rising), mean r, and its SD over draws (None: one draw)."""

    label: str
    look: Look
    people: Sequence[int]
    mean: Sequence[float]
    sd: Sequence[float | None]


def few_shot_curve(lines: Sequence[Line], *, name: str, alt: str) -> Picture:
    """Draw one line a model on a logarithmic axis of people, with bars of one SD and its name at its end.

    Models of the same size are moved sideways a little, so that no bar lies on another.
    """
    sizes = sorted({n for line in lines for n in line.people})
    span = max(np.log(sizes[-1] / sizes[0]), 1.0)
    with style():
        height = max(330, 90 + round(_APART * len(lines)))
        figure, axes = new_axes(480, height)
        axes.set_xscale("log")
        axes.axhline(0, color=MUTED, linewidth=0.9, dashes=(3, 3))
        ends = []
        for i, line in enumerate(lines):
            aside = np.exp(0.014 * span * (i - (len(lines) - 1) / 2))
            x, y = np.array(line.people) * aside, np.array(line.mean)
            bars = np.array([0.0 if sd is None else sd for sd in line.sd])
            colour = line.look.colour
            axes.vlines(x[bars > 0], (y - bars)[bars > 0], (y + bars)[bars > 0], color=colour, linewidth=1.6)
            axes.plot(
                x,
                y,
                color=colour,
                linewidth=1.8,
                # an informed model has the colour of the plain one
                linestyle="--" if line.look.marker in "<>" else "-",
                marker=line.look.marker,
                markersize=6.5,
                markerfacecolor=colour if line.look.filled else PAPER,
                markeredgewidth=1.4,
            )
            ends.append((float(x[-1]), float(y[-1])))
        axes.set_xlim(sizes[0] * np.exp(-0.08 * span), sizes[-1] * np.exp(0.08 * span))
        axes.margins(y=0.08)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(sizes, _tick_labels(sizes, 0.09 * span))
        axes.set_xlabel("people learnt from (log scale)")
        axes.set_ylabel("mean Pearson r over genes")
        axes.grid(axis="y")
        axes.locator_params(axis="y", nbins=6)
        _name(axes, lines, ends, _APART / (height - 60))
        return to_picture(figure, name=name, alt=alt)


def _tick_labels(sizes: Sequence[int], apart: float) -> list[str]:
    """Return the sizes as text, from the largest down; empty where one would lie on the one after it."""
    labels, last = [], np.inf
    for size in reversed(sizes):
        fits = last - np.log(size) >= apart
        labels.append(count(size) if fits else "")
        last = np.log(size) if fits else last
    return labels[::-1]


def _name(axes: Axes, lines: Sequence[Line], ends: Sequence[tuple[float, float]], apart: float) -> None:
    """Write each line's name right of the axes, at its height where that is free, and join them."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    heights = spread([(y - low) / (high - low) for _, y in ends], apart)
    for line, end, height in zip(lines, ends, heights, strict=True):
        axes.annotate(
            shorten(clean(line.label), 30),
            end,
            xytext=(1.03, height),
            textcoords="axes fraction",
            va="center",
            fontsize=10.5,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.look.colour,
                "linewidth": 1.0,
                "linestyle": (0, (1, 2)),
                "shrinkA": 2,
                "shrinkB": 5,
                "relpos": (0, 0.5),
            },
        )


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Return the heights in their order, moved as little as needed to be `apart` from one another.

    Each group that is too close is spread evenly around its mean; groups that then meet are one.
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    groups: list[list[int]] = []

    def bottom(group: list[int]) -> float:
        return sum(heights[i] for i in group) / len(group) - apart * (len(group) - 1) / 2

    for i in order:
        groups.append([i])
        while len(groups) > 1 and bottom(groups[-1]) < bottom(groups[-2]) + apart * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    found = [0.0] * len(heights)
    for group in groups:
        for place, i in enumerate(group):
            found[i] = bottom(group) + apart * place
    return found
