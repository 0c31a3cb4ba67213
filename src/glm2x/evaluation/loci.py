"""The window of single genes: what its variants have to do with what was measured, and with predictions.

For a few genes of the main cell, chosen by a rule that does not look at pictures, each variant of the window
is correlated across people with the measurements and with each model's predictions; beside it stand the
unique haplotypes and who carries them. It is written here because the report knows no cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import Cohort
from glm2x.errors import UsageError
from glm2x.evaluation.comparisons import REFERENCE_MODELS, Comparison
from glm2x.evaluation.output import CellResult
from glm2x.evaluation.study import Study
from glm2x.evaluation.tables import BASELINES, Cell, CellRow, gene_rows
from glm2x.genome.genes import Gene, unversioned, window_interval

LARGEST = 2
"""Genes with the largest r of the tested row."""

MOST_NAMED = 20
"""Genes that may be named beside those of the rule."""

MOST_PEOPLE = 5_000
"""People of a gene, evenly spaced where there are more."""

DRAWN = 40
"""Variants of a gene whose alleles are kept by haplotype: those of the largest |r|."""

_STRATEGIES = ("reference-then-personal", "personal")
_VARIANT: dict[str, Any] = {
    "position": pl.Int64,
    "ref": pl.String,
    "alt": pl.String,
    "distance": pl.Int64,
    "frequency": pl.Float64,
    "observed": pl.Float64,
    "predicted": pl.List(pl.Float64),
    "drawn": pl.Boolean,
}
_HAPLOTYPE: dict[str, Any] = {"copies": pl.Int64, "alleles": pl.String}
_PERSON: dict[str, Any] = {
    "haplotypes": pl.List(pl.Int64),
    "observed": pl.Float64,
    "predicted": pl.List(pl.Float64),
}
SCHEMA: dict[str, Any] = {
    "gene": pl.String,
    "why": pl.String,
    "contig": pl.String,
    "tss": pl.Int64,
    "strand": pl.String,
    "window": pl.Int64,
    "models": pl.List(pl.String),
    "variants": pl.List(pl.Struct(_VARIANT)),
    "haplotypes": pl.List(pl.Struct(_HAPLOTYPE)),
    "people": pl.List(pl.Struct(_PERSON)),
    "people_left_out": pl.Int64,
    "missing_genotypes": pl.Int64,
}
"""Columns of `loci.parquet`, one line a gene; docs/protocol.md says what they are."""


@dataclass(frozen=True)
class _Window:
    """The variants of a window and the haplotypes of P people.

    Parameters
    ----------
    carried
        Int8 [V, 2 P]: 0 REF, 1 ALT, -1 N (heterozygous with unknown phase); person p has 2 p and 2 p + 1.
    dosage
        Float [P, V].
    """

    position: NDArray[np.int64]
    ref: list[str]
    alt: list[str]
    carried: NDArray[np.int8]
    dosage: NDArray[np.float64]


def loci(result: CellResult, study: Study, named: Sequence[str] = ()) -> pl.DataFrame:
    """Return `loci.parquet` of a cell; empty where there is no cohort, row or gene to show.

    The genes are the `LARGEST` with the largest r of the tested row (mean over its replicates), the one with
    the largest difference to the best linear model either way, and those that are named. Without a tested
    row, the best linear model takes its place.

    Parameters
    ----------
    named
        Genes as `named_genes` returns them.
    """
    tested, linear = _shown(result)
    if study.cohort is None or tested is None:
        return pl.DataFrame(schema=SCHEMA)
    places = _places(result.cell, study)
    chosen = dict.fromkeys(named, "named") | _chosen(result, tested, linear, places)
    rows = [tested, *([linear] if linear is not None else [])]
    lines = [
        _locus(result.cell, rows, gene, places[gene], why, study.cohort, study.window)
        for gene, why in chosen.items()
    ]
    return pl.DataFrame(lines, schema=SCHEMA, orient="row")


def named_genes(named: Sequence[str], cell: Cell, study: Study) -> list[str]:
    """Return the cell's names of genes that were asked for, with or without their versions.

    Raises
    ------
    UsageError
        There is no cohort, or too many names; a gene is not in the cell, or has no variants in the cohort.
    """
    if named and study.cohort is None:
        raise UsageError("--loci needs the genotypes of a cohort", do="give --cohort")
    if len(named) > MOST_NAMED:
        raise UsageError("--loci names too many genes", got=str(len(named)), wanted=f"{MOST_NAMED} at most")
    places = _places(cell, study)
    by_name = {name: gene for gene in cell.genes for name in (unversioned(gene), gene)}
    found = []
    for name in named:
        gene = by_name.get(name, by_name.get(unversioned(name)))
        if gene is None or gene not in places:
            what = "is not among the evaluated genes" if gene is None else "has no variants in the cohort"
            raise UsageError(
                f"--loci names {name}, which {what}",
                where=cell.name,
                wanted="genes such as " + ", ".join(list(places)[:3]),
            )
        found.append(gene)
    return found


def _places(cell: Cell, study: Study) -> dict[str, Gene]:
    """Return where the genes of a cell are that have variants in their window."""
    if study.cohort is None:
        return {}
    genes = study.cohort.genes
    rows = zip(cell.genes, gene_rows(study.cohort, cell.genes), strict=True)
    found = {gene: genes[row] for gene, row in rows if row is not None}
    return {gene: place for gene, place in found.items() if _has_variants(study.cohort, place, study.window)}


def _shown(result: CellResult) -> tuple[CellRow | None, CellRow | None]:
    """Return the row under test and the linear model with the largest mean r that it is compared with.

    The tested row is the first that is no baseline, by strategy (reference-then-personal, personal, others,
    reference), then by people learnt from, then by the order of the table: as in the report.
    """
    rows = {row.label: row for row in result.cell.rows}
    models = [row for row in result.cell.rows if row.key.model not in BASELINES]
    models.sort(key=lambda row: (_rank(row.key.strategy), -(row.key.train_individuals or 0)))
    linear = [row for row in result.cell.rows if row.key.model in REFERENCE_MODELS]

    def mean(row: CellRow) -> float:
        return float(result.summary[row.label]["mean_pearson"])

    if not models:
        return (max(linear, key=mean) if linear else None), None
    tested = models[0]
    rivals = [c.b for c in result.comparisons if c.a == tested.label and rows[c.b] in linear]
    return tested, max((rows[label] for label in rivals), key=mean, default=None)


def _rank(strategy: str | None) -> int:
    if strategy == "reference":
        return len(_STRATEGIES) + 1
    return _STRATEGIES.index(strategy) if strategy in _STRATEGIES else len(_STRATEGIES)


def _chosen(
    result: CellResult, tested: CellRow, linear: CellRow | None, places: dict[str, Gene]
) -> dict[str, str]:
    """Return the genes that the rule takes, and why."""
    found: dict[str, str] = {}
    frame = pl.concat(result.per_gene).filter(
        pl.col("label") == tested.label,
        pl.col("replicate") == "mean",
        pl.col("gene").is_in(list(places)),
        pl.col("pearson").is_not_null(),
        ~pl.col("null"),
    )
    ranked = frame.sort("pearson", "gene", descending=[True, False])["gene"].head(LARGEST)
    for place, gene in enumerate(ranked):
        found[gene] = "largest r" if place == 0 else "second largest r"
    for comparison in result.comparisons:
        if linear is not None and (comparison.a, comparison.b) == (tested.label, linear.label):
            for gene, why in _most_different(result.cell, comparison, places).items():
                found[gene] = f"{found[gene]}, {why}" if gene in found else why
    return found


def _most_different(cell: Cell, pair: Comparison, places: dict[str, Gene]) -> dict[str, str]:
    """Return the gene in which the tested row is most above the other, and that in which it is most below."""
    known = [g for g in np.flatnonzero(pair.genes) if cell.genes[g] in places]
    difference = {cell.genes[g]: float(pair.pearson_a[g] - pair.pearson_b[g]) for g in known}
    found = {}
    for sign, words in ((1, "most above"), (-1, "most below")):
        gene = max(difference, key=lambda g, sign=sign: sign * difference[g], default=None)  # type: ignore[misc]
        if gene is not None and sign * difference[gene] > 0:
            found[gene] = f"{words} {pair.b}"
    return found


def _has_variants(cohort: Cohort, gene: Gene, window: int) -> bool:
    if gene.contig not in cohort.manifest["counts"]["columns"]:
        return False
    columns = cohort.variants(gene.contig).columns_between(*window_interval(gene.tss, window))
    return bool(columns.stop > columns.start)


def _locus(
    cell: Cell, rows: Sequence[CellRow], gene: str, place: Gene, why: str, cohort: Cohort, window: int
) -> tuple[object, ...]:
    """Return one line of the table."""
    at = cell.genes.index(gene)
    of_person = {name: row for row, name in enumerate(cohort.individuals)}
    known = np.array([name in of_person for name in cell.individuals])
    kept = np.flatnonzero(known & np.all([row.mask[at] for row in rows], axis=0))
    if len(kept) > MOST_PEOPLE:
        kept = kept[np.linspace(0, len(kept) - 1, MOST_PEOPLE).astype(np.int64)]
    people = np.array([of_person[cell.individuals[p]] for p in kept], dtype=np.int64)
    there = _window(cohort, place, window, people)
    observed = rows[0].observed[0, at, kept]
    predicted = np.stack([row.predicted[:, at, kept].mean(axis=0) for row in rows])
    of_observed = correlations(there.dosage, observed)
    of_predicted = np.stack([correlations(there.dosage, one) for one in predicted])
    drawn = _drawn(np.vstack([of_observed, of_predicted[:1]]))
    unique, index, copies = np.unique(there.carried, axis=1, return_inverse=True, return_counts=True)
    sign = 1 if place.strand == "+" else -1
    variants = [
        (
            int(there.position[v]),
            there.ref[v],
            there.alt[v],
            sign * (int(there.position[v]) - place.tss),
            float(there.dosage[:, v].mean() / 2) if len(people) else None,
            _or_null(of_observed[v]),
            [_or_null(r) for r in of_predicted[:, v]],
            bool(drawn[v]),
        )
        for v in range(len(there.position))
    ]
    alleles = [
        "".join("N" if a < 0 else str(a) for a in unique[drawn, h].tolist()) for h in range(unique.shape[1])
    ]
    return (
        gene,
        why,
        place.contig,
        place.tss,
        place.strand,
        window,
        [row.label for row in rows],
        [dict(zip(_VARIANT, one, strict=True)) for one in variants],
        [{"copies": int(n), "alleles": text} for n, text in zip(copies, alleles, strict=True)],
        [
            {"haplotypes": pair, "observed": float(o), "predicted": each}
            for pair, o, each in zip(
                index.reshape(-1, 2).tolist(), observed, predicted.T.tolist(), strict=True
            )
        ],
        len(cell.individuals) - len(kept),
        int(cohort.manifest["counts"].get("records", {}).get("missing_genotypes", 0)),
    )


def _window(cohort: Cohort, gene: Gene, window: int, people: NDArray[np.int64]) -> _Window:
    variants = cohort.variants(gene.contig)
    columns = variants.columns_between(*window_interval(gene.tss, window))
    ref, alt = variants.ref.between(columns), variants.alt.between(columns)
    both = np.stack([2 * people, 2 * people + 1], axis=1).ravel()
    carried = variants.carried(columns).astype(np.int8)
    where, who = variants.unphased(columns)
    carried[where] = np.where(who, -1, carried[where])
    return _Window(
        variants.position[columns],
        [ref.text(v) for v in range(len(ref))],
        [alt.text(v) for v in range(len(alt))],
        carried[:, both],
        variants.dosage(columns)[people].astype(np.float64),
    )


def correlations(dosage: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Pearson's r of each variant's dosage with a value across people; NaN where either is constant.

    Parameters
    ----------
    dosage
        Float [P, V].
    values
        Float [P], finite.
    """
    if len(values) < 3:
        return np.full(dosage.shape[1], np.nan)
    x, y = dosage - dosage.mean(axis=0), values - values.mean()
    below = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    flat = (x**2).sum(axis=0) < 1e-12
    if np.abs(y).max() <= 1e-9 * (1 + np.abs(values).max()):
        return np.full(dosage.shape[1], np.nan)
    found: NDArray[np.float64] = np.where(flat, np.nan, y @ x / np.where(flat, 1.0, below))
    return np.clip(found, -1, 1)


def _drawn(r: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which variants are drawn, bool [V]: half of the largest |r| of each line of `r` [2, V]."""
    size = np.nan_to_num(np.abs(r), nan=-1.0)
    chosen = np.zeros(r.shape[1], dtype=np.bool_)
    order = np.argsort(-size, axis=1, kind="stable")
    for line in range(len(size)):
        for v in order[line]:
            if chosen.sum() >= DRAWN * (line + 1) // len(size) or size[line, v] < 0:
                break
            chosen[v] = True
    return chosen


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
