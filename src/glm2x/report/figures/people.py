"""Figures across people: predicted against observed expression of one gene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import MANY_POINTS, MUTED, Picture, new_axes, style, to_picture
from glm2x.report.format import clean, number, shorten


def common_span(panels: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
    """Return the length that both axes of every panel get, so that panels share one scale.

    It is the widest range of observed or predicted values around the middle of a panel's observed
    values, and a tenth.
    """
    half = 0.0
    for observed, predicted in panels:
        middle = (observed.min() + observed.max()) / 2
        for values in (observed, predicted):
            half = max(half, float(np.abs(values - middle).max()))
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
        figure, axes = new_axes(240, 250)
        middle = float(observed.min() + observed.max()) / 2
        limits = (middle - span / 2, middle + span / 2)
        axes.plot(limits, limits, color=MUTED, linewidth=0.9)
        raster = observed.size > MANY_POINTS
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
        return to_picture(figure, name=name, alt=alt)
