"""The page's colours: told apart by colour-blind readers, and seen on the grounds of both themes."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from glm2x.report.figures.colours import BASELINES, Look, looks

Colour = NDArray[np.float64]

# Machado, Oliveira & Fernandes (2009), doi:10.1109/TVCG.2009.113, severity 1; they act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
APART = 12.0  # CIEDE2000; about 1 can just be seen side by side


def linear(colour: str) -> Colour:
    """Return the linear RGB of an sRGB colour, in [0, 1]."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: Colour) -> Colour:
    """Return CIE L*a*b* (D65) of linear RGB."""
    ratio = TO_XYZ @ rgb / (TO_XYZ @ np.ones(3))
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(one: Colour, other: Colour) -> float:
    """Return the CIEDE2000 difference of two L*a*b* colours (Sharma, Wu & Dalal 2005)."""
    mean_chroma = (np.hypot(*one[1:]) + np.hypot(*other[1:])) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7)))
    chroma = np.array([np.hypot(c[1] * stretch, c[2]) for c in (one, other)])
    hue = np.array([np.degrees(np.arctan2(c[2], c[1] * stretch)) % 360 for c in (one, other)])
    turn = (hue[1] - hue[0] + 180) % 360 - 180 if chroma.all() else 0.0
    hues = 2 * np.sqrt(chroma.prod()) * np.sin(np.radians(turn / 2))
    middle = (hue[0] + turn / 2) % 360 if chroma.all() else hue.sum()
    light, c = (one[0] + other[0]) / 2, chroma.mean()
    t = (
        1
        - 0.17 * np.cos(np.radians(middle - 30))
        + 0.24 * np.cos(np.radians(2 * middle))
        + 0.32 * np.cos(np.radians(3 * middle + 6))
        - 0.20 * np.cos(np.radians(4 * middle - 63))
    )
    by_light = (other[0] - one[0]) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    by_chroma = (chroma[1] - chroma[0]) / (1 + 0.045 * c)
    by_hue = hues / (1 + 0.015 * c * t)
    bend = 2 * np.sqrt(c**7 / (c**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((middle - 275) / 25) ** 2))))
    return float(np.sqrt(by_light**2 + by_chroma**2 + by_hue**2 - bend * by_chroma * by_hue))


@pytest.mark.parametrize(
    ("one", "other", "wanted"),  # from the table of Sharma, Wu & Dalal (2005)
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_difference_is_that_of_the_published_pairs(one: Any, other: Any, wanted: float) -> None:
    assert ciede2000(np.array(one, float), np.array(other, float)) == pytest.approx(wanted, abs=1e-4)


def every_look() -> dict[str, Look]:
    """Return the looks of six models and all baselines, as many as have one of their own."""
    tested = [(f"model {i}", f"model {i}") for i in range(6)]
    return looks(tested, [(name, name) for name in BASELINES])


@pytest.mark.parametrize("vision", VISION)
def test_models_of_one_marker_differ_in_colour_for_every_reader(vision: str) -> None:
    seen = {
        name: lab(np.clip(VISION[vision] @ linear(look.colour), 0, 1)) for name, look in every_look().items()
    }
    close = [
        (a, b)
        for (a, one), (b, other) in combinations(every_look().items(), 2)
        if (one.marker, one.filled) == (other.marker, other.filled) and ciede2000(seen[a], seen[b]) < APART
    ]
    assert close == []


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2), from 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(c)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """Return the colours among the CSS variables of each theme; those it does not set are the light one's."""
    css = (files("glm2x.report") / "report.css").read_text("utf-8")
    dark, printed = css.index("prefers-color-scheme: dark"), css.index("@media print")
    found = {}
    for name, start in (("light", 0), ("dark", dark), ("print", printed)):
        block = css[css.index(":root {", start) :].split("}")[0]
        short = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", block))
        found[name] = {k: v if len(v) == 7 else "#" + "".join(2 * c for c in v[1:]) for k, v in short.items()}
    return {name: found["light"] | colours for name, colours in found.items()}


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_marks_and_text_stand_out_from_their_ground(theme: str) -> None:
    colours = themes()[theme]
    marks = {n: contrast(look.colour, colours["paper"]) for n, look in every_look().items()}
    assert {n: c for n, c in marks.items() if c < 3} == {}
    text = {
        (name, ground): contrast(colours[name], colours[ground])
        for name in ("ink", "muted", "link", "pass", "warn", "fail")
        for ground in ("paper", "raised")
    }
    assert {names: c for names, c in text.items() if c < 4.5} == {}
