"""What a study needs: passes, bytes and hours of each backbone; and what would fit where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from glm2x.study.costs import READ_BYTES, Costs
from glm2x.study.size import Size

BINS = 400
"""Bins that are proposed where all tokens do not fit: 160 bp each at 64 kb."""

_FP32, _BF16 = 4, 2
_HOUR = 3_600.0


@dataclass(frozen=True)
class Kept:
    """What is stored of a haplotype: rows of `width` numbers of `itemsize` bytes."""

    rows: int
    width: int
    itemsize: int

    @property
    def bytes(self) -> int:
        """Bytes of one haplotype."""
        return self.rows * self.width * self.itemsize


def kept(keep: str, tokens: int, width: int, bins: int | None) -> Kept:
    """Return what ``--keep tokens|bins|mean`` stores; what is reduced is float32, tokens are bf16."""
    if keep == "tokens":
        return Kept(tokens, width, _BF16)
    return Kept(1 if keep == "mean" else min(bins or BINS, tokens), width, _FP32)


@dataclass(frozen=True)
class Training:
    """How much is trained: people and genes of the personal phase, genes of the reference phase, epochs."""

    people: int
    genes: int
    reference_genes: int
    epochs: int

    @property
    def reference_windows(self) -> int:
        """Windows of a reference phase."""
        return self.epochs * self.reference_genes

    @property
    def personal_windows(self) -> int:
        """Windows of a personal phase."""
        return self.epochs * 2 * self.people * self.genes


@dataclass(frozen=True)
class Needs:
    """What one backbone takes in a study.

    Attributes
    ----------
    backbone, size, costs
        What for.
    stored
        What is stored of a haplotype; None where the backbone is trained itself.
    training
        How much is trained.
    gpus
        Devices that share the work evenly.
    """

    backbone: str
    size: Size
    costs: Costs
    stored: Kept | None
    training: Training
    gpus: int = 1

    @property
    def bytes(self) -> int:
        """Bytes of the store."""
        return 0 if self.stored is None else self.size.unique * self.stored.bytes

    @property
    def bytes_without_dictionary(self) -> int:
        """Bytes that a file for each person's haplotype would take."""
        return 0 if self.stored is None else self.size.windows * self.stored.bytes

    @property
    def pass_hours(self) -> float:
        """Hours until each unique haplotype went through the backbone once: extraction, or prediction."""
        return self.size.unique * self.costs.forward / self.gpus / _HOUR

    @property
    def reference_hours(self) -> float:
        """Hours of a reference phase."""
        return self._train(self.training.reference_windows)

    @property
    def personal_hours(self) -> float:
        """Hours of a personal phase."""
        return self._train(self.training.personal_windows)

    @property
    def hours(self) -> float:
        """Hours of everything: the three strategies share the reference phase of reference-then-personal."""
        return self.pass_hours + self.reference_hours + 2 * self.personal_hours

    def _train(self, windows: int) -> float:
        computing = windows * self.costs.train
        # of a store larger than memory each window is read from the disk again
        reading = 0.0 if self.stored is None else windows * self.stored.bytes / READ_BYTES
        return max(computing, reading) / self.gpus / _HOUR


@dataclass(frozen=True)
class Alternative:
    """A change that makes a study smaller, and what it then needs."""

    change: str
    needs: Needs


def alternatives(
    needs: Needs,
    tokens: int,
    sizes: Sequence[tuple[str, Size]],
    cost: Callable[[Kept | None], Costs],
    fits: Callable[[Needs], bool],
) -> list[Alternative]:
    """Return what would make a study smaller: each change alone, and filtered genotypes in bins.

    Parameters
    ----------
    tokens
        Of a window; 0 for a backbone that is trained itself.
    sizes
        In words, the sizes of the study with fewer variants.
    cost
        What a window costs where something else is stored of it.
    fits
        Whether needs can be met; the number of genes is the largest of which it holds.
    """
    found = [
        Alternative(words, replace(needs, size=size))
        for words, size in sizes
        if size.unique < needs.size.unique
    ]
    if needs.stored is not None:
        fewer = list(found)
        for words, keep in ((f"--keep bins --bins {BINS}", "bins"), ("--keep mean", "mean")):
            less = kept(keep, tokens, needs.stored.width, None)
            if less.bytes >= needs.stored.bytes:
                continue
            reduced = replace(needs, stored=less, costs=cost(less))
            found.append(Alternative(words, reduced))
            if keep == "bins":
                found += [
                    Alternative(f"{one.change} and {words}", replace(reduced, size=one.needs.size))
                    for one in fewer
                ]
    genes = _most_genes(needs, fits)
    if 0 < genes < needs.size.genes:
        found.append(Alternative(f"{genes:,} genes", _of_genes(needs, genes)))
    return found


def _of_genes(needs: Needs, genes: int) -> Needs:
    training = replace(needs.training, genes=min(genes, needs.training.genes))
    return replace(needs, size=needs.size.of_genes(genes), training=training)


def _most_genes(needs: Needs, fits: Callable[[Needs], bool]) -> int:
    """Return the largest number of genes that fits, by bisection; 0 where not even one does."""
    low, high = 0, needs.size.genes
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(_of_genes(needs, middle)) else (low, middle - 1)
    return low
