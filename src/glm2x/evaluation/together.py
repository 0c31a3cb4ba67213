"""Tables of predictions of several origins as one: what is the same stands once, what differs is told apart.

A *row* here is what one model predicts with one seed and draw: the rows of a table that share model,
strategy, seed, number of training people and draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from glm2x.evaluation.tables import is_baseline
from glm2x.predictions import KEY, SWAPPED, PredictionMetadata, Predictions, compact, merge_metadata

_Key = tuple[Any, ...]
_ROW = tuple(column for column in KEY if column not in ("gene", "individual"))
_PLACE = ["gene", "individual"]
_FILLED = ("observed", "gene_split", "individual_split", SWAPPED)


@dataclass(frozen=True)
class Origin:
    """A table and where it is from.

    Attributes
    ----------
    name
        What tells it from the others.
    predictions
        The table.
    setting
        Of the table of a training run: what is the same for runs that differ by their seed only. Two
        settings are never taken for two seeds of one model.
    """

    name: str
    predictions: Predictions
    setting: str | None = None


@dataclass(frozen=True)
class Together:
    """One table of all.

    Attributes
    ----------
    predictions
        The table.
    models
        The name of its model in the table, by the name of each origin that has a setting.
    notes
        What was merged and what was told apart, in sentences.
    """

    predictions: Predictions
    models: dict[str, str]
    notes: tuple[str, ...]


@dataclass
class _Variant:
    """One version of a row, and the origins that have it."""

    frame: pl.DataFrame
    setting: str | None
    names: list[str] = field(default_factory=list)


def put_together(origins: Sequence[Origin]) -> Together:
    """Return the tables as one.

    A row that two tables have, with the same numbers wherever both predict, stands once. Where the
    numbers differ, or the settings of the runs they are from, the model is called after its origin, such as
    ``onehot (run-a)``; runs that differ by their seed are one model, called after the first. Of a
    baseline that differs the first keeps its name: it is what models are compared with.

    Raises
    ------
    UsageError
        The tables are of different target modes, covariates or splits.
    """
    metadata = merge_metadata([(o.name, o.predictions.metadata) for o in origins])
    rows: dict[_Key, list[_Variant]] = {}
    for origin in origins:
        frame = compact(origin.predictions.frame)
        for key, part in frame.partition_by(_ROW, as_dict=True, maintain_order=True).items():
            _add(rows.setdefault(key, []), part, origin)
    names = _Names(rows)
    models: dict[str, str] = {}
    frames = []
    for key, variants in rows.items():
        for variant in variants:
            model = names.of(key, variant)
            called = pl.lit(model, dtype=pl.String).cast(pl.Categorical)
            frames.append(variant.frame.with_columns(model=called))
            models |= dict.fromkeys(variant.names, model)
    ignored = dict.fromkeys(column for o in origins for column in o.predictions.ignored_columns)
    return Together(
        Predictions(pl.concat(frames, how="diagonal"), metadata, _sources(origins), tuple(ignored)),
        {o.name: models[o.name] for o in origins if o.setting is not None},
        (*_merged(rows), *names.notes()),
    )


def _add(variants: list[_Variant], part: pl.DataFrame, origin: Origin) -> None:
    """Add an origin's version of a row to those that there are, or to the one that it agrees with."""
    for variant in variants:
        if None in (variant.setting, origin.setting) or variant.setting == origin.setting:
            union = _union(variant.frame, part)
            if union is not None:
                variant.frame, variant.setting = union, variant.setting or origin.setting
                variant.names.append(origin.name)
                return
    variants.append(_Variant(part, origin.setting, [origin.name]))


def _union(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame | None:
    """Return two versions of a row as one; None where they predict or measure a person differently."""
    both = a.join(b, on=_PLACE, how="inner", suffix="_b")
    for column in ("predicted", "observed"):
        if (both[column] != both[f"{column}_b"]).fill_null(value=False).any():
            return None
    filled = [c for c in _FILLED if f"{c}_b" in both.columns]
    both = both.with_columns(pl.coalesce(c, f"{c}_b") for c in filled)
    both = both.select(*a.columns, *(c for c in b.columns if c not in a.columns))
    alone = (a.join(b, on=_PLACE, how="anti"), b.join(a, on=_PLACE, how="anti"))
    return pl.concat([both, *alone], how="diagonal")


class _Names:
    """What models are called: after their origin where one name stands for several."""

    def __init__(self, rows: Mapping[_Key, Sequence[_Variant]]) -> None:
        # by group, after whom each setting is called; in the order in which they came
        self._owners: dict[_Key, dict[str | None, str]] = {}
        self._apart: dict[_Key, dict[str, None]] = {}
        for key, variants in rows.items():
            named = self._owners.setdefault(_group(key), {})
            for variant in variants:
                if variant.setting is not None:
                    named.setdefault(variant.setting, variant.names[0])
            if len(variants) > 1 or len(named) > 1:
                self._apart[_group(key)] = {}
        for key, variants in rows.items():
            if _group(key) in self._apart:
                self._apart[_group(key)] |= dict.fromkeys(self._owner(key, variant) for variant in variants)

    def _owner(self, key: _Key, variant: _Variant) -> str:
        return self._owners[_group(key)].get(variant.setting, variant.names[0])

    def of(self, key: _Key, variant: _Variant) -> str:
        """Return the name of a row's model."""
        return self._name(_group(key), self._owner(key, variant))

    def _name(self, group: _Key, owner: str) -> str:
        model, owners = str(group[0]), list(self._apart.get(group, {}))
        is_first_baseline = is_baseline(model) and owners[:1] == [owner]
        return model if not owners or is_first_baseline else f"{model} ({owner})"

    def notes(self) -> list[str]:
        """Return what was told apart."""
        found = []
        for group, owners in self._apart.items():
            what = f"{group[0]} {group[1]}" if group[1] else str(group[0])
            names = [(self._name(group, owner), owner) for owner in owners]
            called = [f"{name} (of {owner})" if name == group[0] else name for name, owner in names]
            found.append(f"{what} stands for several, which are told apart: {', '.join(called)}")
        return found


def _group(key: _Key) -> _Key:
    """Return what seeds and draws of one model share."""
    model, strategy, _seed, size, _draw = key
    return model, strategy, size


def _merged(rows: Mapping[_Key, Sequence[_Variant]]) -> list[str]:
    """Return which models several origins have alike."""
    models: dict[tuple[str, ...], dict[str, None]] = {}
    for key, variants in rows.items():
        for variant in variants:
            if len(variant.names) > 1:
                models.setdefault(tuple(variant.names), {})[str(key[0])] = None
    return [
        f"the same predictions stand in {', '.join(names)} and are taken once: {', '.join(alike)}"
        for names, alike in models.items()
    ]


def _sources(origins: Sequence[Origin]) -> tuple[tuple[str, PredictionMetadata], ...]:
    """Return the files of all; a control that several of them tell of is told once."""
    told: set[Any] = set()
    found = []
    for name, said in (source for o in origins for source in o.predictions.sources):
        found.append((name, replace(said, permuted=None) if said.permuted in told else said))
        told |= {said.permuted} - {None}
    return tuple(found)
