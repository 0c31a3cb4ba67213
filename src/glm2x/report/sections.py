"""The split, the leak checks and the facts of an evaluation, as the page shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glm2x.report.format import MISSING, base_pairs, clean, count, counted, join_words
from glm2x.report.parts import Cell, Column, Missing, Table, TableRow
from glm2x.report.results import Results

TARGETS = {
    "log": "log: log2(x + 1) of a raw scale such as RPKM; a scale that is a log already, as it stands",
    "residual": "residual: log2(x + 1), covariates regressed out with coefficients of the training people",
    "residual-all": "residual-all (transductive): log2(x + 1), covariates regressed out on everyone",
    "z-score": "z-score: log2(x + 1) minus its mean over the training people, in their standard deviations",
    "inverse-normal": "inverse-normal: normal quantile of the rank of log2(x + 1) among the training people",
}
_UNITS = {
    "log": "log2(x + 1)",
    "residual": "residual log2(x + 1)",
    "residual-all": "residual log2(x + 1)",
    "z-score": "z-score of log2(x + 1)",
    "inverse-normal": "normal score of log2(x + 1)",
}
_SCALES = {"rpkm": "RPKM + 1", "tpm": "TPM + 1"}

_LACKS = re.compile(r"--(cohort|split)\b")
_CHECK_NAMES = {"share_of_n": "share of N", "reference_mismatch": "REF mismatch"}
_ORDER = {"fail": 0, "warn": 1, "not run": 2, "pass": 3}


@dataclass(frozen=True)
class Check:
    """One leak check: its result in words, the class that colours it, its name and finding."""

    status: str
    css: str
    name: str
    detail: str


def unit(results: Results) -> str:
    """Return the unit of the target for an axis label; with the cohort's scale where that is known."""
    scale = str(results.metrics.get("expression_scale") or "")
    logged = (
        f"{scale} expression" if scale in ("log2", "normalised") else f"log2({_SCALES.get(scale, 'x + 1')})"
    )
    if results.target is None:
        return "unit not stated"
    return _UNITS.get(results.target, clean(results.target)).replace("log2(x + 1)", logged)


def target_words(results: Results) -> str:
    """Return the target's mode for the head of the page, marked where it is transductive."""
    said = "target not stated" if results.target is None else f"target {clean(results.target)}"
    return f"{said} (transductive)" if results.transductive else said


def _described(results: Results) -> str:
    """Return the target in words; a mode that this version does not know stands as it is."""
    if results.target is None:
        said = "not stated by the predictions"
    else:
        said = TARGETS.get(results.target, clean(results.target))
    marked = results.transductive and "transductive" not in said
    return f"{said} (transductive)" if marked else said


def checks(results: Results) -> tuple[list[Check], str, list[Missing]]:
    """Return the checks (failures first), a sentence that sums them up, and what is missing."""
    found = [
        Check(
            status=str(value.get("status")),
            css=str(value.get("status")).replace(" ", ""),
            name=_check_name(str(value.get("name"))),
            detail=clean(str(value.get("detail") or "")),
        )
        for value in results.metrics.get("checks") or []
    ]
    if not found:
        return [], "", [Missing("No leak check was made. To make them:", _with_cohort(results))]
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
            Missing(
                "A check that was not run needs the cohort or the split. To run it:", _with_cohort(results)
            )
        )
    return found, sentence, missing


def _check_name(name: str) -> str:
    return _CHECK_NAMES.get(name, clean(name.replace("_", " ")))


def _with_cohort(results: Results) -> str:
    return "glm2x evaluate PREDICTIONS... --cohort COHORT --split split.json --out DIR --force"


def split_section(
    results: Results,
) -> tuple[Table | None, list[tuple[str, str]], Table | None, list[Missing]]:
    """Return the counts a side, the split's facts, the genes left out, and what is missing."""
    split = results.split
    if split is None:
        sizes = results.data.get("cells") or {}
        rows = tuple(
            TableRow(clean(name), (Cell(count(size.get("genes"))), Cell(count(size.get("individuals")))))
            for name, size in sizes.items()
        )
        head = (Column("cell"), Column("genes"), Column("people"))
        said = (
            Table("What the predictions table says of its sides", head, rows, css="compact") if rows else None
        )
        notice = Missing(
            "No split was given, so who was on which side cannot be shown. To show it:", _with_cohort(results)
        )
        return said, [], None, [notice]

    def size(key: str) -> int:
        return len(split.get(key) or ())

    rows = (
        TableRow("people", tuple(Cell(count(size(k))) for k in ("train", "validation", "test"))),
        TableRow(
            "genes seen",
            (Cell(count(size("seen"))), Cell(count(size("reference_validation"))), Cell(count(size("seen")))),
        ),
        TableRow("genes unseen", (Cell(MISSING), Cell(MISSING), Cell(count(size("unseen"))))),
    )
    columns = (Column(""), Column("training"), Column("validation"), Column("test"))
    table = Table("People and genes on each side", columns, rows, css="compact")
    excluded: Mapping[str, str] = split.get("excluded_genes") or {}
    pairs = [
        ("preset", clean(str(split.get("preset") or MISSING))),
        ("seed", str(split.get("seed")) if split.get("seed") is not None else "none"),
        ("window that keeps gene sets apart", base_pairs(split.get("window"))),
        ("validation people", "choose the epoch of personal phases; in no result"),
        ("validation genes", "among the seen genes; choose the epoch of a reference phase"),
        ("genes in neither set", count(len(excluded))),
        ("split digest", clean(str(split.get("digest") or MISSING))),
        ("cohort digest", clean(str(split.get("cohort_digest") or MISSING))),
    ]
    populations = results.data.get("populations")
    if populations:
        listed = sorted(populations.items(), key=lambda item: (-item[1], item[0]))
        pairs.insert(3, ("populations, people", ", ".join(f"{clean(p)} {count(n)}" for p, n in listed)))
    left_out = None
    if excluded:
        body = tuple(TableRow(clean(gene), (Cell(clean(why)),)) for gene, why in excluded.items())
        named = (Column("gene"), Column("why it is in neither set", css="text wrap"))
        left_out = Table(f"{counted(len(excluded), 'gene')} in neither set", named, body)
    return table, pairs, left_out, []


