"""A table of mean r in colours: rows of the evaluation by cells or by populations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.patches import Rectangle

from glm2x.report.figures.style import MUTED, PAPER, Picture, new_axes, style, to_picture
from glm2x.report.format import MISSING, clean, number, shorten

# Between Okabe & Ito's vermilion and blue, which colour-blind readers tell apart, over a light grey.
_COLOURS = LinearSegmentedColormap.from_list("r", ["#d55e00", "#f0d3bd", "#f1f0ed", "#bcd6e8", "#0072b2"])
_DARK, _LIGHT = "#101215", "#ffffff"
LEAST = 0.1
"""The smallest r that gets the full colour: below it differences between rows are hardly worth one."""


def full_colour(values: Sequence[Sequence[float | None]]) -> float:
    """Return the |r| that gets the full colour: the largest one, rounded up to 0.05, at least `LEAST`."""
    known = [abs(v) for row in values for v in row if v is not None and math.isfinite(v)]
    return max(LEAST, math.ceil(max(known, default=0.0) / 0.05 - 1e-9) * 0.05)


def heat_map(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    alt: str,
    digits: int = 3,
) -> Picture:
    """Draw one square a value, its number in it.

    Parameters
    ----------
    values
        [rows][columns] mean r; None where nothing was evaluated (hatched), NaN where r is not defined.
    columns
        The heads, with line breaks.
    """
    limit = full_colour(values)
    cell = 80 if len(columns) < 6 else 52
    with style():
        figure, axes = new_axes(150 + cell * len(columns), max(140, 62 + 28 * len(rows)))
        for y, row in enumerate(values):
            for x, value in enumerate(row):
                _square(axes, x, y, value, limit, digits)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(rows), 0)
        axes.set_yticks([y + 0.5 for y in range(len(rows))], [shorten(clean(row), 30) for row in rows])
        axes.tick_params(axis="x", labelsize=10)
        heads = ["\n".join(clean(line) for line in column.split("\n")) for column in columns]
        axes.set_xticks([x + 0.5 for x in range(len(columns))], heads)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return to_picture(figure, name=name, alt=alt)


def _square(axes: Axes, x: int, y: int, value: float | None, limit: float, digits: int) -> None:
    place = ((x + 0.02, y + 0.05), 0.96, 0.9)
    if value is None:
        axes.add_patch(
            Rectangle(*place, facecolor=PAPER, edgecolor=MUTED, hatch="////", linewidth=0.6, alpha=0.55)
        )
        return
    fill = to_hex(_COLOURS(0.5 + 0.5 * value / limit if math.isfinite(value) else 0.5))
    axes.add_patch(Rectangle(*place, facecolor=fill, edgecolor="none"))
    text = number(value, digits) if math.isfinite(value) else MISSING
    strong = math.isfinite(value) and abs(value) > 0.75 * limit
    axes.text(
        x + 0.5, y + 0.5, text, ha="center", va="center_baseline", color=_LIGHT if strong else _DARK
    )  # fmt: skip
