"""What baselines are to be fitted, in values that a plan can hold, and the same read from disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from glm2x.baselines.features import PooledFeatures
from glm2x.baselines.fitting import Asked
from glm2x.baselines.processes import one_thread
from glm2x.baselines.scores import VariantScores, read_scores
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.config import TargetMode
from glm2x.place import Place


@dataclass(frozen=True)
class FitRequest:
    """What is to be fitted to a split; see `glm2x.baselines.run.run_baselines`.

    Attributes
    ----------
    covariates_keep
        None: all of the cohort's.
    scores, embeddings
        A table of variants' scores and an embedding store, or None.
    """

    models: tuple[str, ...]
    target: TargetMode
    window: int
    prior_window: int
    covariates_keep: tuple[str, ...] | None
    keep_weights: bool
    scores: Path | None
    embeddings: Place | None

    def asked(self, cohort: Cohort, split: Split) -> Asked:
        """Return the same with everything read, of one split."""
        features = self.features(cohort, split)
        return Asked(
            cohort,
            split,
            one_thread(lambda: make_target(cohort, split, self.target, self.covariates_keep)),
            self.names(features),
            self.window,
            self.prior_window,
            self._scores,
            features,
            self.keep_weights,
        )

    @cached_property
    def _scores(self) -> VariantScores | None:
        return None if self.scores is None else read_scores(self.scores)

    def names(self, features: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the models: those asked for and, named or not, those on features."""
        return (*self.models, *(name for name in features if name not in self.models))

    def features(self, cohort: Cohort, split: Split) -> dict[str, PooledFeatures]:
        """Return, by the name of its model, what the store holds of a split's people."""
        if self.embeddings is None:
            return {}
        from glm2x.embeddings.pooled import Pooled
        from glm2x.embeddings.store import Store

        opened = Store.open(self.embeddings)
        people = (*split.train, *split.validation, *split.test)
        return {f"ridge-{opened.spec.backbone}": Pooled(opened, cohort, people)}

    def as_json(self) -> dict[str, Any]:
        """Return all but the paths, which a plan keeps with their digests."""
        values = asdict(self)
        return {name: value for name, value in values.items() if name not in ("scores", "embeddings")}

    @classmethod
    def from_json(cls, values: dict[str, Any], scores: Path | None, embeddings: Place | None) -> FitRequest:
        """Return what `as_json` gave, with the paths where they are now."""
        listed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**listed, scores=scores, embeddings=embeddings)
