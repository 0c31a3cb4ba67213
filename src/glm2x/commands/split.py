"""`glm2x split`: people and genes into the cells of the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glm2x.commands.arguments import comma_separated
from glm2x.console import say

if TYPE_CHECKING:
    from glm2x.cohort.split import Split


def split(
    cohort: Path,
    /,
    *,
    out: Path,
    preset: str | None = None,
    train: Path | None = None,
    test: Path | None = None,
    validation: Path | None = None,
    train_count: str | None = None,
    validation_count: int | None = None,
    train_share: float | None = None,
    validation_share: float | None = None,
    population: str | None = None,
    draw: int | None = None,
    draws: int | None = None,
    relatives: Literal["together", "ignore"] | None = None,
    genes: Path | None = None,
    unseen_share: float = 0.0,
    unseen_contigs: str | None = None,
    reference_validation_share: float = 0.15,
    window: int = 64_000,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Freeze a split of people and genes in one file.

    Give a preset, or lists of people (--train, --test), or a number of random people to learn from
    (--train-count).

    Parameters
    ----------
    cohort
        A cohort folder.
    out
        The JSON file to write. few-shot: a folder for few-shot-n10-draw0.json and so on, or a .json
        for a single draw.
    preset
        s250: 250 random people to learn from, the last 40 of them to choose epochs with.
        published-50-100: the published lists, as far as the cohort has them.
        fraction: a random --train-share of each population to learn from.
        few-shot: as fraction, then --train-count of those people only, drawn --draws times. Test
        people and genes are the same for all: predictions of several draws are evaluated together.
        leave-one-population-out: --population to test on, everybody else to learn from.
        full: everybody to learn from, nobody to test on: for a model that another cohort tests.
    train
        List of individuals to train on, one a line.
    test
        List of individuals to test on.
    validation
        List of individuals to choose epochs with.
    train_count
        So many random people to learn from, those who choose epochs included; the rest are tested.
        few-shot: several by commas, and all, such as 10,20,50,100,all.
    validation_count
        How many of those choose epochs (without a preset).
    train_share
        Share of the people to learn from, of fraction and few-shot (default: 0.8).
    validation_share
        Share of the people who are learnt from that choose epochs, of fraction, few-shot,
        leave-one-population-out and full (default: 0).
    population
        Whom leave-one-population-out tests.
    draw
        Only this draw of few-shot (from 0).
    draws
        How many draws of few-shot (default: 5).
    relatives
        together (the default): relatives stay on one side, by the families of the table of people, else
        by genotypes (from 20,000 variants). ignore: everybody is drawn alone. Lists, also the published
        ones, are taken as they are.
    genes
        The genes to take, one a line (default: all; of published-50-100 the published 200, where the
        cohort has no sides of its own).
    unseen_share
        Share of the genes held out as one block with a gap of a window.
    unseen_contigs
        Instead: contigs whose genes are held out, by commas, such as 8,9.
    reference_validation_share
        Share of the seen genes on which reference phases choose their epoch, likewise a block.
    window
        The longest window that will be used, bp.
    seed
        Of random people and blocks (s250 is always that of seed 0).
    force
        Replace what is there.
    """
    from glm2x.cohort import draw as drawing
    from glm2x.cohort import few_shot, gene_sets, listed, presets
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.freeze import make_split
    from glm2x.commands.recorded import of_cohort, of_split
    from glm2x.errors import UsageError
    from glm2x.files import read_list, refuse_existing
    from glm2x.provenance import artefacts, record

    few = preset == "few-shot"
    ways = [preset is not None, train is not None or test is not None, train_count is not None and not few]
    if sum(ways) != 1:
        raise UsageError(
            "a split takes one of --preset, --train with --test, and --train-count",
            got=f"{sum(ways)} of them",
        )
    _refuse_misplaced(
        {
            "--draw": (draw, few, "--preset few-shot"),
            "--draws": (draws, few and draw is None, "--preset few-shot without --draw"),
            "--validation-count": (validation_count, ways[2], "--train-count and no preset"),
            "--validation": (validation, ways[1], "--train and --test"),
            "--train-share": (train_share, ways[0], f"--preset {presets.taking('train_share')}"),
            "--validation-share": (
                validation_share,
                ways[0],
                f"--preset {presets.taking('validation_share')}",
            ),
            "--population": (population, ways[0], f"--preset {presets.taking('population')}"),
            "--relatives": (relatives, not ways[1], "people drawn at random: lists are taken as they are"),
        }
    )
    counts = few_shot.parse_counts(train_count) if train_count is not None else ()
    if few and not counts:
        raise UsageError("few-shot needs --train-count", wanted="such as --train-count 10,20,50,100,all")
    if draws is not None and draws < 1:
        raise UsageError("--draws is a number of draws", got=str(draws), wanted="1 or more")
    if few and counts == (None,) and (draw is not None or draws is not None):
        raise UsageError(
            "--draw and --draws go with numbers of people: all of them are one split",
            got=f"--train-count {train_count}",
            do="leave them out, or add a number to --train-count",
        )
    contigs = comma_separated(unseen_contigs, "--unseen-contigs")
    opened = Cohort.open(cohort)
    if preset is not None:
        who = presets.preset_people(
            opened,
            preset,
            train_share=train_share,
            validation_share=validation_share,
            population=population,
            seed=seed,
            relatives=relatives,
        )
    elif train is not None and test is not None:
        who = listed.listed_people(opened, train, test, validation)
    elif ways[1]:
        raise UsageError("lists of people come together", wanted="--train FILE --test FILE")
    elif len(counts) > 1 or counts[0] is None:
        raise UsageError(
            "without a preset, --train-count is one number", got=str(train_count), do="add --preset few-shot"
        )
    else:
        who = drawing.random_people(
            opened,
            train=counts[0],
            validation=validation_count or 0,
            seed=seed,
            relatives=relatives or "together",
        )
    warnings, sides = who.warnings, None
    chosen, more = gene_sets.chosen_genes(opened, read_list(genes)) if genes else (None, ())
    if preset == "published-50-100":
        if chosen is None:
            chosen, more = listed.published_genes(opened)
        if any(opened.gene_sides):
            sides = dict(zip(opened.gene_ids, opened.gene_sides, strict=True))
            if unseen_share or contigs:
                more += (
                    "genes are held out as the options say: the sides of the cohort's own table are not used",
                )
    warnings += more
    made = make_split(
        opened,
        who,
        window=window,
        genes=chosen,
        unseen_share=unseen_share,
        unseen_contigs=contigs,
        published_sides=sides,
        reference_validation_share=reference_validation_share,
        seed=seed,
    )
    near = gene_sets.overlapping(map(opened.gene, made.unseen), map(opened.gene, made.seen), window)
    if near:
        warnings += (
            f"{len(near)} of {len(made.unseen)} unseen genes have a {window:,} bp window that overlaps a "
            "seen gene's, as published: evaluate fails its check windows_overlap",
        )
    if reference_validation_share and not made.reference_validation:
        warnings += (
            f"{reference_validation_share:g} of {len(made.seen)} seen genes is none: no gene validates "
            "reference phases",
        )
    files = {out: made}
    if few:
        which = range(draws or few_shot.DRAWS) if draw is None else [draw]
        files = few_shot.few_shot_files(few_shot.few_shot_splits(made, counts, which), out)
    for path in files:
        refuse_existing(path, force=force)  # of many, all or none
    lists = artefacts(train=train, test=test, validation=validation, genes=genes)
    for path, one in files.items():
        one.save(path, force=force)
        record(
            path,
            outputs=of_split(one, path),
            inputs=[of_cohort(opened, cohort), *lists],
        )
    for warning in (*warnings, *([made.relatives] if made.relatives else [])):
        say(f"  note: {warning}")
    _say_what(made, files)


