"""Loci: single genes, variant by variant and haplotype by haplotype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.report.data import Data
from glm2x.report.figures.locus import STEMS, Carried, Trace, locus_figure
from glm2x.report.format import base_pairs, clean, count, counted, number, shorten
from glm2x.report.loci import Locus, read_loci
from glm2x.report.parts import Missing, Plate
from glm2x.report.roles import Row
from glm2x.report.section import Subject
from glm2x.report.target import unit

PATTERNS = 16
"""Patterns of alleles that are drawn at most, the most frequent."""

_OBSERVED, _OTHER = "#8c939d", "#5d6674"
_EVALUATE = "glm2x evaluate PREDICTIONS... --cohort COHORT --split split.json --out DIR --force"


@dataclass(frozen=True)
class _Strongest:
    """The variant of the largest |r| with something: its place and r."""

    at: int
    r: float


def context(subject: Subject) -> dict[str, Any]:
    """Return one plate a gene and what is missing."""
    found = read_loci(subject.results.folder)
    if not found:
        lacking = Missing(
            "The windows of single genes are not drawn: the evaluation holds none, which takes the cohort's "
            "genotypes and a gene with variants. To add them:",
            _EVALUATE,
        )
        return {"plates": [], "note": "", "missing_parts": [lacking], "data": None}
    names = {row.label: row for row in subject.results.rows}
    plates = [_plate(i, locus, names, unit(subject.results)) for i, locus in enumerate(found)]
    return {"plates": plates, "note": _note(found, names), "missing_parts": [], "data": _data(found)}


def _data(found: Sequence[Locus]) -> Data:
    """Return the stems of all figures: one line a gene, variant and row."""
    frames = [
        pl.DataFrame(
            {
                "gene": locus.gene,
                "row": label,
                "distance": locus.distance,
                "frequency": locus.frequency,
                "observed_dosage_pearson": locus.observed,
                "predicted_dosage_pearson": locus.predicted[i],
            }
        )
        for locus in found
        for i, label in enumerate(locus.models)
    ]
    what = "One line a gene, row and variant of its window; haplotypes and people are in loci.parquet."
    return Data("loci", what, pl.concat(frames).with_columns(pl.col(pl.Float64).fill_nan(None)))


def _note(found: Sequence[Locus], names: dict[str, Row]) -> str:
    tested = _name(found[0].models[0], names) if found[0].models else "the model"
    return (
        f"The genes are those with the largest r of {tested}, those in which it differs most from the best "
        "linear model either way, and those that glm2x evaluate --loci names: not typical ones. A model that "
        "reads what the data say has its tall stems where the grey ones are; variants in linkage stand and "
        "fall together, so that a stem shows a block, not a cause."
    )


def _plate(number_of: int, locus: Locus, names: dict[str, Row], unit: str) -> Plate:
    words = [_name(label, names) for label in locus.models]
    traces = [Trace("measured expression", locus.observed, _OBSERVED)]
    for i, r in enumerate(locus.predicted):
        look = names[locus.models[i]].look.colour if locus.models[i] in names else _OTHER
        traces.append(Trace(f"prediction of {shorten(words[i], 40)}", r, look))
    carried = carriers(locus)
    gene = clean(locus.gene)
    strongest = [_strongest(trace.r) for trace in traces]
    picture = locus_figure(
        locus.distance,
        traces,
        carried,
        window=locus.window,
        unit=unit,
        name=f"locus{number_of}",
        alt=f"{gene}: |r| of {counted(len(locus.distance), 'variant')} with measured and predicted "
        f"expression, and {counted(len(carried.copies), 'haplotype')}. {_seen(locus, strongest, words)}",
    )
    return Plate(picture, f"{gene} ({clean(locus.why)}).", _caption(locus, carried, strongest, words))


def carriers(locus: Locus) -> Carried:
    """Return the most frequent patterns of alleles at the drawn variants, the highest predicted first.

    Haplotypes that differ elsewhere in the window alone are one pattern: of rare ones there are many, and
    each alone says nothing. A person who has a pattern twice counts twice.
    """
    along = np.argsort(locus.distance[locus.drawn], kind="stable")  # of - genes the window is turned around
    column = locus.drawn[along]
    patterns, of_haplotype = np.unique(locus.alleles[:, along], axis=0, return_inverse=True)
    of_haplotype = of_haplotype.reshape(-1)
    copies = np.bincount(of_haplotype, weights=locus.copies, minlength=len(patterns)).astype(np.int64)
    frequent = np.argsort(-copies, kind="stable")[:PATTERNS]
    first, second = of_haplotype[locus.pairs].T
    observed, predicted, error = (np.full(len(frequent), np.nan) for _ in range(3))
    for row, pattern in enumerate(frequent):
        has = (first == pattern).astype(np.float64) + (second == pattern)
        who = has > 0
        if who.any():
            observed[row] = np.average(locus.observed_people, weights=has)
            predicted[row] = np.average(locus.predicted_people[0], weights=has)
        if who.sum() > 1:
            error[row] = locus.observed_people[who].std(ddof=1) / np.sqrt(who.sum())
    order = np.argsort(-predicted, kind="stable")
    return Carried(
        column=column,
        alleles=patterns[frequent[order]],
        raises=np.nan_to_num(locus.predicted[0][column]) >= 0,
        copies=copies[frequent[order]],
        observed=observed[order],
        error=error[order],
        predicted=predicted[order],
    )


def _caption(
    locus: Locus, carried: Carried, strongest: Sequence[_Strongest | None], words: Sequence[str]
) -> str:
    """Return what to see, then what is drawn and what is not."""
    people, variants = len(locus.pairs), len(locus.distance)
    text = f"{_seen(locus, strongest, words)} "
    text += (
        f"Above: |r| (at the right: r) across {counted(people, 'person', 'people')} of each variant's dosage "
        f"with what was measured and what was predicted, in {base_pairs(locus.window)} around the TSS"
    )
    text += (
        f" (the {STEMS} of {count(variants)} variants with the largest |r| of each panel; scales differ). "
        if variants > STEMS
        else f" ({counted(variants, 'variant')}; scales differ). "
    )
    total, shown = int(locus.copies.sum()), int(carried.copies.sum())
    patterns = counted(len(carried.copies), "most frequent pattern")
    text += (
        f"Below: the alleles at the {count(len(locus.drawn))} variants with the largest |r|, half by what "
        f"was measured and half by the prediction: the {patterns} ({count(shown)} of {count(total)} copies; "
        f"the whole window has {count(len(locus.copies))} unique haplotypes), highest predicted first."
    )
    masked = int((carried.alleles == -1).sum())
    if masked:
        text += f" Narrow grey cells: N, of unknown phase ({count(masked)})."
    if locus.missing_genotypes:
        text += f" Missing genotypes count as REF ({count(locus.missing_genotypes)} in the whole cohort)."
    if locus.left_out:
        text += (
            f" {counted(locus.left_out, 'person', 'people')} of the cell without measurement, prediction or "
            "genotypes, or beyond those that are kept, are left out."
        )
    return text


def _seen(locus: Locus, strongest: Sequence[_Strongest | None], words: Sequence[str]) -> str:
    """Say where the strongest variants are, and how far the two columns of r agree."""
    data, model = strongest[0], strongest[1] if len(strongest) > 1 else None
    if data is None or model is None:
        return "No variant can be correlated with both what was measured and what was predicted."
    name = words[0]
    text = (
        f"Measured expression goes most with the variant {_where(locus, data.at)} (r = {number(data.r, 2)}), "
        f"the prediction of {name} with "
    )
    if data.at == model.at:
        text += f"the same (r = {number(model.r, 2)})"
    else:
        there = locus.observed[model.at]
        text += (
            f"that {_where(locus, model.at)} (r = {number(model.r, 2)}; measured there: {number(there, 2)})"
        )
    both = np.isfinite(locus.observed) & np.isfinite(locus.predicted[0])
    if both.sum() > 2 and locus.observed[both].std() > 0 and locus.predicted[0][both].std() > 0:
        same = float((np.sign(locus.observed[both]) == np.sign(locus.predicted[0][both])).mean())
        text += f". {count(round(same * both.sum()))} of {count(int(both.sum()))} have the same sign in both"
    return text + "."


def _where(locus: Locus, at: int) -> str:
    kb = int(locus.distance[at]) / 1000
    side = "downstream" if kb >= 0 else "upstream"
    return f"{abs(kb):.1f} kb {side}"


def _strongest(r: NDArray[np.float64]) -> _Strongest | None:
    if not np.isfinite(r).any():
        return None
    at = int(np.nanargmax(np.abs(r)))
    return _Strongest(at, float(r[at]))


def _name(label: str, names: dict[str, Row]) -> str:
    return names[label].words if label in names else shorten(clean(label), 60)
