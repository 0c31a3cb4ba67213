"""What a simulated cohort is to be like."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from glm2x.errors import UsageError
from glm2x.genome.genes import require_window

RARE = 0.01
"""A variant whose minor allele is rarer than this among the people is rare."""

FEWEST_INDIVIDUALS = 4  # of a population

Placement = Literal["uniform", "near-tss"]


@dataclass(frozen=True)
class Settings:
    """What a simulated cohort is to be like. Variances are shares of that of genetics and noise, which is 1.

    Attributes
    ----------
    individuals, populations
        How many people, and of how many populations of (almost) the same size.
    genes, contigs
        How many genes, and on how many contigs.
    window
        Where a gene's causal variants and motifs lie, bp; even.
    spacing
        Between the TSSs of neighbours, bp; None for windows that do not overlap (1.25 of one).
    fst
        Between any two populations.
    diversity, recombination
        4 N mu and 4 N r a base.
    variant_kind
        ``snp``, or ``all`` for indels too.
    sibling_share
        Of the people, those that come in pairs of siblings.
    h2
        The expected share of the variance that is genetic.
    causal
        Causal variants a gene with a minor allele of at least `RARE`; ``all`` for every one of them.
    placement
        ``uniform`` over the window, or ``near-tss``: (1 + distance / 5 kb)^-2 times as probable (with all
        of them causal, as large a variance of the effect).
    rare_share
        Of the variance of the causal variants, that of rare ones, as many more a gene; ``any`` draws the
        causal variants whatever their frequency.
    grammar_share
        Of h2, what comes from motifs that have the same effect in every gene.
    covariates, covariate_variance
        How many, and what they add to the variance together.
    population_variance
        What differences between populations that are not genetic add to the variance.
    shared_noise
        Of the variance of the noise, what is shared between the genes of a person.
    seed
        The same seed gives the same files.

    Raises
    ------
    UsageError
        A number is outside its range.
    """

    individuals: int = 300
    genes: int = 100
    populations: int = 2
    contigs: int = 1
    window: int = 64_000
    spacing: int | None = None
    fst: float = 0.05
    diversity: float = 8e-4
    recombination: float = 5e-4
    variant_kind: Literal["snp", "all"] = "snp"
    sibling_share: float = 0.0
    h2: float = 0.3
    causal: int | Literal["all"] = 3
    placement: Placement = "near-tss"
    rare_share: float | Literal["any"] = 0.0
    grammar_share: float = 0.2
    covariates: int = 0
    covariate_variance: float = 0.3
    population_variance: float = 0.0
    shared_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        require_window(self.window)
        whole = {"populations": 1, "genes": 1, "contigs": 1, "covariates": 0, "seed": 0}
        for name, least in whole.items():
            self._require(getattr(self, name) >= least, name, f"at least {least}")
        self._require(self.contigs <= self.genes, "contigs", f"no more than genes ({self.genes})")
        least = FEWEST_INDIVIDUALS * self.populations
        self._require(
            self.individuals >= least, "individuals", f"at least {least}, {FEWEST_INDIVIDUALS} each"
        )
        self._require(self.gap >= 1, "spacing", "at least 1 bp")
        self._require(self.causal == "all" or self.causal >= 1, "causal", "at least 1, or all")
        for name in ("h2", "fst"):
            self._require(0 <= getattr(self, name) < 1, name, "at least 0 and below 1")
        for name in ("sibling_share", "grammar_share", "shared_noise"):
            self._require(0 <= getattr(self, name) <= 1, name, "between 0 and 1")
        rare = self.rare_share
        self._require(rare == "any" or 0 <= rare <= 1, "rare_share", "between 0 and 1, or any")
        for name in ("covariate_variance", "population_variance"):
            self._require(0 <= getattr(self, name) < float("inf"), name, "at least 0")
        self._require(0 < self.diversity <= 0.1, "diversity", "above 0 and at most 0.1")
        self._require(0 <= self.recombination <= 0.1, "recombination", "between 0 and 0.1")

    @property
    def gap(self) -> int:
        """Between the TSSs of neighbours, bp."""
        return self.window + self.window // 4 if self.spacing is None else self.spacing

    def as_json(self) -> dict[str, Any]:
        """Return what truth.json says of them."""
        return asdict(self) | {"spacing": self.gap}

    def _require(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise UsageError(
                f"{name.replace('_', ' ')} is outside its range",
                where=f"--{name.replace('_', '-')}",
                got=str(getattr(self, name)),
                wanted=wanted,
            )
