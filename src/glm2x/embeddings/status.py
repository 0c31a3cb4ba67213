"""How far a store's plans are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from glm2x.claims import claims
from glm2x.embeddings.plan import read_plans
from glm2x.embeddings.shard import shard_path
from glm2x.embeddings.store import Store
from glm2x.errors import DataError

_AT_ONCE = 16_384  # keys that are texts of Python at the same time


@dataclass(frozen=True)
class PlanStatus:
    """How far a plan is: haplotypes that it names and that the store holds, and the genes of the others."""

    name: str
    cohort: str
    planned: int
    stored: int
    lacking_genes: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """What a store holds: haplotypes and their bytes, its plans, and the shards that processes work on."""

    haplotypes: int
    bytes: int
    plans: tuple[PlanStatus, ...]
    in_hand: int


def status(store: Store) -> Status:
    """Return how far a store's plans are."""
    plans = []
    for plan in read_plans(store.folder):
        planned, lacking, genes = len(plan.table), 0, dict[str, None]()
        for part in plan.table.iter_slices(_AT_ONCE):
            missing = store.missing(part["key"].to_list())
            lacking += len(missing)
            genes |= dict.fromkeys(part.filter(pl.col("key").is_in(missing))["gene"])
        plans.append(PlanStatus(plan.name, str(plan.cohort), planned, planned - lacking, tuple(genes)))
    return Status(len(store), len(store) * store.spec.bytes_of_one, tuple(plans), claims(store.folder))


def require_complete(store: Store) -> int:
    """Return how many haplotypes are planned, all of which the store holds.

    Raises
    ------
    DataError
        Something planned is not stored; it is named. Or nothing is planned, nor stored; or shards that were
        written are gone.
    """
    found = status(store)
    if not found.plans and not found.haplotypes:
        raise DataError(
            "nothing is planned in this store, and it holds nothing",
            where=str(store.folder),
            do="glm2x embed plan --out STORE, then glm2x embed run STORE",
        )
    gone = store.gone()
    if gone:
        raise DataError(
            f"{len(gone):,} shards that were written are gone",
            where=str(store.folder),
            got=f"no file {shard_path(Path(), gone[0])}",
            do="restore them from a copy; or let glm2x embed gc forget them, and glm2x embed run (or import, "
            "where they were imported) make them again",
        )
    lacking = sum(plan.planned - plan.stored for plan in found.plans)
    genes = list(dict.fromkeys(gene for plan in found.plans for gene in plan.lacking_genes))
    if lacking:
        raise DataError(
            f"{lacking:,} of the planned haplotypes are not stored",
            where=str(store.folder),
            got=f"{len(genes):,} genes are not complete: {', '.join(genes[:3])}"
            + (", ..." if len(genes) > 3 else ""),
            do="glm2x embed run computes them"
            + (f" (processes have {found.in_hand} shards in hand)" if found.in_hand else ""),
        )
    return sum(plan.planned for plan in found.plans)
