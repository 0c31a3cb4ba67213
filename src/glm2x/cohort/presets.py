"""The named ways to choose the people of a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glm2x.cohort.cohort import Cohort
from glm2x.cohort.draw import fraction_people, full_people, population_out, random_people
from glm2x.cohort.listed import published_people
from glm2x.cohort.people import People, Relatives
from glm2x.errors import UsageError


@dataclass(frozen=True)
class _Wishes:
    """What a preset may be told; None is its default."""

    train_share: float | None
    validation_share: float | None
    population: str | None
    relatives: Relatives | None
    seed: int

    @property
    def validation(self) -> float:
        return self.validation_share or 0.0

    @property
    def together(self) -> Relatives:
        return self.relatives or "together"


@dataclass(frozen=True)
class Preset:
    """A named way to choose people.

    Attributes
    ----------
    text
        What it does, in a line.
    takes
        The options of `preset_people` that it takes, beside the seed.
    choose
        Returns the people.
    """

    text: str
    takes: frozenset[str]
    choose: Callable[[Cohort, _Wishes], People]


def _s250(cohort: Cohort, wishes: _Wishes) -> People:
    return random_people(cohort, train=250, validation=40, preset="s250", relatives=wishes.together)


def _fraction(name: str) -> Callable[[Cohort, _Wishes], People]:
    def choose(cohort: Cohort, wishes: _Wishes) -> People:
        return fraction_people(
            cohort,
            train_share=0.8 if wishes.train_share is None else wishes.train_share,
            validation_share=wishes.validation,
            seed=wishes.seed,
            preset=name,
            relatives=wishes.together,
        )

    return choose


def _population_out(cohort: Cohort, wishes: _Wishes) -> People:
    if wishes.population is None:
        raise UsageError("leave-one-population-out needs a population", do="add --population NAME")
    return population_out(
        cohort,
        wishes.population,
        validation_share=wishes.validation,
        seed=wishes.seed,
        relatives=wishes.together,
    )


def _full(cohort: Cohort, wishes: _Wishes) -> People:
    return full_people(
        cohort, validation_share=wishes.validation, seed=wishes.seed, relatives=wishes.together
    )


PRESETS = {
    "s250": Preset(
        "250 random people to learn from (the last 40 of them choose epochs), the rest to test on",
        frozenset({"relatives"}),
        _s250,
    ),
    "published-50-100": Preset(
        "the published 50 training and 100 test people and 200 genes, where present",
        frozenset(),
        lambda cohort, _: published_people(cohort),
    ),
    "fraction": Preset(
        "a random share of each population to learn from, the rest to test on",
        frozenset({"train_share", "validation_share", "relatives"}),
        _fraction("fraction"),
    ),
    "few-shot": Preset(
        "as fraction, then n of those people only, drawn several times; one set of test people",
        frozenset({"train_share", "validation_share", "relatives"}),
        _fraction("few-shot"),
    ),
    "leave-one-population-out": Preset(
        "one population to test on, everybody else to learn from",
        frozenset({"population", "validation_share", "relatives"}),
        _population_out,
    ),
    "full": Preset(
        "everybody to learn from and nobody to test on: for a model that another cohort tests",
        frozenset({"validation_share", "relatives"}),
        _full,
    ),
}


def taking(option: str) -> str:
    """Return the names of the presets that take an option of `preset_people`, by commas."""
    return ", ".join(name for name, preset in PRESETS.items() if option in preset.takes)


def preset_people(
    cohort: Cohort,
    preset: str,
    *,
    train_share: float | None = None,
    validation_share: float | None = None,
    population: str | None = None,
    seed: int = 0,
    relatives: Relatives | None = None,
) -> People:
    """Return the people of a preset; for ``few-shot`` those of the base from which is drawn.

    Parameters
    ----------
    train_share
        Of ``fraction`` and ``few-shot``: the share of people that are learnt from (0.8).
    validation_share
        The share of the people that are learnt from who choose epochs (0).
    population
        Of ``leave-one-population-out``: whom to test.
    seed
        Of the people drawn; ``s250`` is always that of seed 0.
    relatives
        ``together`` (the default) keeps relatives on one side, where they can be told. The published
        lists are taken as they are.

    Raises
    ------
    UsageError
        The preset is unknown, does not take an option, lacks one, or cannot be filled by the cohort.
    """
    if preset not in PRESETS:
        raise UsageError(
            f"no preset is called {preset}",
            wanted="; ".join(f"{name}: {known.text}" for name, known in PRESETS.items()),
        )
    wishes = _Wishes(train_share, validation_share, population, relatives, seed)
    for option in ("train_share", "validation_share", "population", "relatives"):
        if getattr(wishes, option) is not None and option not in PRESETS[preset].takes:
            flag = "--" + option.replace("_", "-")
            raise UsageError(f"{flag} does not go with {preset}", wanted=f"{flag} with {taking(option)}")
    return PRESETS[preset].choose(cohort, wishes)
