"""A gene's window: what its variants have to do with what was measured and with what was predicted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from glm2x.report.figures.style import INK, MUTED, RULE, Picture, style, to_picture

STEMS = 300
"""Variants of the upper panels at most, those of the largest |r|."""

_GREY, _RAISES, _LOWERS = "#8c939d", "#0072b2", "#d55e00"
# CSS pixels: the whole, its columns, and from below: axis of the matrix, a row of it, leads, axis, panels
_WIDTH, _LEFT, _MAIN, _SIDE = 940.0, 56.0, 620.0, 180.0
_BELOW, _ROW, _LEADS, _AXIS, _PANEL, _BETWEEN = 46.0, 15.0, 34.0, 40.0, 76.0, 28.0
_DECIMALS = re.compile(r"(\d+\.\d{2})\d+")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """One upper panel: [V] r of each variant's dosage with something, NaN where not defined."""

    title: str
    r: Array
    colour: str


@dataclass(frozen=True)
class Carried:
    """The lower panels: R haplotypes (first on top) by D variants, and what their carriers have.

    Attributes
    ----------
    column
        Int [D]: which of the V variants.
    alleles
        Int [R, D]: 0 REF, 1 ALT, -1 N.
    raises
        Bool [D]: whether people with more ALT have higher predictions.
    copies
        Int [R].
    observed, error, predicted
        Float [R]: mean of the carriers' measurements, its standard error, and mean prediction.
    """

    column: NDArray[np.int64]
    alleles: NDArray[np.int64]
    raises: NDArray[np.bool_]
    copies: NDArray[np.int64]
    observed: Array
    error: Array
    predicted: Array


def locus_figure(
    distance: NDArray[np.int64],
    traces: list[Trace],
    carried: Carried,
    *,
    window: int,
    unit: str,
    name: str,
    alt: str,
) -> Picture:
    """Draw |r| of the variants along the window, and below it the haplotypes that hold them.

    Parameters
    ----------
    distance
        Int [V]: bp from the TSS in the gene's direction.
    traces
        The upper panels, of at most `STEMS` variants each.
    window
        bp.
    unit
        Of expression.
    """
    rows = len(carried.copies)
    bottom = _BELOW + max(_ROW * rows, 30.0)
    height = bottom + _LEADS + _AXIS + (_PANEL + _BETWEEN) * len(traces)
    with style():
        figure = Figure(figsize=(_WIDTH / 72, height / 72))
        FigureCanvasSVG(figure)

        def panel(x: float, y: float, width: float, high: float) -> Axes:
            return figure.add_axes((x / _WIDTH, y / height, width / _WIDTH, high / height))

        limits = (-window / 2000, window / 2000)
        tops = [bottom + _LEADS + _AXIS + (_PANEL + _BETWEEN) * i for i in reversed(range(len(traces)))]
        for trace, y in zip(traces, tops, strict=True):
            axes = panel(_LEFT, y, _MAIN, _PANEL)
            _stems(axes, distance / 1000, trace, limits)
            axes.tick_params(labelbottom=y == tops[-1])
        axes.set_xlabel("distance from the TSS in the gene's direction, kb", labelpad=1)
        _leads(panel(_LEFT, bottom + 2, _MAIN, _LEADS - 4), distance[carried.column] / 1000, limits)
        matrix = panel(_LEFT, _BELOW, _MAIN, bottom - _BELOW)
        _matrix(matrix, carried)
        right = _WIDTH - _SIDE - 10
        means = panel(right, _BELOW, _SIDE, bottom - _BELOW)
        means.sharey(matrix)
        _means(means, carried, unit)
        _key(panel(right, tops[0], _SIDE, _PANEL))
        if len(traces) > 1:
            across = max(tops[0] - _BETWEEN - tops[-1], _PANEL)
            _agreement(panel(right, tops[-1], _SIDE, across), traces[0].r, traces[1].r, across / _SIDE)
        picture = to_picture(figure, name=name, alt=alt)
    return replace(picture, svg=re.sub(r' d="[^"]*"', lambda d: _DECIMALS.sub(r"\1", d[0]), picture.svg))


def _stems(axes: Axes, kb: Array, trace: Trace, limits: tuple[float, float]) -> None:
    """Draw |r| as one line of stems, which costs a few bytes a variant; a dash on top of negative ones."""
    size = np.nan_to_num(np.abs(trace.r))
    kept = np.sort(np.argsort(-size, kind="stable")[:STEMS])
    x, y = kb[kept], size[kept]
    gaps = np.full_like(x, np.nan)
    axes.plot(
        np.stack([x, x, gaps], axis=1).ravel(),
        np.stack([np.zeros_like(y), y, gaps], axis=1).ravel(),
        color=trace.colour,
        linewidth=1.5,
        solid_capstyle="butt",
    )
    axes.axvline(0, color=INK, linewidth=0.9)
    top = max(float(y.max(initial=0.0)), 0.1) * 1.12
    axes.set_ylim(0, top)
    axes.set_xlim(limits)
    axes.set_ylabel("|r|")
    axes.locator_params(axis="y", nbins=3)
    axes.grid(axis="y")
    axes.set_title(trace.title, loc="left", pad=4)
    if not np.isfinite(trace.r).any():
        axes.text(
            0.02, 0.5, "null: the same for everybody", transform=axes.transAxes, va="center", color=MUTED
        )
    axes.annotate(
        "TSS",
        (0, 1),
        xycoords=("data", "axes fraction"),
        xytext=(26, -4),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        arrowprops={"arrowstyle": "<-", "color": INK, "linewidth": 0.9, "shrinkA": 1, "shrinkB": 0},
    )


