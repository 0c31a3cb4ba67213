"""Figures across people: predicted against observed expression of one gene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import MUTED, Picture, fix_place, new_axes, style, to_picture
from glm2x.report.format import clean, number, shorten

MANY_PEOPLE = 300
"""Of more people a cloud is a picture inside the figure: a page has eight of them."""


def own_span(observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return the length of both axes: all values around the middle of the observed ones, and a tenth."""
    middle = (observed.min() + observed.max()) / 2
    half = max(float(np.abs(values - middle).max()) for values in (observed, predicted))
    return 2.2 * half if half > 0 else 1.0


def observed_panel(
    observed: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    gene: str,
    r: float,
    span: float,
    unit: str,
    look: Look,
    name: str,
    alt: str,
) -> Picture:
    """Draw the people of one gene: observed on x, predicted on y, with the line of equality.

    Parameters
    ----------
    observed, predicted
        [people] in the target's unit, finite.
    span
        Length of both axes in that unit; the panel is centred on its own observed values.
    """
    with style():
        figure, axes = new_axes(240, 248)
        middle = float(observed.min() + observed.max()) / 2
        limits = (middle - span / 2, middle + span / 2)
        axes.plot(limits, limits, color=MUTED, linewidth=0.9)
        raster = observed.size > MANY_PEOPLE
        axes.scatter(
            observed,
            predicted,
            s=16 if not raster else 5,
            marker=look.marker,
            color=look.colour,
            alpha=0.7,
            linewidths=0,
            rasterized=raster,
        )
        axes.text(0.04, 0.96, f"r = {number(r)}", transform=axes.transAxes, va="top", weight="bold")
        axes.set_xlim(limits)
        axes.set_ylim(limits)
        axes.set_aspect("equal")
        axes.locator_params(nbins=4)
        axes.set_title(shorten(clean(gene), 28), loc="left", weight="bold")
        axes.set_xlabel(f"observed, {unit}")
        axes.set_ylabel(f"predicted, {unit}")
        fix_place(figure, axes, 48, top=24)
        return to_picture(figure, name=name, alt=alt)
