"""The learning rate over a phase, as a factor of the configured one."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["published", "constant", "one-cycle"]

WARM_UP_SHARE = 0.1
WARM_UP_START = 0.01
COSINE_END = 0.1


def factor(schedule: Schedule, position: float, epochs: int) -> float:
    """Return the factor on the learning rate.

    ``published`` (bioRxiv 10.1101/2025.07.09.664024): constant within an epoch; linear from 0.01
    to 1 over the first tenth of the epochs (rounded down: none below ten epochs), then a cosine
    that would reach 0.1 after the last epoch.

    ``one-cycle``: changes every step; linear from 0.01 to 1 over the first tenth of the phase, then
    a cosine that would reach 0 after the last step. For phases of few epochs.

    Parameters
    ----------
    schedule
        ``published``, ``constant`` or ``one-cycle``.
    position
        Where the phase is, in epochs from 0: epoch number + share of its steps done.
    epochs
        Epochs of the phase.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "published":
        return _cycle(math.floor(position), int(WARM_UP_SHARE * epochs), epochs, COSINE_END)
    return _cycle(position, WARM_UP_SHARE * epochs, epochs, 0.0)


def _cycle(position: float, warm_up: float, length: float, end: float) -> float:
    """Return the factor at `position` of a linear warm-up and a cosine from 1 to `end` at `length`."""
    if position < warm_up:
        return WARM_UP_START + (1 - WARM_UP_START) * position / warm_up
    turn = math.pi * (position - warm_up) / (length - warm_up)
    return end + (1 - end) * (1 + math.cos(turn)) / 2
