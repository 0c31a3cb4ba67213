"""Filling a store, shard by shard: a plan's haplotypes go through the model, and what it gives is written."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import torch
from torch import Tensor

from glm2x.backbones.device import torch_threads
from glm2x.backbones.language import LanguageModel
from glm2x.backbones.tiling import Tiling, embed
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import PASSING_BYTES, HaplotypeDictionary
from glm2x.embeddings.key import sequence_key
from glm2x.embeddings.plan import PLANS, Plan, codes_of
from glm2x.embeddings.reduce import kept_of
from glm2x.embeddings.shard import DTYPES
from glm2x.embeddings.spec import StoreSpec
from glm2x.embeddings.store import Store
from glm2x.errors import DataError
from glm2x.progress import Advance


class Extractor:
    """Computes shards of a plan, one at a time.

    Raises
    ------
    DataError
        The cohort is another than the planned one, or the model another than the store's.
    """

    def __init__(
        self, store: Store, plan: Plan, cohort: Cohort, model: LanguageModel, device: torch.device
    ) -> None:
        require_cohort(plan, cohort)
        require_model(store, model)
        self.store, self.plan, self.device = store, plan, device
        self.model = model.to(device)
        self.dictionary = HaplotypeDictionary(cohort, store.spec.window, kept_bytes=PASSING_BYTES)

    def write(self, lines: pl.DataFrame, bar: Advance) -> None:
        """Compute the haplotypes of a shard's lines, by the plan's threads and batches, and write them."""
        with torch_threads(self.plan.threads):
            spec, batch = self.store.spec, self.plan.batch
            values = _compute(self.model, self.dictionary, lines, spec, batch, self.device, bar)
        self.dictionary.cohort.give_back()
        self.store.write_shard(lines["key"].to_list(), values)


def _compute(
    model: LanguageModel,
    dictionary: HaplotypeDictionary,
    lines: pl.DataFrame,
    spec: StoreSpec,
    batch: int,
    device: torch.device,
    bar: Advance,
) -> Tensor:
    """Return what the store keeps of a shard's haplotypes, [n, rows, width].

    They go through the model in the same batches whoever computes them.
    """
    values = torch.empty((len(lines), spec.rows, spec.width), dtype=DTYPES[spec.dtype])
    tiling = None if spec.tiling is None else Tiling(**spec.tiling)
    for start in range(0, len(lines), batch):
        part = lines[start : start + batch]
        codes = torch.cat([_letters(dictionary, *line) for line in part.iter_rows(named=False)])
        try:
            with torch.inference_mode():
                kept = kept_of(embed(model, codes.to(device), tiling, spec.strand), spec)
        except torch.OutOfMemoryError as error:
            raise _too_large(spec, len(part), error) from error
        _require_finite(kept, part)
        values[start : start + len(part)] = kept.cpu()
        bar.advance(len(part), part["gene"][-1])
    return values


def _letters(dictionary: HaplotypeDictionary, name: str, row: int, key: str, shard: str) -> Tensor:
    """Return a planned haplotype's letters, uint8 [1, window]."""
    gene = dictionary.gene(name)
    if row >= gene.n_unique:
        raise _not_the_cohort_s(name, row, f"{gene.n_unique:,} unique haplotypes", "that row")
    codes = codes_of(gene, [row])
    if sequence_key(codes[0]) != key:
        raise _not_the_cohort_s(name, row, f"sequence {sequence_key(codes[0])}", key)
    return torch.from_numpy(codes)


def _not_the_cohort_s(gene: str, row: int, got: str, wanted: str) -> DataError:
    return DataError(
        "a planned haplotype is not the cohort's",
        where=f"{gene}, row {row}",
        got=got,
        wanted=wanted,
        do=f"delete the plan (STORE/{PLANS}), and plan again: what is stored stays",
    )


def _too_large(spec: StoreSpec, windows: int, error: Exception) -> DataError:
    return DataError(
        f"the memory of the {spec.device} device does not hold what the model computes",
        got=f"{windows} windows of {spec.window:,} bp together; {str(error).partition('. ')[0]}",
        do="plan for fewer or shorter pieces: --batch-size 1, or --tile with another --out; the batch is the "
        f"plan's: delete that in STORE/{PLANS} first, what is stored stays",
    )


def _require_finite(kept: Tensor, lines: pl.DataFrame) -> None:
    if not bool(torch.isfinite(kept).all()):
        raise DataError(
            "the model's output is not finite",
            where=f"{lines['gene'][0]} to {lines['gene'][-1]}",
            got="NaN or infinity",
            wanted="numbers",
            do="look at the weights, and at the precision that the model computes in",
        )


def require_cohort(plan: Plan, cohort: Cohort) -> None:
    """Refuse a cohort that is not the planned one (`DataError`)."""
    if cohort.digest != plan.cohort_digest:
        raise DataError(
            "the cohort is another than the one that was planned with",
            where=str(cohort.folder),
            got=f"digest {cohort.digest[:12]}...",
            wanted=f"digest {plan.cohort_digest[:12]}...",
            do="give that one with --cohort, or plan again with this one",
        )


def require_model(store: Store, model: LanguageModel) -> None:
    """Refuse a model that is not the store's (`DataError`): other weights, another layer or precision."""
    replace(store.spec, model=dict(model.spec)).require_same(store.spec, str(store.folder))
