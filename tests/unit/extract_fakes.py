"""Plans of small stores, for the tests of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch

from glm2x.backbones.language import LanguageModel
from glm2x.cohort.cohort import Cohort
from glm2x.config import BackboneConfig
from glm2x.embeddings.describe import spec_of
from glm2x.embeddings.extract import Extractor
from glm2x.embeddings.plan import Plan, unplanned, wanted_haplotypes, write_plan
from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store
from glm2x.progress import silent
from glm2x.work.kinds.embed import EmbedWork

WINDOW = 512
CPU = torch.device("cpu")


def spec_for(model: LanguageModel, **changes: object) -> StoreSpec:
    settings: dict = {"keep": "tokens", "bins": None, "dtype": None, "strand": "gene"}
    settings |= {"tile": None, "overlap": None, "device": "cpu"}
    return spec_of("counting", model, WINDOW, **(settings | changes))


def planned(
    folder: Path,
    cohort: Cohort,
    genes: tuple[str, ...],
    model: LanguageModel,
    *,
    each: int = 3,
    **changes: object,
) -> tuple[Store, Plan]:
    store = Store.create(folder, spec_for(model, **changes))
    wanted = wanted_haplotypes(cohort, WINDOW, genes, cohort.individuals[:40], silent)
    todo = unplanned(store, wanted)
    return store, write_plan(store, cohort, todo, BackboneConfig(name="kmer"), batch=2, shard_haplotypes=each)


class Done(NamedTuple):
    """How many windows went through a model, and how many shards were made."""

    passes: int
    shards: int


def work_of(store: Store, plan: Plan, cohort: Cohort, model: LanguageModel) -> EmbedWork:
    """Return a plan as work, with a model that no backbone is."""
    extractor = Extractor(store, plan, cohort, model, CPU)
    return EmbedWork(SimpleNamespace(store=store, plans=[plan], extractor=lambda _: extractor))


def extract(store: Store, plan: Plan, cohort: Cohort, model: LanguageModel) -> Done:
    """Work on a plan until it is done, and let errors through."""
    work = work_of(store, plan, cohort, model)
    todo = work.undone()
    for i in todo:
        work.compute(i)
    return Done(work.haplotypes(todo), len(todo))
