"""Ridge regression on features that come from outside, such as embeddings pooled over a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import Fit, GeneData
from glm2x.baselines.ridge import ridge
from glm2x.errors import DataError

PREFIX = "ridge-"
"""What the name of a model on features begins with; the backbone's name follows."""

# Of a channel's root mean square: a mean of float32 over a window holds about 1e-7 of it as rounding, which
# must not be standardised into a signal.
_LEAST_SPREAD = 1e-6


class PooledFeatures(Protocol):
    """Features of every person for each gene, for example the pooled embedding of a frozen model."""

    def gene(self, gene: str) -> NDArray[np.float32]:
        """Return float32 [individuals of the cohort, channels]: the mean over a person's two haplotypes.

        Rows are in the cohort's order. Those of people who are neither fitted nor predicted are not looked
        at. Channels may differ in number between genes.
        """


def pooled_ridge(data: GeneData) -> Fit:
    """Predict by ridge regression on features, with the penalty of the least leave-one-out error.

    As `ridge`, in float64 and by the people's products: an embedding has more channels than there are
    people. Channels are standardised on the people fitted; those that vary by rounding only are left
    out. The weights, of channels, are not kept.

    Parameters
    ----------
    data
        Features, float32 [people, channels], in the place of dosages.
    """
    features = data.dosage_fit.astype(np.float64)
    spread, size = features.std(axis=0), np.sqrt(np.mean(features**2, axis=0))
    kept = spread > _LEAST_SPREAD * size
    fit = ridge(replace(data, dosage_fit=features[:, kept], dosage=data.dosage[:, kept]))
    return Fit(fit.predicted, held_out=fit.held_out)


def features_of(
    source: PooledFeatures, gene: str, model: str, individuals: int, used: NDArray[np.int64]
) -> NDArray[Any]:
    """Return a gene's features, float [individuals, channels], of everybody in the cohort.

    Parameters
    ----------
    source
        Where they come from.
    model
        Named in a message.
    individuals
        How many people the cohort has.
    used : int64
        Rows of the people who are fitted or predicted: they must have finite features.

    Raises
    ------
    DataError
        The features are not one row a person, or not finite for somebody who is used.
    """
    features = np.asarray(source.gene(gene))
    if features.ndim != 2 or len(features) != individuals:
        raise DataError(
            "features are not one row a person",
            where=f"{model}, {gene}",
            got=f"an array of shape {features.shape}",
            wanted=f"{individuals} rows of channels",
        )
    bad = ~np.isfinite(features[used]).all(axis=1)
    if bad.any():
        raise DataError(
            f"features are missing or not finite for {int(bad.sum())} of {len(used)} people",
            where=f"{model}, {gene}",
            got=f"first: row {int(used[bad.argmax()])} of the cohort",
            wanted="finite numbers for everybody in the split",
            do="complete or verify the embeddings",
        )
    return features
