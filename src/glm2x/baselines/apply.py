"""Weights applied to the people of any cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x import __version__
from glm2x.baselines.identity import KEY, columns_of
from glm2x.baselines.weights import Weights
from glm2x.cohort.target import log_expression
from glm2x.errors import DataError, UsageError
from glm2x.genome.genes import index_of_names, match_contigs, unversioned
from glm2x.predictions import PredictionMetadata, Predictions, from_matrix

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split

_SWAPPED = {"position": "position", "ref": "alt", "alt": "ref"}


@dataclass(frozen=True)
class Applied:
    """Predictions of weights, and what became of their variants.

    Parameters
    ----------
    predictions
        For each model, gene and person.
    counts
        Weights by what became of their variant: `as_given`, `swapped` (REF and ALT the other way round),
        `other_alleles` (that place has others), `absent`. The last two have their mean dosage.
    without_any
        Genes, by model, that have weights and none of their variants here.
    """

    predictions: Predictions
    counts: Counter[str]
    without_any: dict[str, tuple[str, ...]]


def apply_weights(
    weights: Weights,
    cohort: Cohort,
    *,
    models: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    split: Split | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Applied:
    """Predict people of a cohort from their dosages.

    A variant is the one with the same contig (22 and chr22 are the same), position, REF and ALT. Where
    REF and ALT of a substitution stand the other way round, 2 - dosage is taken. Other alleles at its
    place, also those of the other strand, are not its own (of A/T and C/G nobody could tell), and count as
    absent; so are an indel's the other way round, for a repeat may be longer in some and shorter in others.
    An absent variant has the mean dosage of the people who were fitted: it adds the same to everybody.

    Parameters
    ----------
    cohort
        Need not hold the genes, nor expression for them.
    models, genes, individuals
        Which, in this order; all by default. Genes may be named without versions.
    split
        Whose sides the table states. Of the cohort that the weights were fitted to only their own one.

    Raises
    ------
    DataError
        A model, gene or individual is not there; or no variant is; or there are no weights.
    UsageError
        The split is another one of the same cohort: its test people may have been fitted.
    """
    _require_own(weights, cohort, split)
    frame = weights.frame
    models = chosen_names(models, frame["model"].unique(maintain_order=True).to_list(), "model")
    genes = chosen_names(genes, frame["gene"].unique(maintain_order=True).to_list(), "gene")
    people = cohort.individuals if individuals is None else tuple(individuals)
    who = cohort.individual_index(people)
    matched = _matched(frame.filter(pl.col("model").is_in(models), pl.col("gene").is_in(genes)), cohort)
    counts = Counter[str](dict(matched["fate"].drop_nulls().value_counts().iter_rows()))
    if counts and not counts["as_given"] + counts["swapped"]:
        raise DataError(
            "none of the variants that have weights is in the cohort",
            where=str(cohort.folder),
            got=", ".join(f"{count:,} {fate.replace('_', ' ')}" for fate, count in counts.items()),
            wanted="the same genome build",
        )
    if not matched.height:
        raise DataError(
            "there are no weights to apply",
            got=f"{frame.height:,} rows of weights, {len(models)} models chosen",
            wanted="a model of variants, such as elastic-net",
        )
    parts = matched.partition_by("model", "gene", as_dict=True, maintain_order=True)
    observed = _observed(weights, cohort, genes, who)
    frames, without_any = [], {}
    done = 0
    for model in models:
        # A model may lack a gene that another has.
        there = [gene for gene in genes if (model, gene) in parts]
        predicted = np.empty((len(there), len(people)))
        for row, gene in zip(predicted, there, strict=True):
            row[:] = _predict(parts[model, gene], cohort, who)
            done += 1
            if progress is not None:
                progress(done, len(parts))
        lacking = [gene for gene in there if _has_none(parts[model, gene])]
        if lacking:
            without_any[model] = tuple(lacking)
        rows = [genes.index(gene) for gene in there]
        frames.append(
            from_matrix(
                model=model,
                genes=there,
                individuals=people,
                predicted=predicted,
                observed=None if observed is None else observed[rows],
                gene_split=split.gene_split if split else lambda gene: None,
                individual_split=split.individual_split if split else lambda individual: None,
                seed=0,
                train_individuals=weights.train_individuals,
                draw=split.draw if split else None,
            )
        )
    metadata = PredictionMetadata(
        weights.metadata.target,
        weights.metadata.window,
        cohort.digest,
        split.digest if split else None,
        __version__,
        split.family if split else None,
        weights.metadata.covariates,
    )
    return Applied(Predictions(pl.concat(frames), metadata), counts, without_any)


def _require_own(weights: Weights, cohort: Cohort, split: Split | None) -> None:
    if split is None:
        return
    split.require_cohort(cohort)
    if cohort.digest == weights.metadata.cohort_digest and split.digest != weights.metadata.split_digest:
        raise UsageError(
            "the weights were fitted to this cohort by another split: its test people may have been fitted",
            got=f"split {split.digest[:12]}",
            wanted=f"split {str(weights.metadata.split_digest)[:12]}",
            do="give that split, or none",
        )


def chosen_names(names: Sequence[str] | None, there: list[str], kind: str) -> list[str]:
    """Return those of `there` that are named, versions of genes aside, or all (`DataError` for others)."""
    if names is None:
        return there
    known = index_of_names(there)
    found = [known.get(name, known.get(unversioned(name))) for name in names]
    absent = [name for name, row in zip(names, found, strict=True) if row is None]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(names)} {kind}s have no weights",
            got=f"first: {', '.join(absent[:3])}",
            wanted=f"some of {', '.join(there[:5])}",
        )
    return list(dict.fromkeys(there[row] for row in found if row is not None))


def _matched(frame: pl.DataFrame, cohort: Cohort) -> pl.DataFrame:
    """Add `column` (of the cohort's contig `found_on`) and `fate` to weights; null without a variant."""
    frame = frame.with_row_index("row").with_columns(pl.col("position") - 1)
    contigs = match_contigs(frame["contig"].drop_nulls().unique(), cohort.manifest["counts"]["columns"])
    frame = frame.with_columns(
        pl.col("contig").replace_strict(contigs, default=None, return_dtype=pl.String).alias("found_on")
    )
    found = []
    for contig in sorted(set(contigs.values())):
        here = frame.filter(pl.col("found_on") == contig).select("row", *KEY)
        columns = columns_of(cohort.variants(contig))
        as_given = here.join(columns, on=KEY)
        # Not of indels: in a repeat, an insertion and a deletion of the same letters are two variants.
        substitutions = columns.filter(pl.col("ref").str.len_bytes() == pl.col("alt").str.len_bytes())
        swapped = here.join(substitutions.rename(_SWAPPED), on=KEY)
        # A place with both, of two records, is the first one's.
        swapped = swapped.join(as_given, on="row", how="anti")
        other = here.join(columns.select("position").unique(), on="position")
        other = other.join(as_given, on="row", how="anti").join(swapped, on="row", how="anti")
        found += [
            as_given.select("row", "column", pl.lit("as_given").alias("fate")),
            swapped.select("row", "column", pl.lit("swapped").alias("fate")),
            other.select(
                "row", pl.lit(None, pl.Int64).alias("column"), pl.lit("other_alleles").alias("fate")
            ),
        ]
    empty = pl.DataFrame(schema={"row": frame.schema["row"], "column": pl.Int64, "fate": pl.String})
    joined = frame.join(pl.concat([empty, *found]), on="row", how="left", maintain_order="left")
    return joined.with_columns(
        pl.when(pl.col("position").is_not_null()).then(pl.col("fate").fill_null("absent")).alias("fate")
    )


def _predict(part: pl.DataFrame, cohort: Cohort, who: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what one model of one gene predicts, float64 [people]."""
    constant = float(part["intercept"][0])
    lacking = part.filter(pl.col("column").is_null() & pl.col("weight").is_not_null())
    constant += float((lacking["weight"] * lacking["mean_dosage"]).sum())
    found = part.filter(pl.col("column").is_not_null())
    predicted = np.full(len(who), constant)
    if not found.height:
        return predicted
    columns = found["column"].to_numpy()
    first = int(columns.min())
    dosage = cohort.variants(str(found["found_on"][0])).dosage(slice(first, int(columns.max()) + 1))
    carried = dosage[np.ix_(who, columns - first)].astype(np.float64)
    swapped = (found["fate"] == "swapped").to_numpy()
    carried[:, swapped] = 2.0 - carried[:, swapped]
    predicted += carried @ found["weight"].to_numpy()
    return predicted


def _has_none(part: pl.DataFrame) -> bool:
    return bool(part["weight"].is_not_null().any() and part["column"].is_null().all())


def _observed(
    weights: Weights, cohort: Cohort, genes: Sequence[str], who: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return measurements on the target's scale, float64 [genes, people], where they are known.

    The logarithm is the same for everybody; residuals are relative to the people fitted.
    """
    if weights.metadata.target != "log":
        return None
    logged = log_expression(cohort)
    known = index_of_names(cohort.gene_ids)
    observed = np.full((len(genes), len(who)), np.nan)
    for row, gene in zip(observed, genes, strict=True):
        at = known.get(gene, known.get(unversioned(gene)))
        if at is not None:
            row[:] = logged[at, who]
    return observed
