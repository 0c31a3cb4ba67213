"""What the work on a store's plans takes: their cohorts and the model, opened where they lie now."""

from __future__ import annotations

from pathlib import Path

import torch

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.packages import package_of
from glm2x.backbones.registry import build_language_model, get_as_made
from glm2x.cohort.cohort import Cohort
from glm2x.config import BackboneConfig
from glm2x.embeddings.extract import Extractor, require_cohort
from glm2x.embeddings.plan import Plan, read_plans
from glm2x.embeddings.store import Store
from glm2x.errors import DataError, UsageError


class Opened:
    """A store's plans, and what computes their shards.

    A model is built when the first plan that names it is worked on, and there is one at a time: two may be
    too many for the device.

    Parameters
    ----------
    cohort, weights
        Where the cohort and the folder of weights lie now; by default where they were when planned. Plans
        of other cohorts than `cohort` come after its own, from where theirs were.
    remote_code
        Whether code that comes with the model may run: a plan that says so is not enough.

    Raises
    ------
    UsageError
        There is no plan, or the store's device is not on this machine.
    DataError
        `cohort` is that of no plan.
    """

    def __init__(
        self,
        store: Store,
        *,
        cohort: Path | None = None,
        weights: Path | None = None,
        remote_code: bool = False,
    ) -> None:
        self.store, self.plans = store, _plans(store)
        self._given = None if cohort is None else Cohort.open(cohort)
        if self._given is not None:
            given = self._given.digest
            self.plans.sort(key=lambda plan: plan.cohort_digest != given)
            require_cohort(self.plans[0], self._given)
        self._weights, self._remote_code = weights, remote_code
        self._model: LanguageModel | None = None
        self._built_from: BackboneConfig | None = None
        self._extractor: Extractor | None = None

    def extractor(self, plan: Plan) -> Extractor:
        """Return what computes a plan's shards.

        Raises
        ------
        UsageError
            The store's device is not on this machine, or code would run unasked.
        DataError
            The plan's cohort is not where it was, or is another; or the model is.
        """
        if self._extractor is None or self._extractor.plan is not plan:
            _require_device(self.store)
            model, device = self._model_of(plan), torch.device(self.store.spec.device)
            self._extractor = Extractor(self.store, plan, self._cohort_of(plan), model, device)
        return self._extractor

    def _model_of(self, plan: Plan) -> LanguageModel:
        config = plan.backbone
        if config.remote_code and not self._remote_code:
            raise UsageError(
                "the plan's model runs code of its own",
                where=f"{self.store.folder}, plan {plan.name}",
                got=f"{config.model or config.weights} at {config.revision}",
                do="give --remote-code to let it run, if you trust it",
            )
        where = str(self.store.folder)
        get_as_made(config.name, package_of(self.store.spec.model, where), where)
        if self._weights is not None:
            config = config.model_copy(update={"weights": str(self._weights)})
        if self._model is None or config != self._built_from:
            self._model = self._extractor = None
            self._model, self._built_from = build_language_model(config), config
        return self._model

    def _cohort_of(self, plan: Plan) -> Cohort:
        if self._given is not None and self._given.digest == plan.cohort_digest:
            return self._given
        if not plan.cohort.is_dir():
            raise DataError(
                "the cohort is not where it was when it was planned with",
                where=f"plan {plan.name}",
                got=f"no folder {plan.cohort}",
                do="say with --cohort where it lies now",
            )
        return Cohort.open(plan.cohort)


def _plans(store: Store) -> list[Plan]:
    plans = read_plans(store.folder)
    if not plans:
        raise UsageError(
            "nothing is planned in this store", where=str(store.folder), do="glm2x embed plan --out STORE"
        )
    return plans


def _require_device(store: Store) -> None:
    from glm2x.backbones.device import require_device

    require_device(store.spec.device, where=f"{store.folder}, which is to be filled on {store.spec.device}")
