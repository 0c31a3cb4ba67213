"""One row against another: the paired difference of mean r, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from glm2x.report.format import is_number


@dataclass(frozen=True)
class Comparison:
    """Row `a` minus row `b` in mean Pearson r over genes, paired.

    Attributes
    ----------
    low, high
        95 % interval of the difference; None where there is none.
    smallest
        The difference that the data show with 80 % power at a two-sided 5 %.
    share_a_better, share_b_better
        Share of the genes on which one is better (Williams test, FDR < 0.05).
    """

    a: str
    b: str
    cell: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    genes: int | None
    smallest: float | None
    share_a_better: float | None
    share_b_better: float | None

    @property
    def kind(self) -> Literal["better", "worse", "untold"]:
        """`better` or `worse` where the interval leaves out 0, else `untold`."""
        if self.low is not None and self.low > 0:
            return "better"
        return "worse" if self.high is not None and self.high < 0 else "untold"

    def turned(self) -> Comparison:
        """Return the same comparison as b minus a."""
        return Comparison(
            a=self.b,
            b=self.a,
            cell=self.cell,
            difference=None if self.difference is None else -self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
            p=self.p,
            genes=self.genes,
            smallest=self.smallest,
            share_a_better=self.share_b_better,
            share_b_better=self.share_a_better,
        )


def read_comparison(value: Mapping[str, Any]) -> Comparison:
    """Return a comparison as `metrics.json` has it; what is null there is None."""

    def at(key: str) -> float | None:
        found = value.get(key)
        return float(found) if is_number(found) else None

    bounds: Sequence[float | None] = value.get("ci95") or (None, None)
    genes = at("genes")
    return Comparison(
        a=str(value["a"]),
        b=str(value["b"]),
        cell=str(value["cell"]),
        difference=at("difference"),
        low=bounds[0],
        high=bounds[1],
        p=at("p"),
        genes=None if genes is None else int(genes),
        smallest=at("smallest_difference"),
        share_a_better=at("share_a_better"),
        share_b_better=at("share_b_better"),
    )
