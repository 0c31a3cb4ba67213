"""Changes of length: a window is filled from its TSS outwards, so that the TSS stays at its centre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.sequence import N, reverse_complement


@dataclass(frozen=True)
class Splice:
    """Bases that take the place of more or of fewer, within a stretch of sequence.

    Attributes
    ----------
    start, end
        What is removed: ``[start, end)`` of the stretch; nothing for an insertion.
    put
        uint8 codes of what is put there.
    before
        How many of these come before the cut that divides the two halves of the window.
    """

    start: int
    end: int
    put: NDArray[np.uint8]
    before: int


def splice_of(
    at: int,
    removed: NDArray[np.uint8],
    put: NDArray[np.uint8],
    tss: int,
    length: int,
    strand: Literal["+", "-"],
) -> Splice:
    """Place a change of the forward strand in a stretch that runs in the gene's direction.

    Parameters
    ----------
    at, tss
        0-based in the stretch, on its forward strand: the first base that is removed, and the TSS.
    removed, put
        uint8 codes, forward strand. The bases put there take the places of those removed one by one; what
        remains of them stands behind the last. So an insertion right before the TSS lies before it.
    length
        Of the stretch in bp.
    """
    end = at + len(removed)
    if end <= tss:
        before = len(put)
    elif at >= tss:
        before = 0
    else:
        before = min(tss - at, len(put))
    if strand == "+":
        return Splice(at, end, put, before)
    return Splice(length - end, length - at, reverse_complement(put), len(put) - before)


def fill_around(base: NDArray[np.uint8], splices: Sequence[Splice], cut: int, out: NDArray[np.uint8]) -> None:
    """Write a window of a spliced stretch: one half from the cut to the left, one to the right.

    Parameters
    ----------
    base
        uint8 codes of the stretch, changes that keep the length already made.
    splices
        What else changes, from left to right; they do not overlap, and may lie beyond the stretch.
    cut
        Between ``base[cut - 1]`` and ``base[cut]`` lies the middle of the window.
    out
        uint8 ``[window]``, N where the stretch ends too early.
    """
    half = len(out) // 2
    # of two at one place the one that removes nothing comes first; two insertions stay in their order
    splices = sorted(splices, key=lambda splice: (splice.start, splice.end))
    filled = half
    place = cut
    for splice in reversed(splices):
        if splice.before == 0 and splice.start >= cut:
            continue
        filled = _leftwards(out, filled, base[max(min(splice.end, place), 0) : place])
        filled = _leftwards(out, filled, splice.put[: splice.before])
        place = max(min(splice.start, place), 0)
    filled = _leftwards(out, filled, base[:place])
    out[:filled] = N
    filled = half
    place = cut
    for splice in splices:
        if splice.before == len(splice.put) and splice.end <= cut:
            continue
        filled = _rightwards(out, filled, base[place : max(splice.start, place)])
        filled = _rightwards(out, filled, splice.put[splice.before :])
        place = max(splice.end, place)
    filled = _rightwards(out, filled, base[place:])
    out[filled:] = N


def _leftwards(out: NDArray[np.uint8], filled: int, piece: NDArray[np.uint8]) -> int:
    """Put a piece before what is filled, as far as there is room; return the new beginning."""
    count = min(filled, len(piece))
    if count:
        out[filled - count : filled] = piece[len(piece) - count :]
    return filled - count


def _rightwards(out: NDArray[np.uint8], filled: int, piece: NDArray[np.uint8]) -> int:
    """Put a piece behind what is filled, as far as there is room; return the new end."""
    count = min(len(out) - filled, len(piece))
    if count:
        out[filled : filled + count] = piece[:count]
    return filled + count