def facts(results: Results) -> list[tuple[str, str]]:
    """Return where the numbers come from: versions, target, window, digests, files, what was left out."""
    data = results.data
    pairs = [
        ("evaluated with", f"glm2x {results.metrics.get('glm2x_version') or 'of unknown version'}"),
        ("target", _described(results)),
        ("window", base_pairs(results.metrics.get("window"))),
        ("cohort digest", clean(str(data.get("cohort_digest") or "not stated"))),
        ("split digest", clean(str(data.get("split_digest") or "not stated"))),
        (
            "predictions",
            f"{count(data.get('rows'))} rows, {count(data.get('genes'))} genes, "
            f"{count(data.get('individuals'))} people",
        ),
        (
            "not measured",
            f"{count(data.get('rows_without_observed'))} rows have no measurement and are not judged",
        ),
        ("validation people", f"{count(data.get('validation_individuals'))}, in no result"),
        ("seeds and draws", join_words(_replicates(results)) or MISSING),
    ]
    for file in data.get("files") or []:
        version = file.get("glm2x_version")
        made = f"written by glm2x {version}" if version else "not written by glm2x"
        pairs.append(("file", clean(f"{file.get('name')}, {made}")))
    if data.get("ignored_columns"):
        pairs.append(("columns not used", clean(", ".join(data["ignored_columns"]))))
    return pairs


def _replicates(results: Results) -> Sequence[str]:
    names: dict[str, None] = {}
    for row in (results.cells.get(results.main_cell) or {}).values():
        found: Mapping[str, Any] = (row.get("seeds") or {}).get("mean_pearson_by_seed") or {}
        names |= dict.fromkeys(clean(f"seed {n}" if n.isdigit() else n) for n in found)
    return list(names)[:20]


def commands(results: Results, runs: Sequence[str]) -> str:
    """Return the commands that make the page again; in capitals what the evaluation does not know."""
    linear = dict.fromkeys(clean(row.model) for row in results.rows if row.role == "baseline")
    target, window = results.target or "TARGET", f"--window {results.metrics.get('window') or 'BP'}"
    if any(model.startswith("informed-") for model in linear):
        # The evaluation holds the largest window alone, and that is the prior's.
        window = f"--window BP --prior-window {results.metrics.get('window') or 'BP'}"
    lines = []
    if linear:
        lines.append(
            f"glm2x baseline COHORT --split split.json --models {','.join(linear)} --target {target} "
            f"{window}{_few_shot_options(results)} --out BASELINES.parquet"
        )
    for name in map(clean, runs):
        lines += [
            f"glm2x train {name}/config.yml",
            f"glm2x predict {name}/checkpoint --cohort COHORT --out MODEL.parquet",
        ]
    files = [clean(str(f.get("name"))) for f in results.data.get("files") or []] or ["PREDICTIONS..."]
    split = " --split split.json" if results.split is not None else ""
    lines.append(f"glm2x evaluate {' '.join(files)} --cohort COHORT{split} --out DIR")
    lines.append("glm2x report DIR" + "".join(f" --run {clean(name)}" for name in runs))
    return "\n".join(lines)


def _few_shot_options(results: Results) -> str:
    """Return the options that draw the baselines' few-shot curve again; empty where there is none."""
    drawn = {row.model for row in results.rows if row.role == "baseline"}
    points = [p for p in results.few_shot_points(results.main_cell) if p.get("model") in drawn]
    if not points:
        return ""
    split = results.split or {}
    everybody = len(split.get("train") or ()) + len(split.get("validation") or ())
    sizes = sorted({int(p["train_individuals"]) for p in points})
    named = ",".join("all" if size == everybody else str(size) for size in sizes)
    return f" --few-shot {named} --draws {max(int(p['draws']) for p in points)}"
