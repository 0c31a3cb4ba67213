"""Mean r of one row within each population: whether a model holds for all of them or for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glm2x.evaluation.comparisons import drawn_pearson, mean_pearson, moments
from glm2x.evaluation.tables import CellRow
from glm2x.evaluation.uncertainty import Draws, mean_interval


def by_population(
    row: CellRow, members: Mapping[str, NDArray[np.int64]], draws: Draws
) -> dict[str, dict[str, Any]]:
    """Return the mean over genes of Pearson r among the people of each population alone.

    Parameters
    ----------
    members
        Of each population, the places of its people on the cell's axis, int [people].
    draws
        Those of the cell; a population's interval takes its people out of them.

    Returns
    -------
    dict
        By population `individuals`, `genes` (with a defined r there), `mean_pearson` and
        `ci95_mean_pearson`; a population in which no gene has a defined r is not in it.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, people in members.items():
        part = replace(row, predicted=row.predicted[..., people], observed=row.observed[..., people])
        mask = part.mask
        r, _ = mean_pearson(part, mask)
        genes = np.isfinite(r)
        if not genes.any():
            continue
        own = Draws(draws.genes, draws.individuals[:, people], draws.blocks, draws.families[people])
        drawn = moments(drawn_pearson(part, mask, own), genes)
        interval = mean_interval(r[genes], drawn, own.take(genes))
        found[name] = {
            "individuals": int(mask[genes].any(axis=0).sum()),
            "genes": int(genes.sum()),
            "mean_pearson": interval.mean,
            "ci95_mean_pearson": list(interval.ci95),
        }
    return found
