"""`loci.parquet` of an evaluation as the report reads it: the windows of a few genes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.parquet import require_whole

LOCI = "loci.parquet"
_MOST = 40  # genes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Locus:
    """The window of one gene; M models, V variants, D of them drawn, H unique haplotypes, P people.

    Attributes
    ----------
    gene, why
        Its name, and by which rule it is shown.
    strand, window
        `+` or `-`, and bp.
    models
        Labels of the rows whose predictions are correlated, the tested one first.
    distance
        Int [V]: bp from the TSS in the gene's direction.
    observed
        Float [V]: r of dosage with the measurements, NaN where not defined.
    predicted
        Float [M, V]: r of dosage with the predictions.
    frequency
        Float [V], of the alternative allele among these people.
    drawn
        Int [D], places in V.
    copies
        Int [H]: how many of the people's 2 P haplotypes are this one.
    alleles
        Int [H, D]: 0 REF, 1 ALT, -1 N.
    pairs
        Int [P, 2], places in H.
    observed_people, predicted_people
        Float [P] and [M, P], in the target's unit.
    left_out
        People of the cell who lack a measurement, a prediction or genotypes, or are too many.
    missing_genotypes
        Of the whole cohort: they count as REF.
    """

    gene: str
    why: str
    strand: str
    window: int
    models: tuple[str, ...]
    distance: NDArray[np.int64]
    observed: Array
    predicted: Array
    frequency: Array
    drawn: NDArray[np.int64]
    copies: NDArray[np.int64]
    alleles: NDArray[np.int64]
    pairs: NDArray[np.int64]
    observed_people: Array
    predicted_people: Array
    left_out: int
    missing_genotypes: int


def read_loci(folder: Path) -> list[Locus]:
    """Return the loci of an evaluation folder; none where the file is missing.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = folder / LOCI
    if not path.is_file():
        return []
    try:
        require_whole(path)
        frame = pl.read_parquet(path, glob=False, hive_partitioning=False).head(_MOST)
        return [_locus(line) for line in frame.iter_rows(named=True)]
    except (pl.exceptions.PolarsError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{LOCI} of the evaluation is not readable",
            where=str(path),
            got=f"{type(error).__name__}: {str(error)[:120]}",
            wanted="the file as glm2x evaluate wrote it",
            do=f"glm2x evaluate PREDICTIONS... --cohort COHORT --out {folder} --force",
        ) from error


def _locus(line: dict[str, Any]) -> Locus:
    variants, haplotypes, people = line["variants"], line["haplotypes"], line["people"]
    models = tuple(str(label) for label in line["models"])
    drawn = np.flatnonzero([bool(v["drawn"]) for v in variants])
    alleles = np.array([[_ALLELES[a] for a in h["alleles"]] for h in haplotypes], dtype=np.int64)
    pairs = np.array([p["haplotypes"] for p in people], dtype=np.int64).reshape(len(people), 2)
    if len(pairs) and not 0 <= pairs.min() <= pairs.max() < len(haplotypes):
        raise ValueError("a person has a haplotype that is not listed")
    return Locus(
        gene=str(line["gene"]),
        why=str(line["why"]),
        strand=str(line["strand"]),
        window=int(line["window"]),
        models=models,
        distance=np.array([v["distance"] for v in variants], dtype=np.int64),
        observed=_numbers([v["observed"] for v in variants]),
        predicted=_numbers([v["predicted"] for v in variants]).reshape(len(variants), len(models)).T,
        frequency=_numbers([v["frequency"] for v in variants]),
        drawn=drawn,
        copies=np.array([h["copies"] for h in haplotypes], dtype=np.int64),
        alleles=alleles.reshape(len(haplotypes), len(drawn)),
        pairs=pairs,
        observed_people=_numbers([p["observed"] for p in people]),
        predicted_people=_numbers([p["predicted"] for p in people]).reshape(len(people), len(models)).T,
        left_out=int(line["people_left_out"]),
        missing_genotypes=int(line["missing_genotypes"]),
    )


_ALLELES = {"0": 0, "1": 1, "N": -1}


def _numbers(values: list[Any]) -> Array:
    """Return numbers, null as NaN."""
    return np.array(values, dtype=np.float64)
