"""Genes, their windows, and the two ways contigs are named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Strand = Literal["+", "-"]


@dataclass(frozen=True)
class Gene:
    """A gene: identifier as given, contig, TSS (0-based) and strand."""

    gene: str
    contig: str
    tss: int
    strand: Strand


def window_interval(tss: int, window: int) -> tuple[int, int]:
    """Return ``[tss - window/2, tss + window/2)``, 0-based half-open; it may leave the contig.

    Parameters
    ----------
    tss
        0-based.
    window
        Length in bp, even.
    """
    if window <= 0 or window % 2:
        raise ValueError(f"a window has an even, positive number of base pairs, not {window}")
    return tss - window // 2, tss + window // 2


def unversioned(gene: str) -> str:
    """Return a gene identifier without its version: ``ENSG00000206176.5`` is ``ENSG00000206176``."""
    stem, _, version = gene.rpartition(".")
    return stem if stem and version.isdigit() else gene


def contig_key(name: str) -> str:
    """Return the name that `22` and `chr22` (and `M`, `MT`, `chrM`) share."""
    key = name.removeprefix("chr")
    return "MT" if key == "M" else key


def match_contigs(names: Iterable[str], available: Iterable[str]) -> dict[str, str]:
    """Map each of `names` to the one of `available` that means the same contig, where there is one."""
    by_key = {contig_key(name): name for name in available}
    return {name: by_key[contig_key(name)] for name in names if contig_key(name) in by_key}
