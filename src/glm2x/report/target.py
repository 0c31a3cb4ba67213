"""The target of an evaluation in words: its mode, its unit, and whether test people went into it."""

from __future__ import annotations

from glm2x.report.format import clean
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


def described(results: Results) -> str:
    """Return the target in words; a mode that this version does not know stands as it is."""
    if results.target is None:
        said = "not stated by the predictions"
    else:
        said = TARGETS.get(results.target, clean(results.target))
    marked = results.transductive and "transductive" not in said
    return f"{said} (transductive)" if marked else said
