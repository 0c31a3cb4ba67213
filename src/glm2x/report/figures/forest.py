"""The forest plot: one number of every row with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import MUTED, PAPER, Picture, new_axes, style, to_picture
from glm2x.report.format import clean, number, shorten


@dataclass(frozen=True)
class ForestRow:
    """One line of the plot: a number, its interval (None when not known) and its look.

    `second` is another number of the row (None: none), which is drawn as an open diamond.
    """

    label: str
    mean: float
    low: float | None
    high: float | None
    look: Look
    second: float | None = None


def forest(
    rows: Sequence[ForestRow],
    *,
    x_label: str,
    name: str,
    alt: str,
    line: float = 0.0,
    limits: tuple[float, float] | None = None,
    digits: int = 3,
) -> Picture:
    """Draw one line a row, in the order given (first on top), with its number printed.

    Parameters
    ----------
    line
        The value that is marked.
    limits
        What lies outside is cut off; all is drawn when not given.
    """
    with style():
        figure, axes = new_axes(420, max(140, 58 + 26 * len(rows)))
        axes.axvline(line, color=MUTED, linewidth=0.9, dashes=(3, 3))
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
            if row.second is not None:
                axes.plot([row.mean, row.second], [y, y], color=row.look.colour, linewidth=1, zorder=1)
                axes.plot(
                    [row.second],
                    [y],
                    marker="D",
                    markersize=6,
                    color=row.look.colour,
                    markerfacecolor=PAPER,
                    markeredgewidth=1.4,
                    linestyle="none",
                )
            axes.annotate(
                number(row.mean, digits) + ("" if row.second is None else f" → {number(row.second, digits)}"),
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
        if limits is not None:
            axes.set_xlim(limits)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=6)
        axes.set_xlabel(x_label)
        return to_picture(figure, name=name, alt=alt)
