"""A control: baselines fitted again to people whose targets were exchanged, who have nothing to teach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from glm2x.baselines.registry import Baseline
from glm2x.errors import UsageError

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target

LEAST = 5
"""Fewer permutations have no standard error to speak of."""


def permuted_targets(
    target: Target, cohort: Cohort, split: Split, permutations: int, seed: int = 0
) -> Iterator[Target]:
    """Yield the target with the people to fit on (training and validation) in another order each time.

    The order is the same for all genes, so that a person's genes stay together; whoever is not measured
    in a gene is exchanged like everybody else. Nobody else's values change. The first permutations of a
    larger number are those of a smaller one.
    """
    fit = np.sort(cohort.individual_index((*split.train, *split.validation)))
    random = np.random.default_rng(seed)
    for _ in range(permutations):
        values = target.values.copy()
        values[:, fit] = target.values[:, random.permutation(fit)]
        yield replace(target, values=values)


def refitted(models: Sequence[Baseline]) -> tuple[str, ...]:
    """Return the names of the models to fit again: the quick ones, without the training mean.

    Raises
    ------
    UsageError
        There are none.
    """
    names = tuple(model.name for model in models if not model.slow and model.name != "training-mean")
    if not names:
        raise UsageError(
            "none of the models is quick enough to be fitted to permuted people again and again",
            where="--permuted",
            got=", ".join(model.name for model in models),
            wanted="ridge, gblup, top-variant or genotype-pcs among --models",
        )
    return names
