"""`glm2x weights`: the weights of linear models: shown, applied to new people, exported for PrediXcan."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from glm2x.commands.options import AnyPlace
from glm2x.console import Columns, progress, say, show_table


def show(weights: Path, /, *, model: str | None = None, gene: str | None = None) -> None:
    """Say what a file of weights holds, or print one gene's as tab-separated text.

    Parameters
    ----------
    weights
        What glm2x baseline --weights-out wrote.
    model
        Only this model.
    gene
        Print the weights of this gene.
    """
    import polars as pl

    from glm2x.baselines.apply import chosen_names
    from glm2x.baselines.weights import COLUMNS, load_weights

    loaded = load_weights(weights)
    frame = loaded.frame
    models = frame["model"].unique(maintain_order=True).to_list()
    if model is not None:
        models = chosen_names([model], models, "model")
        frame = frame.filter(pl.col("model").is_in(models))
    if gene is not None:
        genes = chosen_names([gene], frame["gene"].unique(maintain_order=True).to_list(), "gene")
        rows = frame.filter(pl.col("gene").is_in(genes)).select(list(COLUMNS))
        sys.stdout.write(rows.write_csv(separator="\t", null_value="NA"))
        return
    said = loaded.metadata
    say(
        f"target {said.target}, window {said.window:,} bp, expression scale {loaded.expression_scale}, "
        f"fitted on {loaded.train_individuals} people of the cohort {str(said.cohort_digest)[:12]}, split "
        f"{str(said.split_digest)[:12]}"
    )
    table = frame.group_by("model", maintain_order=True).agg(
        pl.col("gene").n_unique().alias("genes"),
        pl.col("gene").filter(pl.col("weight").is_not_null()).n_unique().alias("with_weights"),
        pl.col("weight").count().alias("weights"),
    )
    columns: Columns = {"model": "left", "genes": "right", "with weights": "right", "weights": "right"}
    show_table(columns, [(name, *(f"{n:,}" for n in numbers)) for name, *numbers in table.iter_rows()])


def apply(
    weights: Path,
    /,
    *,
    cohort: Path,
    out: AnyPlace,
    models: str | None = None,
    individuals: Path | None = None,
    genes: Path | None = None,
    split: Path | None = None,
    force: bool = False,
) -> None:
    """Predict people of any cohort by weights, as a table that evaluate reads.

    Parameters
    ----------
    weights
        What glm2x baseline --weights-out wrote.
    cohort
        The people's cohort folder; it needs neither a reference nor the genes.
    out
        The table to write: .parquet, or .csv; or its URL.
    models
        By commas (default: all).
    individuals
        Whom to predict, one a line (default: everybody in the cohort).
    genes
        What to predict, one a line (default: all that have weights).
    split
        Whose sides the table states.
    force
        Replace what is there.
    """
    from glm2x.baselines.apply import apply_weights
    from glm2x.baselines.weights import load_weights
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import of_cohort, of_split
    from glm2x.files import read_list, refuse_existing
    from glm2x.predictions import write_predictions
    from glm2x.provenance import artefact, artefacts, record

    refuse_existing(out, force=force)
    loaded, opened = load_weights(weights), Cohort.open(cohort)
    sides = Split.load(split) if split else None
    pairs = loaded.frame.select("model", "gene").n_unique()
    with progress("weights", pairs, "genes of models") as bar:
        applied = apply_weights(
            loaded,
            opened,
            models=[name.strip() for name in models.split(",") if name.strip()] if models else None,
            genes=read_list(genes) if genes else None,
            individuals=read_list(individuals) if individuals else None,
            split=sides,
            progress=lambda done, total: bar.advance(),
        )
    write_predictions(out, applied.predictions, force=force)
    record(
        out,
        outputs=[artefact("predictions", out)],
        inputs=[
            *(of_cohort(opened, cohort), *of_split(sides, split)),
            *artefacts(weights=weights, individuals=individuals, genes=genes),
        ],
    )
    if opened.expression_scale != loaded.expression_scale:
        say(
            f"  note: fitted to expression on the scale {loaded.expression_scale}; this cohort's is "
            f"{opened.expression_scale}, and predictions stay on the former"
        )
    _say_fates(applied.counts)
    for model, lacking in applied.without_any.items():
        say(f"  note: {model}: none of the variants of {len(lacking)} genes is here (first: {lacking[0]})")
    frame = applied.predictions.frame
    say(
        f"predicted {frame['gene'].n_unique()} genes in {frame['individual'].n_unique()} people; "
        f"written to {out}"
    )


def _say_fates(counts: dict[str, int]) -> None:
    words = {
        "as_given": "as they stand",
        "swapped": "with REF and ALT the other way round",
        "other_alleles": "with other alleles here (the mean dosage is taken)",
        "absent": "absent (the mean dosage is taken)",
    }
    said = ", ".join(f"{counts[fate]:,} {what}" for fate, what in words.items() if counts.get(fate))
    say(f"  note: variants of the weights: {said or 'none'}")


def export(
    weights: Path,
    /,
    *,
    model: str,
    build: Literal["b37", "b38"],
    out: Path,
    variant_names: Path | None = None,
    force: bool = False,
) -> None:
    """Write one model as a PredictDB database (SQLite), which PrediXcan reads.

    Parameters
    ----------
    weights
        What glm2x baseline --weights-out wrote.
    model
        The model, such as elastic-net.
    build
        The genome build of the positions, for the names of variants.
    out
        The database to write, such as elastic-net.db.
    variant_names
        A table with columns contig, position (1-based), ref, alt, rsid. A variant that is not there is
        called by its place and alleles in the column rsid, too.
    force
        Replace what is there.
    """
    from glm2x.baselines.predictdb import export_predictdb, read_variant_names
    from glm2x.baselines.weights import load_weights
    from glm2x.files import refuse_existing

    refuse_existing(out, force=force)
    loaded = load_weights(weights)
    names = read_variant_names(variant_names) if variant_names else None
    done = export_predictdb(loaded, out, model=model, build=build, names=names, force=force)
    if names is not None:
        say(f"  note: {done.named:,} of {done.weights:,} weights are of a variant with a name")
    if done.empty:
        say(f"  note: {done.empty:,} genes have no weights and are left out")
    say(f"{model}: {done.weights:,} weights of {done.genes:,} genes; written to {out}")
