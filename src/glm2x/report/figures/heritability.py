"""r of each gene against the square root of its heritability."""

from __future__ import annotations

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


def heritability_scatter(
    root: NDArray[np.float64],
    r: NDArray[np.float64],
    significant: NDArray[np.bool_],
    *,
    label: str,
    look: Look,
    name: str,
    alt: str,
) -> Picture:
    """Draw r against sqrt(h2), with the line on which they are equal.

    Parameters
    ----------
    root, r
        [genes] sqrt(h2) in [0, 1] and Pearson r, finite.
    significant
        [genes] True where h2 is above 0 at 5 % FDR; the others are open markers.
    label
        The row whose r it is.
    """
    with style():
        figure, axes = new_axes(420, 404)
        right = max(float(root.max()), 0.1) * 1.06
        low, high = min(float(r.min()), 0.0), max(float(r.max()), right)
        pad = 0.05 * (high - low)
        axes.axhline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
        axes.plot([0, right], [0, right], color=MUTED, linewidth=0.9)
        raster = r.size > MANY_POINTS
        for drawn, face in ((~significant, PAPER), (significant, look.colour)):
            axes.scatter(
                root[drawn],
                r[drawn],
                s=38 if not raster else 9,
                marker=look.marker,
                facecolors=face,
                edgecolors=look.colour,
                linewidths=1.2,
                alpha=0.85,
                rasterized=raster,
                clip_on=False,
            )
        axes.annotate(
            "r = √h²",
            (0.9 * right, 0.9 * right),
            xytext=(-7, 5),
            textcoords="offset points",
            ha="right",
            color=INK,
            gid="halo",
        )
        axes.set_xlim(0, right)
        axes.set_ylim(low - pad, high + pad)
        axes.locator_params(nbins=6)
        axes.set_xlabel("√h², of the variants in the window")
        axes.set_ylabel(f"Pearson r, {shorten(clean(label), 34)}")
        fix_place(figure, axes, 56)
        return to_picture(figure, name=name, alt=alt)
