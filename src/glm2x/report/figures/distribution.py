"""How r is spread over genes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import INK, MUTED, PAPER, Picture, new_axes, style, to_picture
from glm2x.report.format import clean, number, percent, shorten

FEW = 150
"""Up to this many genes each is a mark under the curve; of more the curve alone is drawn."""

_STEP = 0.01


@dataclass(frozen=True)
class Spread:
    """One row: [genes] its r of genes whose prediction is not null, the share that is, the median of all."""

    label: str
    look: Look
    r: NDArray[np.float64]
    null: float
    median: float


def smoothed(r: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places in [-1, 1] and the density of r there, its largest value 1.

    Counts in bins of 0.01 under a Gaussian of Silverman's width (Density Estimation, 1986, equation
    3.31), at least 0.015: as many points on the page for 20 genes as for 20,000.
    """
    edges = np.linspace(-1, 1, round(2 / _STEP) + 1)
    counts = np.histogram(np.clip(r, -1, 1), bins=edges)[0].astype(np.float64)
    low, high = np.quantile(r, [0.25, 0.75])
    spread = min(float(r.std()), float(high - low) / 1.34)
    width = max(0.9 * spread * r.size**-0.2, 0.015)
    reach = np.arange(-4 * width, 4 * width + _STEP, _STEP)
    density = np.convolve(counts, np.exp(-0.5 * (reach / width) ** 2), mode="full")
    first = (reach.size - 1) // 2
    density = density[first : first + counts.size]
    return (edges[1:] + edges[:-1]) / 2, density / density.max()


def distributions(rows: Sequence[Spread], *, name: str, alt: str) -> Picture:
    """Draw a curve a row, each to its own height, with the median as a tick and the null share beside it."""
    known = [row.r for row in rows if row.r.size]
    low = min([float(r.min()) for r in known] + [-0.1])
    high = max([float(r.max()) for r in known] + [0.1])
    pad = 0.06 * (high - low)
    with style():
        figure, axes = new_axes(440, 66 + 44 * len(rows))
        axes.axvline(0, color=MUTED, linewidth=0.9, dashes=(3, 3))
        for y, row in enumerate(rows):
            _curve(axes, y, row)
            axes.plot([row.median, row.median], [y, y - 0.7], color=INK, linewidth=1.6)
            words = number(row.median, 2) + (f", null {percent(row.null)}" if row.null > 0 else "")
            axes.annotate(
                words,
                (1, y - 0.2),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=10,
                annotation_clip=False,
            )
        axes.set_xlim(low - pad, high + pad)
        axes.set_ylim(len(rows) - 0.6, -0.95)
        axes.set_yticks([y - 0.1 for y in range(len(rows))], [shorten(clean(r.label), 30) for r in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel("Pearson r across people, of one gene")
        return to_picture(figure, name=name, alt=alt)


def _curve(axes: object, y: int, row: Spread) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    axes.plot([row.median], [y], linestyle="none")
    if not row.r.size:
        return
    x, density = smoothed(row.r)
    seen = np.flatnonzero(density > 0.004)
    part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
    top = y - 0.7 * density[part]
    axes.fill_between(x[part], y, top, color=row.look.colour, alpha=0.3, linewidth=0)
    axes.plot(x[part], top, color=row.look.colour, linewidth=1.4)
    if row.r.size <= FEW:
        axes.plot(
            row.r,
            np.full(row.r.size, y + 0.13),
            linestyle="none",
            marker=row.look.marker,
            markersize=4,
            color=row.look.colour,
            markerfacecolor=row.look.colour if row.look.filled else PAPER,
            markeredgewidth=0.5,
            alpha=0.75,
        )
