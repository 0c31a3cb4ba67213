"""Splits: people into train, validation and test, genes into seen and unseen; frozen in one JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json, write_json
from glm2x.genome.genes import GeneSide, index_of_names, unversioned
from glm2x.seal import CHECKSUM, digest

FORMAT_VERSION = 1

IndividualSide = Literal["train", "validation", "test"]

_LATER = ("relatives", "draw", "base_digest")  # keys that are left out where null: older splits have none


@dataclass(frozen=True)
class Split:
    """Who is learnt from and who is predicted.

    Attributes
    ----------
    train, validation, test
        Individuals. Epochs are chosen on validation people; test people are only ever predicted.
    seen, unseen
        Genes. `unseen` are never trained on.
    reference_validation
        The seen genes on which a phase that trains on the reference chooses its epoch.
    reference_excluded
        Seen genes whose window overlaps one of those; such a phase does not train on them.
    excluded_genes
        Genes that are neither seen nor unseen, and why (their window overlaps one of the other side).
    preset, seed, cohort_digest, window
        How the split was made. `window` (bp) is the one for which gene sets do not overlap.
    relatives
        What was done about relatives, in a sentence; None where nothing was.
    draw, base_digest
        Of a few-shot split: which draw of training people it is, and the digest of the split that
        they were drawn from. Test people and genes are that one's.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    reference_validation: tuple[str, ...]
    preset: str
    seed: int | None
    cohort_digest: str
    window: int
    reference_excluded: tuple[str, ...] = ()
    excluded_genes: dict[str, str] = field(default_factory=dict)
    relatives: str | None = None
    draw: int | None = None
    base_digest: str | None = None

    def __post_init__(self) -> None:
        people = {"train": self.train, "validation": self.validation, "test": self.test}
        _refuse_overlap(people, "an individual")
        _refuse_overlap({"seen": self.seen, "unseen": self.unseen}, "a gene")
        if not self.train:
            raise UsageError("the split has no training people", wanted="at least one")

    def require_cohort(self, cohort: Cohort) -> None:
        """Raise `DataError` where the split was made for another cohort."""
        if self.cohort_digest != cohort.digest:
            raise DataError(
                "the split was made for another cohort",
                where=str(cohort.folder),
                got=f"a split of cohort {self.cohort_digest[:12]}",
                wanted=f"cohort {cohort.digest[:12]}",
                do=f"glm2x split {cohort.folder} makes a new one",
            )

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the split's content."""
        return digest(self._content())

    @property
    def family(self) -> str:
        """The digest of the base: what splits with the same test people and genes share."""
        return self.base_digest or self.digest

    def individual_split(self, individual: str) -> IndividualSide | None:
        """Return the side of an individual; None for somebody who is on none."""
        return self._individuals.get(individual)

    def gene_split(self, gene: str) -> GeneSide | None:
        """Return the side of a gene, with or without its version; None for one on neither."""
        return self._genes.get(gene) or self._genes.get(unversioned(gene))

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the split with its digest as JSON; `UsageError` for a file that is there, without `force`."""
        content = {"format_version": FORMAT_VERSION, "digest": self.digest, **self._content()}
        write_json(path, content, force=force)

    @classmethod
    def load(cls, path: Path | str) -> Split:
        """Read a split.

        Raises
        ------
        DataError
            The file is missing, of another version, or was changed since it was frozen (its digest differs).
        """
        values: dict[str, Any] = read_json(path, verify=False)
        if not isinstance(values, dict) or values.pop("format_version", None) != FORMAT_VERSION:
            raise DataError(
                "this is no split, or one of another format version",
                where=str(path),
                wanted=f"format_version {FORMAT_VERSION}",
                do="glm2x split COHORT --preset NAME --out " + str(path),
            )
        recorded = values.pop("digest", None)  # which says more than a checksum beside it
        values.pop(CHECKSUM, None)
        try:
            frozen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
            split = cls(**frozen)
        except (TypeError, AttributeError) as error:
            raise DataError(
                "the split lacks a key or has one too many", where=str(path), got=str(error)
            ) from error
        if recorded != split.digest:
            raise DataError(
                "the split was changed after it was made: its digest is another",
                where=str(path),
                got=split.digest[:12],
                wanted=str(recorded)[:12],
                do="make a new split, so that results name the people they were made with",
            )
        return split

    def _content(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v is not None or k not in _LATER}

    @cached_property
    def _individuals(self) -> dict[str, IndividualSide]:
        sides: dict[IndividualSide, tuple[str, ...]] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: side for side, names in sides.items() for name in names}

    @cached_property
    def _genes(self) -> dict[str, GeneSide]:
        seen: list[GeneSide] = ["seen"] * len(self.seen)
        unseen: list[GeneSide] = ["unseen"] * len(self.unseen)
        side_of = seen + unseen
        return {name: side_of[i] for name, i in index_of_names((*self.seen, *self.unseen)).items()}


def _refuse_overlap(sides: dict[str, tuple[str, ...]], kind: str) -> None:
    side_of: dict[str, str] = {}
    for side, names in sides.items():
        for name in names:
            if name in side_of:
                raise UsageError(
                    f"{kind} stands twice in the split",
                    where=name,
                    got=f"{side_of[name]} and {side}",
                    wanted="one side",
                    do="take it out of one list",
                )
            side_of[name] = side
