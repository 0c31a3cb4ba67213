"""`glm2x config`: the shipped experiments, and the published configurations as experiments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glm2x.commands.options import AnyPlace
from glm2x.console import say, show_table

if TYPE_CHECKING:
    from glm2x.published.config import PublishedConfig


def show(name: str | None = None, /) -> None:
    """Print a shipped experiment as YAML; without a name, list them.

    Parameters
    ----------
    name
        Such as onehot-reference-then-personal.
    """
    from glm2x.config import load_config, shipped_names, show_config

    if name is not None:
        sys.stdout.write(show_config(name))
        return
    shipped = [(each, load_config(each)) for each in shipped_names()]
    show_table(
        {"name": "left", "epochs": "right", "window": "right"},
        [(each, str(config.training.epochs), f"{config.window:,}") for each, config in shipped],
    )


def convert(
    published: Path,
    /,
    *,
    cohort: Path | None = None,
    out: Path | None = None,
    split: Path | None = None,
    embeddings: AnyPlace | None = None,
    force: bool = False,
) -> None:
    """Turn a configuration of the published benchmark into an experiment, with the split of its lists.

    Paths in it are looked for in the working folder, in the folder above its own, where the published
    scripts run, and in its own.

    Parameters
    ----------
    published
        A published YAML file, such as config_evo2_indiv.yml.
    cohort
        The cohort folder to train on; with it the split is written. Without it the command that builds the
        cohort is printed.
    out
        The experiment to write (default: it is printed).
    split
        The split to write (default: split.json beside the experiment).
    embeddings
        The embedding store of a genomic language model (default: stores/NAME).
    force
        Replace what is there.
    """
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing, write_aside
    from glm2x.published.config import read_published
    from glm2x.published.convert import COHORT, SPLIT, convert, default_store

    if split is not None and cohort is None:
        raise UsageError("--split is made of the lists and a cohort", do="add --cohort COHORT")
    settings = read_published(published)
    if embeddings is not None and not settings.is_language_model:
        raise UsageError(
            f"{settings.backbone} is trained whole, and reads no embeddings",
            where=str(published),
            do="leave --embeddings out",
        )
    target = split or (out.parent if out else Path()) / SPLIT
    store = str(embeddings) if embeddings else default_store(settings)
    named = str(cohort or COHORT)
    converted = convert(settings, cohort=named, split=str(target), embeddings=store)
    for path in (out, target if cohort else None):
        if path is not None:
            refuse_existing(path, force=force)  # of both, or none
    if cohort is not None:
        _write_split(settings, cohort, target, force)
    if out is None:
        sys.stdout.write(converted.text)
    else:
        with write_aside(out, force=force) as aside:
            aside.write_text(converted.text, encoding="utf-8")
    for note in converted.notes:
        say(f"  note: {note}")
    _say_what_is_needed(settings, named, store, built=cohort is not None)
    if out is not None:
        say(f"written to {out}")


def _write_split(settings: PublishedConfig, cohort: Path, target: Path, force: bool) -> None:
    from glm2x.cohort.cohort import Cohort
    from glm2x.published.lists import published_split

    made, notes = published_split(settings, Cohort.open(cohort))
    made.save(target, force=force)
    for note in notes:
        say(f"  note: {note}")
    say(
        f"split: {len(made.train)} training, {len(made.test)} test people; {len(made.seen)} seen genes, "
        f"{len(made.unseen)} unseen; written to {target} (digest {made.digest[:12]})"
    )


def _say_what_is_needed(settings: PublishedConfig, cohort: str, store: str, *, built: bool) -> None:
    """Print the commands that make what the experiment names and this one did not."""
    from glm2x.published.convert import cohort_command, store_commands

    if not built:
        say("its cohort:")
        say(f"  {cohort_command(settings, cohort)}")
        say(f"its split: this command again with --cohort {cohort}")
    if settings.is_language_model:
        say("its embeddings:")
        for command in store_commands(settings, cohort, store):
            say(f"  {command}")
