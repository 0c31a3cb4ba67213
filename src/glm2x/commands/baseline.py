"""`glm2x baseline`: linear models of the same variants in the same people."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from glm2x.commands.arguments import draws_of, listed_covariates
from glm2x.commands.options import AnyPlace, FitOptions
from glm2x.console import progress, say
from glm2x.place import Place

if TYPE_CHECKING:
    from glm2x.baselines.fitting import BaselineRun
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.cohort.target import Target
    from glm2x.work.fit_request import FitRequest


def baseline(
    cohort: Path,
    /,
    options: FitOptions,
    *,
    out: AnyPlace,
    permuted: int = 0,
    weights_out: Path | None = None,
    genes_out: Path | None = None,
    jobs: int | None = None,
    force: bool = False,
) -> None:
    """Fit baselines on training and validation people and predict everybody of the split.

    Parameters
    ----------
    cohort
        A cohort folder; it needs no reference.
    out
        The table to write: .parquet, or .csv; or its URL.
    permuted
        A control: also fit the quick models this many times (20, say) to permuted people, whose mean r
        in test people must be 0. The table says what came of it, and evaluate checks it.
    weights_out
        Also write the weights of the models of variants, .parquet, for glm2x weights.
    genes_out
        Also write a table of each model's genes, .parquet: variants used, r of people held out within
        the fit, and h2 with its standard error, interval and p.
    jobs
        Processes (default: one a core, where it pays).
    force
        Replace what is there.
    """
    from dataclasses import replace

    from glm2x.baselines.permuted import refitted
    from glm2x.baselines.registry import find_baselines
    from glm2x.baselines.run import combined, run_asked
    from glm2x.baselines.weights import require_parquet, write_weights
    from glm2x.commands.recorded import of_cohort, of_split, of_store
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing, write_aside
    from glm2x.predictions import write_predictions
    from glm2x.provenance import artefact, artefacts, record

    if options.few_shot is not None and weights_out is not None:
        raise UsageError("--weights-out is of one fit and does not go with --few-shot")
    if permuted:
        _require_permutable(permuted, options.few_shot, out)
    if jobs is not None and jobs < 1:
        raise UsageError("--jobs is a number of processes", got=str(jobs), wanted="1 or more")
    for own in (weights_out, genes_out):
        if own is not None:
            require_parquet(own)
    for path in (out, weights_out, genes_out):
        if path is not None:
            refuse_existing(path, force=force)
    request = request_of(options, keep_weights=weights_out is not None)
    opened, sides, splits = splits_of(cohort, options)
    features = request.features(opened, sides)
    chosen = find_baselines(request.names(features), features)
    if weights_out is not None and not any(model.of_variants for model in chosen):
        raise UsageError(
            "none of the models has weights of variants",
            where="--weights-out",
            got=", ".join(model.name for model in chosen),
            wanted="elastic-net, ridge or gblup, say, among --models",
        )
    again = refitted(chosen) if permuted else ()
    runs: list[BaselineRun] = []
    with progress("baselines", len(sides.seen) * len(splits), "genes") as bar:
        for name, one in splits.items():
            runs.append(
                run_asked(
                    request.asked(opened, one),
                    jobs=jobs,
                    progress=lambda done, total: bar.advance(),
                    say=lambda text, name=name: say(f"  note: {f'{name}: ' if name else ''}{text}"),  # type: ignore[misc]
                )
            )
    table = combined(runs, sides)
    if again:
        made = request.asked(opened, sides).target
        means = _permuted_means(opened, sides, made, again, request.window, permuted, jobs)
        table = replace(table, metadata=replace(table.metadata, permuted=means))
    write_predictions(out, table, force=force)
    if genes_out is not None:
        import polars as pl

        from glm2x.parquet import write_table

        with write_aside(genes_out, force=force) as aside:
            write_table(pl.concat([run.genes for run in runs]), aside)
    weights = runs[0].weights
    if weights_out is not None and weights is not None:
        write_weights(weights_out, weights, force=force)
    inputs = [
        *(of_cohort(opened, cohort), *of_split(sides, options.split), *of_store(options.embeddings)),
        *artefacts(scores=options.variant_scores),
    ]
    for role, path in (("predictions", out), ("weights", weights_out), ("genes", genes_out)):
        if path is not None:
            record(path, outputs=[artefact(role, path)], inputs=inputs)
    fits = f", {len(splits)} fits each" if len(splits) > 1 else ""
    say(f"{len(chosen)} baselines of {table.frame['gene'].n_unique()} genes{fits}; written to {out}")
    for path, what in ((weights_out, "weights"), (genes_out, "table of genes")):
        if path is not None:
            say(f"{what}: {path}")


def _require_permutable(permuted: int, few_shot: str | None, out: Place) -> None:
    from glm2x.baselines.permuted import LEAST
    from glm2x.errors import UsageError

    if permuted < LEAST:
        raise UsageError(
            "--permuted is a number of permutations",
            got=str(permuted),
            wanted=f"0, or {LEAST} or more: of fewer, chance is not known",
        )
    if few_shot is not None:
        raise UsageError("--permuted is of one fit and does not go with --few-shot")
    if out.suffix != ".parquet":
        raise UsageError(
            "--permuted is told in the table's metadata, and only a .parquet has any", where=str(out)
        )


def _permuted_means(
    cohort: Cohort,
    split: Split,
    target: Target,
    models: tuple[str, ...],
    window: int,
    permutations: int,
    jobs: int | None,
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Fit models to permuted people, say what came of it, and return mean r of each model and permutation."""
    from glm2x.baselines.permuted import permuted_targets
    from glm2x.baselines.run import run_baselines
    from glm2x.errors import DataError
    from glm2x.evaluation.controls import Refitted, mean_pearsons

    means: dict[str, list[float]] = {name: [] for name in models}
    with progress("permuted people", permutations, "permutations") as bar:
        for one in permuted_targets(target, cohort, split, permutations):
            run = run_baselines(cohort, split, one, models, window, jobs=jobs, say=lambda text: None)
            for name, mean in mean_pearsons(run.predictions.frame).items():
                means[name].append(mean)
            bar.advance()
    if not all(isfinite(mean) for found in means.values() for mean in found):
        raise DataError(
            "mean r of models of permuted people is not defined",
            got=f"{len(split.test)} test people",
            wanted="a gene measured in 3 test people who differ",
            do="leave --permuted out, or take a split with more test people",
        )
    summed = {name: Refitted.of(found) for name, found in means.items()}
    told = ", ".join(f"{name} {one.mean:.4f} (SE {one.se:.4f})" for name, one in summed.items())
    say(f"  note: mean r in test people, fitted to {permutations} permutations of people: {told}")
    return tuple((name, tuple(found)) for name, found in means.items())


