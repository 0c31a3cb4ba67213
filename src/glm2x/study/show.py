"""What a study needs, as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glm2x.console import Columns, bytes_words
from glm2x.study.needs import Alternative, Needs

_NUMBERS = ("kb", "windows", "unique", "store", "passes", "reference", "personal", "all")
COLUMNS: Columns = {"backbone": "left", **dict.fromkeys(_NUMBERS, "right")}
NOTE = "times: of one pass over unique windows and of each phase; all: passes, reference, and personal twice"


@dataclass(frozen=True)
class Planned:
    """One backbone's needs, whether they can be met, and of what would change that whether it does."""

    needs: Needs
    fits: bool
    others: tuple[tuple[Alternative, bool], ...] = ()


def rows(planned: Sequence[Planned]) -> list[tuple[str, ...]]:
    """Return a line of `COLUMNS` for each backbone."""
    return [
        (
            one.needs.backbone,
            f"{one.needs.size.window / 1_000:g}",
            f"{one.needs.size.windows:,}",
            f"{one.needs.size.unique:,}",
            "" if one.needs.stored is None else bytes_words(one.needs.bytes),
            *map(
                hours_words,
                (
                    one.needs.pass_hours,
                    one.needs.reference_hours,
                    one.needs.personal_hours,
                    one.needs.hours,
                ),
            ),
        )
        for one in planned
    ]


def sources(planned: Sequence[Planned]) -> list[str]:
    """Return in words where the numbers of a table are from, each once."""
    sizes = [f"unique windows: {one.needs.size.source}" for one in planned]
    costs = [
        f"times: {one.needs.costs.source}" + (f"; {one.needs.gpus} of them" if one.needs.gpus > 1 else "")
        for one in planned
    ]
    return list(dict.fromkeys([*sizes, *costs]))


def refusal(one: Planned, room: int) -> list[str]:
    """Return the lines that say what does not fit and what would."""
    needs = one.needs
    store = ""
    if needs.stored is not None:
        without = needs.bytes_without_dictionary / max(needs.bytes, 1)
        store = (
            f"{bytes_words(needs.bytes)} to store ({without:.1f} times that with a file for each person's "
            f"haplotype), {bytes_words(room)} free; "
        )
    lines = [f"{needs.backbone} does not fit: {store}{hours_words(needs.hours)}"]
    lines += [
        f"  {'fits' if fits else 'does not'}: {other.change}: {bytes_words(other.needs.bytes)} "
        f"({needs.bytes / max(other.needs.bytes, 1):,.1f} times less), {hours_words(other.needs.hours)}"
        if needs.stored is not None
        else f"  {'fits' if fits else 'does not'}: {other.change}: {hours_words(other.needs.hours)}"
        for other, fits in one.others
    ]
    return lines


def as_json(planned: Sequence[Planned], room: int) -> dict[str, Any]:
    """Return everything as JSON has it."""
    return {
        "free_bytes": room,
        "backbones": [
            _said(one.needs, one.fits)
            | {
                "alternatives": [
                    {"change": other.change} | _said(other.needs, fits) for other, fits in one.others
                ]
            }
            for one in planned
        ],
    }


def _said(needs: Needs, fits: bool) -> dict[str, Any]:
    return {
        "backbone": needs.backbone,
        "genes": needs.size.genes,
        "individuals": needs.size.people,
        "train_individuals": needs.training.people,
        "window": needs.size.window,
        "windows": needs.size.windows,
        "unique_windows": needs.size.unique,
        "unique_source": needs.size.source,
        "stored_bytes": needs.bytes,
        "pass_hours": needs.pass_hours,
        "reference_hours": needs.reference_hours,
        "personal_hours": needs.personal_hours,
        "hours": needs.hours,
        "costs_source": needs.costs.source,
        "gpus": needs.gpus,
        "fits": fits,
    }


def hours_words(hours: float) -> str:
    """Return a time for people to read."""
    if hours >= 2 * 8_766:
        return f"{hours / 8_766:,.0f} years"
    if hours >= 48:
        return f"{hours / 24:,.0f} d"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"
