"""What the figures share: sizes, type, colours, and the way from matplotlib to an inline SVG.

Axes, grid and text are drawn in four marker colours that are replaced with the page's CSS variables,
so that a figure follows the page between light, dark and print. Data colours stay as they are; they
are chosen to be told apart by colour-blind readers and to be seen on both grounds.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#1b1e23"
MUTED = "#5d6674"
RULE = "#d5d9e0"
PAPER = "#fefefd"
_VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"}

MANY_POINTS = 1500
"""Above this many points a cloud is drawn as a picture inside the SVG, so that the page stays light."""

_DECIMALS = re.compile(r"(\.\d\d)\d+")
"""A hundredth of a point is less than any screen or printer shows."""

_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "glm2x",
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.labelsize": 11,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "savefig.dpi": 220,
}


@dataclass(frozen=True)
class Picture:
    """One figure as the template takes it.

    Attributes
    ----------
    svg
        An `<svg>` element with `role="img"` and its text alternative; safe to place in HTML as is.
    width
        Its natural width in CSS pixels.
    """

    svg: str
    width: int


@contextmanager
def style() -> Iterator[None]:
    """Apply the figures' settings, whatever the user's own matplotlib configuration says."""
    with rc_context(_RC), warnings.catch_warnings():
        # A name in a script that DejaVu lacks is drawn by the reader's browser, which has a font for it.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield


def new_axes(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure of `width` x `height` CSS pixels with one pair of axes."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def fix_place(figure: Figure, axes: Axes, left: float, top: float = 8) -> None:
    """Put the axes where the length of labels does not move them, so that figures side by side align.

    Parameters
    ----------
    left, top
        What the labels get, in CSS pixels; there are 40 below and 8 on the right.
    """
    figure.set_layout_engine("none")
    width, height = (72 * length for length in figure.get_size_inches())
    axes.set_position((left / width, 40 / height, 1 - (left + 8) / width, 1 - (40 + top) / height))


def to_picture(figure: Figure, *, name: str, alt: str) -> Picture:
    """Return a figure as inline SVG.

    Parameters
    ----------
    name
        Unique on the page; put before every id, because matplotlib uses the same ids in each file.
    alt
        What the figure shows, for a reader who does not see it.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style type=\"text/css\">.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="halo">', '<g class="halo">', svg)
    svg = re.sub(r'<g id="[^"]+">', "<g>", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("font-family: 'DejaVu Sans'; ", "")
    svg = re.sub(r' transform="rotate\(-0 [^"]+\)"', "", svg)
    svg = re.sub(r'\b(?:d|x|y|transform)="[^"]*"', lambda found: _DECIMALS.sub(r"\1", found[0]), svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None  # matplotlib writes one into every file
    width = round(float(box.group(1).split()[2]))
    opening = (
        f'<svg role="img" aria-label="{escape(clean_alt(alt))}" viewBox="{box.group(1)}" '
        f'style="max-width: {round(1.15 * width)}px" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    svg = re.sub(r"<svg\b[^>]*>", lambda _: opening, svg, count=1)
    return Picture(svg=svg.strip(), width=width)


def clean_alt(alt: str) -> str:
    """Return a text alternative on one line."""
    return " ".join(alt.split())
