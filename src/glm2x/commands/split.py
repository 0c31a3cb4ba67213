"""`glm2x split`: people and genes into the cells of the evaluation."""

from __future__ import annotations

from pathlib import Path

from glm2x.console import say


def split(
    cohort: Path,
    /,
    *,
    out: Path,
    preset: str | None = None,
    train: Path | None = None,
    test: Path | None = None,
    validation: Path | None = None,
    train_count: int | None = None,
    validation_count: int = 0,
    genes: Path | None = None,
    unseen_share: float = 0.0,
    reference_validation_share: float = 0.15,
    window: int = 64_000,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Freeze a split of people and genes in one file.

    Give a preset (s250, published-50-100), or lists of people (--train, --test), or a number of random
    training people (--train-count).

    Parameters
    ----------
    cohort
        A cohort folder.
    out
        The JSON file to write.
    preset
        s250: 250 random people to train on, the last 40 of them to choose epochs with.
        published-50-100: the published lists, as far as the cohort has them.
    train
        List of individuals to train on, one a line.
    test
        List of individuals to test on.
    validation
        List of individuals to choose epochs with.
    train_count
        So many random people to train on, validation people included; the rest are tested.
    validation_count
        How many of those choose epochs.
    genes
        The genes to take, one a line (default: all).
    unseen_share
        Share of the genes held out as one block with a gap of a window.
    reference_validation_share
        Share of the seen genes on which reference phases choose their epoch, likewise a block.
    window
        The longest window that will be used, bp.
    seed
        Of random people and blocks.
    force
        Replace what is there.
    """
    from glm2x.cohort import presets
    from glm2x.cohort.cohort import Cohort
    from glm2x.errors import UsageError
    from glm2x.files import read_list

    opened = Cohort.open(cohort)
    chosen = read_list(genes) if genes else None
    warnings: tuple[str, ...] = ()
    given = [preset is not None, train is not None or test is not None, train_count is not None]
    if sum(given) != 1:
        raise UsageError(
            "a split takes one of --preset, --train with --test, and --train-count",
            got=f"{sum(given)} of them",
        )
    if train_count is None and validation_count:
        raise UsageError("--validation-count goes with --train-count", do="give --validation FILE with lists")
    if train is None and validation is not None:
        raise UsageError("--validation goes with --train and --test")
    if preset is not None:
        people = presets.preset_people(opened, preset)
    elif train_count is not None:
        people = presets.random_people(opened, train=train_count, validation=validation_count, seed=seed)
    elif train is not None and test is not None:
        people = presets.listed_people(opened, train, test, validation)
    else:
        raise UsageError("lists of people come together", wanted="--train FILE --test FILE")
    if preset == "published-50-100" and chosen is None:
        chosen, warnings = presets.published_genes(opened)
    made = presets.make_split(
        opened,
        people,
        window=window,
        genes=chosen,
        unseen_share=unseen_share,
        reference_validation_share=reference_validation_share,
        seed=seed,
    )
    made.save(out, force=force)
    for warning in (*people.warnings, *warnings):
        say(f"  note: {warning}")
    say(
        f"split: {len(made.train)} training, {len(made.validation)} validation, "
        f"{len(made.test)} test people; "
        f"{len(made.seen)} seen genes ({len(made.reference_validation)} validate reference phases), "
        f"{len(made.unseen)} unseen, {len(made.excluded_genes)} in the gap"
    )
    say(f"written to {out} (digest {made.digest[:12]})")