def request_of(options: FitOptions, *, keep_weights: bool) -> FitRequest:
    """Return what the options ask for.

    Raises
    ------
    UsageError
        They do not go together.
    """
    from glm2x.errors import UsageError
    from glm2x.genome.genes import require_window
    from glm2x.work.fit_request import FitRequest

    names = tuple(name.strip() for name in options.models.split(",") if name.strip())
    kept = listed_covariates(options.covariates_keep, options.target)
    if options.variant_scores is not None and not any(name.startswith("informed-") for name in names):
        raise UsageError("--variant-scores goes with the models informed-ridge and informed-gblup")
    for length in (options.window, options.prior_window):
        require_window(length)
    return FitRequest(
        names,
        options.target,
        options.window,
        options.prior_window,
        kept,
        keep_weights,
        options.variant_scores,
        options.embeddings,
    )


def splits_of(cohort: Path, options: FitOptions) -> tuple[Cohort, Split, dict[str, Split]]:
    """Return the cohort, the split, and by name the splits to fit to: that one, or draws of it."""
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split

    opened, sides = Cohort.open(cohort), Split.load(options.split)
    sides.require_cohort(opened)
    draws = draws_of(sides, str(options.split), options.few_shot, options.draws)
    return opened, sides, draws or {"": sides}
