"""What is read of a cohort for each gene: who is fitted and predicted, the variants, and their prior."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData
from glm2x.baselines.features import PooledFeatures, features_of
from glm2x.baselines.prior import Prior, PriorGene, covariates_of
from glm2x.baselines.registry import PRIOR, WINDOW, Baseline

if TYPE_CHECKING:
    from glm2x.baselines.scores import MatchedScores
    from glm2x.cohort.cohort import Cohort, Dosages

KEPT_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Gatherer:
    """Reads genes for baselines.

    Parameters
    ----------
    cohort
    target : float64 [genes of the cohort, individuals]
    fit, everyone : int64
        Columns of the people to fit on, in the cohort's order, and of those to predict.
    window, prior_window
        bp.
    components : float64 [individuals, components], optional
    scores
        What else the prior knows of a variant.
    features
        By the model's name.
    """

    cohort: Cohort
    target: NDArray[np.float64]
    fit: NDArray[np.int64]
    everyone: NDArray[np.int64]
    window: int
    prior_window: int
    components: NDArray[np.float64] | None
    scores: MatchedScores | None
    features: Mapping[str, PooledFeatures]

    def genes(
        self, genes: Sequence[str], rows: NDArray[np.int64], models: Sequence[Baseline], prior: Prior | None
    ) -> Iterator[dict[str, GeneData]]:
        """Yield the data of each gene by the inputs that the models need."""
        inputs = {model.inputs for model in models}
        for gene, row in zip(genes, rows, strict=True):
            fit = self._measured(row)
            target = self.target[row, fit]
            found: dict[str, GeneData] = {}
            if WINDOW in inputs:
                dosage = self.cohort.dosages(gene, self.window).dosage
                found[WINDOW] = self._data(gene, dosage, fit, target)
            if prior is not None:
                wide, covariates, _ = self._wide(gene)
                variances = prior.variances(covariates)
                found[PRIOR] = GeneData(
                    gene, wide.dosage[fit], target, wide.dosage[self.everyone], prior=variances
                )
            for name, source in self.features.items():
                if name in inputs:
                    used = np.union1d(fit, self.everyone)
                    people = len(self.cohort.individuals)
                    features = features_of(source, gene, name, people, used)
                    found[name] = GeneData(gene, features[fit], target, features[self.everyone])
            yield found

    def prior_genes(self, genes: Sequence[str], rows: NDArray[np.int64]) -> Callable[[], Iterable[PriorGene]]:
        """Return what gives, at each call, what the prior learns from: nothing of people who are not fitted.

        The first genes, up to `KEPT_BYTES`, are read once; the others again at each call.
        """
        kept: list[PriorGene] = []
        room = KEPT_BYTES
        for gene, row in zip(genes, rows, strict=True):
            kept.append(self._prior_gene(gene, row))
            room -= kept[-1].data.dosage_fit.nbytes + kept[-1].covariates.nbytes
            if room < 0:
                break
        rest = list(zip(genes, rows, strict=True))[len(kept) :]
        return lambda: chain(kept, (self._prior_gene(gene, row) for gene, row in rest))

    def _prior_gene(self, gene: str, row: int) -> PriorGene:
        fit = self._measured(row)
        wide, covariates, _ = self._wide(gene)
        dosage = wide.dosage[fit].astype(np.uint8)  # 0, 1 or 2
        return PriorGene(GeneData(gene, dosage, self.target[row, fit], dosage[:0]), covariates)

    def scored(self, genes: Sequence[str]) -> tuple[int, int]:
        """Return how many variants the prior's windows of some genes hold, and how many have a score."""
        both = [(len(wide.position), scored) for wide, _, scored in map(self._wide, genes)]
        return sum(variants for variants, _ in both), sum(scored for _, scored in both)

    def _measured(self, row: int) -> NDArray[np.int64]:
        measured: NDArray[np.int64] = self.fit[np.isfinite(self.target[row, self.fit])]
        return measured

    def _wide(self, gene: str) -> tuple[Dosages, NDArray[np.float64], int]:
        dosages = self.cohort.dosages(gene, self.prior_window)
        if self.scores is None:
            return dosages, covariates_of(dosages.distance, None), 0
        score, scored = self.scores.covariate(self.cohort.gene(gene), self.prior_window)
        return dosages, covariates_of(dosages.distance, score), scored

    def _data(
        self, gene: str, dosage: NDArray[Any], fit: NDArray[np.int64], target: NDArray[np.float64]
    ) -> GeneData:
        components = self.components
        return GeneData(
            gene,
            dosage[fit],
            target,
            dosage[self.everyone],
            None if components is None else components[fit],
            None if components is None else components[self.everyone],
        )
