"""The forest plot: mean r of every row with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import MUTED, PAPER, Picture, new_axes, style, to_picture
from glm2x.report.format import clean, number, shorten


@dataclass(frozen=True)
class ForestRow:
    """One line of the plot: a mean r, its 95 % interval (None when not known) and its look."""

    label: str
    mean: float
    low: float | None
    high: float | None
    look: Look


def forest(rows: Sequence[ForestRow], *, name: str, alt: str) -> Picture:
    """Draw one line a row, in the order given (first on top), with zero marked and the mean printed."""
    with style():
        figure, axes = new_axes(420, max(140, 58 + 26 * len(rows)))
        axes.axvline(0, color=MUTED, linewidth=0.9, dashes=(3, 3))
        for y, row in enumerate(rows):
            if row.low is not None and row.high is not None:
                axes.plot(
                    [row.low, row.high], [y, y], color=row.look.colour, linewidth=1.8, solid_capstyle="butt"
                )
            axes.plot(
                [row.mean],
                [y],
                marker=row.look.marker,
                markersize=7,
                color=row.look.colour,
                markerfacecolor=row.look.colour if row.look.filled else PAPER,
                markeredgewidth=1.6,
                linestyle="none",
            )
            axes.annotate(
                number(row.mean),
                (1, y),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                annotation_clip=False,
            )
        axes.set_yticks(range(len(rows)), [shorten(clean(row.label), 30) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.06)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel("mean Pearson r over genes, with 95 % CI")
        return to_picture(figure, name=name, alt=alt)
