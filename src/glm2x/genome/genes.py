"""Genes, their windows, and the two ways contigs are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from glm2x.errors import UsageError

Strand = Literal["+", "-"]
GeneSide = Literal["seen", "unseen"]  # of a split of genes

_ENSEMBL = re.compile(r"(ENS[A-Z]*\d{6,})\.\d+(_PAR_Y)?")


@dataclass(frozen=True)
class Gene:
    """A gene: identifier as given, contig, TSS (0-based) and strand."""

    gene: str
    contig: str
    tss: int
    strand: Strand


def require_window(window: int) -> None:
    """Raise `UsageError` where a window is not an even, positive number of base pairs."""
    if window <= 0 or window % 2:
        raise UsageError(
            "a window is an even, positive number of base pairs", got=str(window), wanted="such as 64000"
        )


def window_interval(tss: int, window: int) -> tuple[int, int]:
    """Return ``[tss - window/2, tss + window/2)``, 0-based half-open; it may leave the contig.

    Parameters
    ----------
    tss
        0-based.
    window
        Length in bp; `UsageError` where it is not even and positive.
    """
    require_window(window)
    return tss - window // 2, tss + window // 2


def unversioned(gene: str) -> str:
    """Return an Ensembl identifier without its version: ``ENSG00000206176.5`` is ``ENSG00000206176``.

    Other names stay as they are: ``RP11-34P13.7`` and ``RP11-34P13.8`` are two genes.
    """
    match = _ENSEMBL.fullmatch(gene)
    return f"{match[1]}{match[2] or ''}" if match else gene


def index_of_names(names: Iterable[str]) -> dict[str, int]:
    """Return the place of each gene by its name as given and, where only one has it, without version."""
    names = list(names)
    stems = Counter(unversioned(name) for name in names)
    places = {unversioned(name): i for i, name in enumerate(names) if stems[unversioned(name)] == 1}
    return places | {name: i for i, name in enumerate(names)}


def contig_key(name: str) -> str:
    """Return the name that `22` and `chr22` (and `M`, `MT`, `chrM`) share."""
    key = name.removeprefix("chr")
    return "MT" if key == "M" else key


def contig_forms(name: str) -> tuple[str, ...]:
    """Return the names that mean the same contig, the given one first."""
    key = contig_key(name)
    short = ("MT", "M") if key == "MT" else (key,)
    return tuple(dict.fromkeys((name, *short, *(f"chr{form}" for form in short))))


def match_contigs(names: Iterable[str], available: Iterable[str]) -> dict[str, str]:
    """Map each of `names` to the one of `available` that means the same contig: the same name first."""
    available = list(available)
    by_key: dict[str, str] = {}
    for name in available:
        by_key.setdefault(contig_key(name), name)
    same = {name: name for name in available}
    matched = {name: same.get(name, by_key.get(contig_key(name))) for name in names}
    return {name: found for name, found in matched.items() if found is not None}