def _leads(axes: Axes, kb: Array, limits: tuple[float, float]) -> None:
    """Join each variant's place in the window with its column of the matrix."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.axis("off")
    if not len(kb):
        return
    above = (kb - limits[0]) / (limits[1] - limits[0])
    below = (np.arange(len(kb)) + 0.5) / len(kb)
    gaps = np.full(len(kb), np.nan)
    axes.plot(
        np.stack([above, below, gaps], axis=1).ravel(),
        np.stack([np.ones(len(kb)), np.zeros(len(kb)), gaps], axis=1).ravel(),
        color=MUTED,
        linewidth=0.5,
    )


def _matrix(axes: Axes, carried: Carried) -> None:
    """Fill the cells that hold ALT, by whether it goes with higher or lower predictions; N is a bar."""
    rows, columns = carried.alleles.shape
    for colour, chosen in ((_RAISES, carried.raises), (_LOWERS, ~carried.raises)):
        _cells(axes, (carried.alleles == 1) & chosen[None, :], colour, 0.08)
    _cells(axes, carried.alleles == -1, _GREY, 0.38)
    for y in range(rows + 1):
        axes.axhline(y - 0.5, color=RULE, linewidth=0.5)
    axes.set_xlim(-0.5, max(columns, 1) - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks(range(rows), [f"×{n}" for n in carried.copies], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel("haplotypes, copies")
    axes.set_xlabel(f"{columns} variants")


def _agreement(axes: Axes, measured: Array, predicted: Array, shape: float) -> None:
    """Draw each variant's r with the prediction against its r with what was measured, signs and all.

    `shape` is the height of the axes over their width.
    """
    both = np.flatnonzero(np.isfinite(measured) & np.isfinite(predicted))
    size = np.maximum(np.abs(measured[both]), np.abs(predicted[both]))
    kept = both[np.argsort(-size, kind="stable")[:STEMS]]
    x, y = measured[kept], predicted[kept]
    reach = 1.12 * max(float(np.abs(x).max(initial=0.0)), 0.1)
    axes.axhline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
    axes.axvline(0, color=MUTED, linewidth=0.7, dashes=(3, 3))
    side = np.array([reach, 1.12 / shape]) * 0.02
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * side
    _squares(axes, np.stack([x, y], axis=1), square, _RAISES)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-1.12, 1.12)
    axes.locator_params(nbins=4)
    axes.set_xlabel("r, measured", labelpad=1)
    axes.set_ylabel("r, predicted", labelpad=0)


def _squares(axes: Axes, centres: Array, corners: Array, colour: str) -> None:
    """Draw marks of one shape as one path, which costs a fraction of what as many elements would."""
    points = (centres[:, None] + corners).reshape(-1, 2)
    codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(centres))
    axes.add_patch(PathPatch(Path(points, codes), facecolor=colour, linewidth=0))


def _cells(axes: Axes, filled: NDArray[np.bool_], colour: str, edge: float) -> None:
    """Draw some cells, with so much room at their sides."""
    where = np.argwhere(filled)
    if len(where):
        half = 0.5 - edge
        corners = np.array([[-half, -0.38], [half, -0.38], [half, 0.38], [-half, 0.38], [-half, -0.38]])
        _squares(axes, where[:, ::-1].astype(np.float64), corners, colour)


def _means(axes: Axes, carried: Carried, unit: str) -> None:
    """Draw what the carriers of each haplotype have, measured and predicted."""
    y = np.arange(len(carried.copies))
    for at in y[np.isfinite(carried.error)]:
        low, high = carried.observed[at] - carried.error[at], carried.observed[at] + carried.error[at]
        axes.plot([low, high], [at, at], color=_GREY, linewidth=1.4, solid_capstyle="butt")
    axes.plot(carried.observed, y, "o", color=_GREY, markersize=4.5)
    axes.plot(carried.predicted, y, "o", color=_RAISES, markersize=4.5)
    axes.tick_params(axis="y", labelleft=False, length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    axes.set_xlabel(f"mean of carriers,\n{unit}", labelpad=1)


def _key(axes: Axes) -> None:
    """Say what the marks of the lower panels are."""
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    lines = (
        ("s", _RAISES, "ALT, with higher predictions"),
        ("s", _LOWERS, "ALT, with lower predictions"),
        ("o", _GREY, "carriers measured, ± SE"),
        ("o", _RAISES, "carriers predicted"),
    )
    for i, (marker, colour, words) in enumerate(lines):
        height = 0.92 - 0.26 * i
        axes.plot([0.0], [height], marker, color=colour, markersize=6, clip_on=False)
        axes.text(0.07, height, words, va="center", fontsize=10)
