"""Whom and what a model has learnt from, its ancestors included, and whether a split may judge it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glm2x.errors import DataError
from glm2x.genome.genes import unversioned
from glm2x.training.samples import PhaseData
from glm2x.training.strategies import Phase

if TYPE_CHECKING:
    from glm2x.cohort.split import Split
    from glm2x.training.checkpoint import Checkpoint

SHOWN = 3


@dataclass(frozen=True)
class Touched:
    """Names of the people and genes that a model was trained on or validated with."""

    individuals: frozenset[str] = frozenset()
    genes: frozenset[str] = frozenset()

    @classmethod
    def by(cls, checkpoint: Checkpoint) -> Touched:
        """Return what a checkpoint's model has touched."""
        metadata = checkpoint.metadata
        return cls(frozenset(metadata.individuals_touched), frozenset(metadata.genes))

    def and_phase(self, phase: Phase, data: PhaseData, split: Split) -> Touched:
        """Return what is touched when a phase has been trained, too.

        A reference phase touches the training people, whose mean is its target; a personal phase
        the validation people as well.
        """
        people = split.train if phase.data == "reference" else split.train + split.validation
        return Touched(self.individuals.union(people), self.genes | data.genes())

    def require_apart(self, split: Split, *, what: str, where: str, do: str) -> None:
        """Refuse a split that would judge the model by people or genes that it has learnt from.

        Raises
        ------
        DataError
            One of the people is a test individual of `split`, or one of the genes unseen there
            (names are compared without versions).
        """
        people = sorted(name for name in self.individuals if split.individual_split(name) == "test")
        unseen = {unversioned(name) for name in split.unseen}
        genes = sorted(g for g in self.genes if (split.gene_split(g) or _side(g, unseen)) == "unseen")
        if not people and not genes:
            return
        found = [
            f"{len(names)} {kind}: {_first(names)}"
            for names, kind in ((people, "test individuals"), (genes, "unseen genes"))
            if names
        ]
        raise DataError(
            f"{what} was trained or validated with test individuals or unseen genes of the split",
            where=where,
            got="; ".join(found),
            wanted="none: these are what the split measures generalisation by",
            do=do,
        )


def _side(gene: str, unseen: set[str]) -> str | None:
    """Return ``unseen`` for a gene of which the split holds several versions, one of them unseen."""
    return "unseen" if unversioned(gene) in unseen else None


def _first(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")
