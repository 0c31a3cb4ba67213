"""Checks and controls: what the evaluation tested of itself, and what permuted people score."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from glm2x.report.data import Data, frame
from glm2x.report.format import clean, count, counted, is_number, join_words, number, p_value
from glm2x.report.numbers import permuted_data
from glm2x.report.parts import WITH_COHORT, Cell, Column, Missing, Table, TableRow
from glm2x.report.results import Results, cell_words
from glm2x.report.section import Subject

_LACKS = re.compile(r"--(cohort|split)\b")
_CHECK_NAMES = {"share_of_n": "share of N", "reference_mismatch": "REF mismatch"}
_CONTROLS = ("people_permuted", "refitted_to_permuted", "haplotypes_swapped")
NEAR_ZERO = 0.005
"""Mean r with people permuted must be this near to 0."""

_ORDER = {"fail": 0, "warn": 1, "not run": 2, "pass": 3}


@dataclass(frozen=True)
class Check:
    """One check: its result in words, the class that colours it, its name and finding.

    `control`: it is one of a result that must be nothing, or must not change.
    """

    status: str
    css: str
    name: str
    detail: str
    control: bool = False


def context(subject: Subject) -> dict[str, Any]:
    """Return the checks, what sums them up, and the controls."""
    found, words, missing = checks(subject.results)
    return {
        "checks": found,
        "words": words,
        "data": _data(found) if found else None,
        "missing_parts": missing,
        "controls": control_table(subject.results),
    }


def _data(found: Sequence[Check]) -> Data:
    lines = [{"check": c.name, "status": c.status, "detail": c.detail} for c in found]
    schema = dict.fromkeys(("check", "status", "detail"), pl.String)
    return Data("checks", "One line a check.", frame(lines, schema))


def checks(results: Results) -> tuple[list[Check], str, list[Missing]]:
    """Return the checks (failures first), a sentence that sums them up, and what is missing."""
    found = [
        Check(
            status=str(value.get("status")),
            css=str(value.get("status")).replace(" ", ""),
            name=_check_name(str(value.get("name"))),
            detail=clean(str(value.get("detail") or "")),
            control=str(value.get("name")) in _CONTROLS,
        )
        for value in results.metrics.get("checks") or []
    ]
    if not found:
        return [], "", [Missing("No leak check was made. To make them:", WITH_COHORT)]
    found.sort(key=lambda check: _ORDER.get(check.status, 0))
    numbers = [(status, sum(c.status == status for c in found)) for status in _ORDER]
    named = {"fail": "failed", "warn": "warned", "not run": "not run", "pass": "passed"}
    words = join_words([f"{n} {named[status]}" for status, n in numbers if n])
    sentence = f"Of {counted(len(found), 'check')}: {words}."
    if any(c.status == "fail" for c in found):
        sentence += (
            " With a failed leak check, the numbers on this page cannot be taken as held-out performance."
        )
    missing = []
    if any(c.status == "not run" and _LACKS.search(c.detail) for c in found):
        missing.append(
            Missing("A check that was not run needs the cohort or the split. To run it:", WITH_COHORT)
        )
    return found, sentence, missing


def failed_controls(results: Results) -> list[Check]:
    """Return the controls that did not come out as they must, each as a check.

    They are those which the evaluation found wanting, and mean r with people permuted that is further
    from 0 than `NEAR_ZERO` and four of its standard errors in a cell of which no check speaks.
    """
    found = [c for c in checks(results)[0] if c.control and c.status in ("warn", "fail")]
    if any(c.name == _check_name("people_permuted") for c in checks(results)[0]):
        return found
    for cell, controls in (results.metrics.get("controls") or {}).items():
        for label, control in controls.items():
            mean, sd = _number(control, "permuted_mean_pearson"), _number(control, "permuted_sd")
            count_of = _number(control, "permutations")
            error = sd / count_of**0.5 if sd is not None and count_of else 0.0
            if mean is not None and abs(mean) > max(NEAR_ZERO, 4 * error):
                detail = f"{clean(label)}, {cell_words(cell)}: mean r {number(mean, 4)} instead of 0"
                found.append(Check("warn", "warn", "people permuted", detail, control=True))
    return found


def _check_name(name: str) -> str:
    return _CHECK_NAMES.get(name, clean(name.replace("_", " ")))


def control_table(results: Results) -> Table | None:
    """Return mean r with the test people permuted, or None when that was not computed."""
    controls = (results.metrics.get("controls") or {}).get(results.main_cell) or {}
    body = [
        TableRow(
            clean(row.label),
            (
                Cell(count(_number(controls[row.label], "permutations"))),
                Cell(number(_number(controls[row.label], "permuted_mean_pearson"), 4)),
                Cell(number(_number(controls[row.label], "permuted_sd"), 4)),
                Cell(p_value(_number(controls[row.label], "permutation_p"))),
            ),
            look=row.look,
        )
        for row in results.rows
        if row.label in controls
    ]
    columns = (
        Column("row"),
        Column("permutations"),
        Column("mean r, permuted"),
        Column("SD over permutations"),
        Column("p", help="one-sided: mean r is no larger than with people permuted"),
    )
    caption = "Control: the same predictions with the test people permuted"
    return Table(caption, columns, tuple(body), css="compact", data=permuted_data(results)) if body else None


def _number(values: Mapping[str, Any], key: str) -> float | None:
    found = values.get(key)
    return float(found) if is_number(found) else None
