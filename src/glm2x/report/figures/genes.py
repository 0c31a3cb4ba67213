"""Figures across genes: r of one row against r of another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import (
    INK,
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


def extremes(x: NDArray[np.float64], y: NDArray[np.float64], number: int = 6) -> list[int]:
    """Return the points worth a label: the largest |y - x|, and the largest x and y.

    Parameters
    ----------
    x, y
        [genes] r of the two rows, finite.
    number
        How many labels at most.
    """
    if x.size == 0:
        return []
    chosen = [int(np.argmax(y)), int(np.argmax(x))]
    chosen += [int(i) for i in np.argsort(-np.abs(y - x), kind="stable")]
    return list(dict.fromkeys(chosen))[:number]


def gene_scatter(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    genes: Sequence[str],
    null: NDArray[np.bool_],
    *,
    x_label: str,
    y_label: str,
    look: Look,
    name: str,
    alt: str,
) -> Picture:
    """Draw per-gene r of two rows on the same scale, with the line of equality.

    Parameters
    ----------
    x, y
        [genes] Pearson r, finite (a null prediction counts as 0).
    null
        [genes] True where either prediction is null; drawn as an open marker.
    """
    with style():
        figure, axes = new_axes(420, 404)
        low = float(min(x.min(), y.min(), 0.0))
        high = float(max(x.max(), y.max(), 0.0))
        pad = 0.07 * max(high - low, 0.1)
        limits = (low - pad, high + pad)
        axes.axhline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
        axes.axvline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
        axes.plot(limits, limits, color=MUTED, linewidth=0.9)
        raster = x.size > MANY_POINTS
        for drawn, face in ((~null, look.colour), (null, PAPER)):
            axes.scatter(
                x[drawn],
                y[drawn],
                s=38 if not raster else 9,
                marker=look.marker,
                facecolors=face,
                edgecolors=look.colour,
                linewidths=1.2,
                alpha=0.85,
                rasterized=raster,
            )
        _label(axes, x, y, genes, limits)
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.set_aspect("equal")
        axes.locator_params(nbins=6)
        axes.set_xlabel(f"Pearson r, {shorten(clean(x_label), 34)}")
        axes.set_ylabel(f"Pearson r, {shorten(clean(y_label), 34)}")
        fix_place(figure, axes, 56)
        return to_picture(figure, name=name, alt=alt)


def _label(
    axes: object,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    genes: Sequence[str],
    limits: tuple[float, float],
) -> None:
    """Write the names of the extremes beside their points, skipping those that would lie on another."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    width = limits[1] - limits[0]
    taken: list[tuple[float, float]] = []
    for i in extremes(x, y):
        # A name takes about 0.36 of the width and 0.04 of the height at this size.
        if any(abs(x[i] - a) < 0.36 * width and abs(y[i] - b) < 0.045 * width for a, b in taken):
            continue
        taken.append((float(x[i]), float(y[i])))
        right = x[i] > limits[0] + 0.62 * width
        axes.annotate(
            shorten(clean(genes[i]), 18),
            (x[i], y[i]),
            xytext=(-7 if right else 7, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            fontsize=9.5,
            color=INK,
            gid="halo",  # the page draws these with an outline in its own ground colour
        )
