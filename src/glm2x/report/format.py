"""How numbers are written on the page: fixed digits, a real minus sign, a dash for what is not there."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import TypeGuard

MISSING = "–"
_MINUS = "\N{MINUS SIGN}"


def is_number(value: object) -> TypeGuard[float]:
    """Return whether `value` is a finite number (a boolean is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return a number with `digits` decimals; a dash where there is none (None, NaN, infinite)."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    sign = _MINUS if value < 0 else "+" if signed else ""
    return sign + text


def interval(bounds: Sequence[float | None] | None, digits: int = 3) -> str:
    """Return `0.012 to 0.034`; `to`, because a dash would read as a minus sign."""
    known = [b for b in bounds or () if is_number(b)]
    return f"{number(known[0], digits)} to {number(known[1], digits)}" if len(known) == 2 else MISSING


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share in [0, 1] as per cent."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{number(100 * share, digits)}\N{NO-BREAK SPACE}%"


def count(value: float | None) -> str:
    """Return a whole number with commas at the thousands."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{round(value):,}".replace("-", _MINUS)


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """Return `1 gene`, `26 genes`, `2 people` (with `plural` given)."""
    return f"{count(value)} {noun if value == 1 else plural or noun + 's'}"


def p_value(value: float | None) -> str:
    """Return a p value: three decimals, or a bound below 0.001."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.3f}" if value >= 0.001 else "<\N{NO-BREAK SPACE}0.001"


def duration(seconds: float | None) -> str:
    """Return a time a person reads at a glance: `41 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def base_pairs(value: int | None) -> str:
    """Return a length in bp, kb from 1,000 when that loses nothing."""
    if value is None:
        return MISSING
    if value >= 1000 and value % 100 == 0:
        return f"{value / 1000:g} kb"
    return f"{value:,} bp"


def join_words(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def clean(text: str) -> str:
    """Return `text` on one line, without control and direction characters.

    Names come from files that a stranger may have written. HTML escaping is the template's; this
    keeps a name from breaking an SVG or from turning the line that it stands on around.
    """
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"})


def shorten(text: str, length: int) -> str:
    """Return `text`, cut in the middle to `length` characters where it is longer."""
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return f"{text[: length - 1 - tail]}…{text[-tail:]}"
