"""Two rows gene by gene: the paired differences of r, in their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import (
    MANY_POINTS,
    MUTED,
    PAPER,
    Picture,
    fix_place,
    new_axes,
    style,
    to_picture,
)
from glm2x.report.format import clean, shorten

MOST_BARS = 120
"""Of more genes the intervals would be one grey band, and are not drawn."""


def ranked_differences(
    difference: NDArray[np.float64],
    half: NDArray[np.float64],
    significant: NDArray[np.bool_],
    *,
    rival: str,
    look: Look,
    name: str,
    alt: str,
) -> Picture:
    """Draw r of one row less that of another, the largest difference first.

    Parameters
    ----------
    difference, half
        [genes] differences of r, finite, and half the length of their 95 % intervals (NaN: none).
    significant
        [genes] True where the two r differ at 5 % FDR; the others are open marks.
    rival
        The name of the row that is taken off.
    """
    order = np.argsort(-difference, kind="stable")
    y, bars, told = difference[order], half[order], significant[order]
    x = np.arange(1, y.size + 1)
    raster = y.size > MANY_POINTS
    with style():
        figure, axes = new_axes(420, 300)
        if y.size <= MOST_BARS:
            drawn = np.isfinite(bars)
            axes.vlines(
                x[drawn], (y - bars)[drawn], (y + bars)[drawn], color=look.colour, linewidth=1, alpha=0.55
            )
        axes.axhline(0, color=MUTED, linewidth=0.9, dashes=(3, 3))
        for chosen, face in ((~told, PAPER), (told, look.colour)):
            axes.scatter(
                x[chosen],
                y[chosen],
                s=26 if y.size <= MOST_BARS else 8,
                marker=look.marker,
                facecolors=face,
                edgecolors=look.colour,
                linewidths=1.1 if not raster else 0.6,
                rasterized=raster,
                zorder=3,
            )
        axes.margins(x=0.02, y=0.08)
        axes.locator_params(axis="y", nbins=6)
        axes.locator_params(axis="x", nbins=6, integer=True)
        axes.grid(axis="y")
        axes.set_xlabel("genes, from the largest difference to the smallest")
        axes.set_ylabel(f"r less r of {shorten(clean(rival), 24)}")
        fix_place(figure, axes, 56)
        return to_picture(figure, name=name, alt=alt)
