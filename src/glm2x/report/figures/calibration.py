"""Calibration: what was observed where a model predicted so much more or less than a gene's mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.report.figures.colours import Look
from glm2x.report.figures.style import INK, MUTED, Picture, fix_place, new_axes, style, to_picture

Array = NDArray[np.float64]

Z95 = 1.96


@dataclass(frozen=True)
class Bins:
    """[B] bins of predictions: mean predicted and mean observed deviation, and the latter's standard error.

    The standard error takes the deviations of one gene as one: sum_g (sum_i (d_i - mean))^2 / n^2,
    times G / (G - 1); NaN where a bin holds one gene only.
    """

    predicted: Array
    observed: Array
    error: Array


def binned(predicted: Array, observed: Array, gene: NDArray[np.int64], *, bins: int = 12) -> Bins:
    """Return as many observations a bin, by rising prediction; predictions that are the same share a bin.

    Parameters
    ----------
    predicted, observed
        [observations] deviations from the gene's mean over training people, finite.
    gene
        [observations] number of the gene, from 0.
    """
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = []
    for b in np.unique(place):
        here = place == b
        x, y, g = predicted[here], observed[here], gene[here]
        left = np.bincount(g, weights=y - y.mean())
        genes = int((np.bincount(g) > 0).sum())
        error = np.sqrt((left**2).sum() * genes / (genes - 1)) / y.size if genes > 1 else np.nan
        found.append((float(x.mean()), float(y.mean()), float(error)))
    return Bins(*(np.array(column) for column in zip(*found, strict=True)))


def calibration_curve(bins: Bins, *, unit: str, look: Look, name: str, alt: str) -> Picture:
    """Draw observed against predicted deviation, a mark a bin, with its 95 % interval and the identity."""
    half = np.where(np.isfinite(bins.error), Z95 * bins.error, 0.0)
    reach = max(np.abs(bins.predicted).max(), (np.abs(bins.observed) + half).max(), 1e-6) * 1.08
    with style():
        figure, axes = new_axes(420, 400)
        axes.axhline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
        axes.axvline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
        axes.plot([-reach, reach], [-reach, reach], color=MUTED, linewidth=0.9)
        axes.vlines(
            bins.predicted, bins.observed - half, bins.observed + half, color=look.colour, linewidth=1.6
        )
        axes.plot(
            bins.predicted,
            bins.observed,
            color=look.colour,
            linewidth=1.2,
            marker=look.marker,
            markersize=6.5,
        )
        axes.annotate(
            "calibrated",
            (-0.92 * reach, -0.92 * reach),
            xytext=(9, -3),
            textcoords="offset points",
            ha="left",
            color=INK,
            gid="halo",
        )
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        axes.locator_params(nbins=6)
        axes.set_xlabel(f"predicted − training mean, {unit}")
        axes.set_ylabel(f"observed − training mean, {unit}")
        fix_place(figure, axes, 60)
        return to_picture(figure, name=name, alt=alt)
