"""The baselines by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from glm2x.baselines.data import GeneData
from glm2x.baselines.gblup import gblup
from glm2x.baselines.penalised import elastic_net, lasso
from glm2x.baselines.ridge import ridge
from glm2x.baselines.simple import genotype_pcs, top_variant, training_mean
from glm2x.errors import UsageError


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Parameters
    ----------
    name
        As `--models` and the column `model` have it.
    summary
        One line of help.
    fit_predict
        Takes one gene's `GeneData` and returns float64 [people predicted] in the target's scale.
    components
        Whether it needs genotype PCs.
    slow
        Whether a gene takes long enough for processes to pay.
    """

    name: str
    summary: str
    fit_predict: Callable[[GeneData], NDArray[np.float64]]
    components: bool = False
    slow: bool = False


_ALL = (
    Baseline("training-mean", "each gene's mean: no personal information", training_mean),
    Baseline("genotype-pcs", "least squares on genotype PCs: ancestry only", genotype_pcs, components=True),
    Baseline("top-variant", "least squares on the variant most correlated in training", top_variant),
    Baseline("elastic-net", "half L1, half L2; penalty by 10-fold cross-validation", elastic_net, slow=True),
    Baseline("lasso", "as elastic-net, with the L1 penalty only", lasso, slow=True),
    Baseline("ridge", "penalty by leave-one-out error", ridge),
    Baseline("gblup", "mixed model on the window's relationship matrix, variances by REML", gblup),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({baseline.name: baseline for baseline in _ALL})
"""Every baseline, in the order reports show them."""


def find_baselines(names: Sequence[str]) -> tuple[Baseline, ...]:
    """Return the baselines of these names, in the order given.

    Raises
    ------
    UsageError
        No names, one given twice, or an unknown one (the nearest known one is named).
    """
    known = ", ".join(BASELINES)
    if not names:
        raise UsageError("no baseline was named", wanted=known, do="give --models NAME,...")
    for name in names:
        if name not in BASELINES:
            near = difflib.get_close_matches(name, BASELINES, n=1, cutoff=0.4)
            raise UsageError(
                f"no baseline is called {name!r}",
                where="--models",
                wanted=known,
                do=f"did you mean {near[0]}?" if near else "choose from those",
            )
        if names.count(name) > 1:
            raise UsageError(f"the baseline {name} is named twice", where="--models", do="name it once")
    return tuple(BASELINES[name] for name in names)
