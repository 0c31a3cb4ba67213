"""Causal variants and their effects: the part of expression that belongs to one gene alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glm2x.simulate.settings import RARE, Settings

NEAR = 5_000.0  # bp


@dataclass(frozen=True)
class Effects:
    """Causal variants of one gene.

    Attributes
    ----------
    columns
        int64 ``[causal]``, columns of the gene's dosages, ascending.
    effect
        float64 ``[causal]``, of one alternative allele; alleles and haplotypes add up.
    rare
        bool ``[causal]``.
    """

    columns: NDArray[np.int64]
    effect: NDArray[np.float64]
    rare: NDArray[np.bool_]

    def genetic_value(self, dosage: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the alleles of each individual add up to, float64 ``[individuals]``."""
        value: NDArray[np.float64] = dosage[:, self.columns].astype(np.float64) @ self.effect
        return value


def draw_effects(
    dosage: NDArray[np.float32],
    distance: NDArray[np.int64],
    settings: Settings,
    rng: np.random.Generator,
) -> Effects:
    """Draw a gene's causal variants, and normal effects on their standardised dosages.

    The variance of each effect is such that the expected variance of their sum is ``h2 (1 -
    grammar_share)``, whatever the linkage between them: in one gene it is more, in another less. With
    ``causal="all"``, ``rare_share="any"`` and ``placement="uniform"`` this is the model of GBLUP.

    Parameters
    ----------
    dosage
        float32 ``[individuals, variants]``.
    distance
        int64 ``[variants]``, position - TSS, bp.
    """
    deviation = dosage.std(axis=0, dtype=np.float64)
    frequency = dosage.mean(axis=0, dtype=np.float64) / 2
    rare = np.minimum(frequency, 1 - frequency) < RARE
    variance = settings.h2 * (1.0 - settings.grammar_share)
    if settings.rare_share == "any":
        groups = [(deviation > 0, variance)]
    else:
        of_rare = variance * settings.rare_share
        groups = [(~rare & (deviation > 0), variance - of_rare), (rare & (deviation > 0), of_rare)]
    effect = np.zeros(len(distance))
    near = (1.0 + np.abs(distance) / NEAR) ** -2.0
    for among, share in groups:
        likely = np.where(among, near if settings.placement == "near-tss" else 1.0, 0.0)
        if share == 0.0 or not among.any():
            continue
        if settings.causal == "all":
            chosen = np.flatnonzero(among)
            each = share * likely[chosen] / likely.sum()
        else:
            count = min(settings.causal, int(among.sum()))
            chosen = np.sort(rng.choice(len(likely), count, replace=False, p=likely / likely.sum()))
            each = np.full(count, share / count)
        effect[chosen] = rng.normal(size=len(chosen)) * np.sqrt(each) / deviation[chosen]
    columns = np.flatnonzero(effect)
    return Effects(columns, effect[columns], rare[columns])