def _refuse_misplaced(options: dict[str, tuple[object, bool, str]]) -> None:
    """Refuse an option that is given where it means nothing: value, whether it may be given, with what."""
    from glm2x.errors import UsageError

    for name, (value, allowed, company) in options.items():
        if value is not None and not allowed:
            raise UsageError(f"{name} goes with {company}")


def _say_what(made: Split, files: dict[Path, Split]) -> None:
    """Say who is where: of a few-shot split in the base, and how many files were drawn from it."""
    drawn = any(one.draw is not None for one in files.values())
    say(
        f"{'drawn from' if drawn else 'split'}: {len(made.train)} training, "
        f"{len(made.validation)} validation, {len(made.test)} test people; "
        f"{len(made.seen)} seen genes ({len(made.reference_validation)} validate reference phases, which "
        f"leave out {len(made.reference_excluded)} beside those), "
        f"{len(made.unseen)} unseen, {len(made.excluded_genes)} in the gap"
    )
    if drawn:
        sizes = sorted({(len(one.train), len(one.validation)) for one in files.values()})
        learnt = ", ".join(f"{train} + {validation}" for train, validation in sizes)
        say(f"training + validation people of the files: {learnt}")
    if len(files) == 1:
        path, one = next(iter(files.items()))
        say(f"written to {path} (digest {one.digest[:12]})")
    else:
        folder = next(iter(files)).parent
        say(f"{len(files)} splits of one base (digest {made.digest[:12]}) written to {folder}")
