"""The baselines by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from glm2x.baselines.data import Fit, GeneData
from glm2x.baselines.features import PREFIX, pooled_ridge
from glm2x.baselines.gblup import gblup
from glm2x.baselines.penalised import elastic_net, lasso
from glm2x.baselines.ridge import ridge
from glm2x.baselines.simple import genotype_pcs, top_variant, training_mean
from glm2x.errors import UsageError

WINDOW = "window"
PRIOR = "prior"


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Parameters
    ----------
    name
        As `--models` and the column `model` have it.
    summary
        One line of help.
    fit
        Fits one gene's `GeneData` and predicts, in the target's scale.
    inputs
        What it is fitted to: the variants of the `window`; those of the wider window of the `prior`, with
        it; or features, by the model's own name.
    components
        Whether it needs genotype PCs.
    slow
        Whether a gene takes long enough for processes to pay.
    """

    name: str
    summary: str
    fit: Callable[[GeneData], Fit]
    inputs: str = WINDOW
    components: bool = False
    slow: bool = False

    @property
    def of_variants(self) -> bool:
        """Whether it predicts by a weight of each variant."""
        return self.inputs in (WINDOW, PRIOR) and not self.components


_ALL = (
    Baseline("training-mean", "each gene's mean: no personal information", training_mean),
    Baseline("genotype-pcs", "least squares on genotype PCs: ancestry only", genotype_pcs, components=True),
    Baseline("top-variant", "least squares on the variant most correlated in training", top_variant),
    Baseline("elastic-net", "half L1, half L2; penalty by 10-fold cross-validation", elastic_net, slow=True),
    Baseline("lasso", "as elastic-net, with the L1 penalty only", lasso, slow=True),
    Baseline("ridge", "penalty by leave-one-out error", ridge),
    Baseline("gblup", "mixed model on the window's relationship matrix, variances by REML", gblup),
    Baseline(
        "informed-ridge",
        "ridge under a prior on each variant, learnt over all genes",
        ridge,
        PRIOR,
        slow=True,
    ),
    Baseline(
        "informed-gblup",
        "gblup under a prior on each variant, learnt over all genes",
        gblup,
        PRIOR,
        slow=True,
    ),
)

BASELINES: Mapping[str, Baseline] = MappingProxyType({baseline.name: baseline for baseline in _ALL})
"""Every baseline that needs nothing but a cohort, in the order reports show them."""


def find_baselines(names: Sequence[str], features: Collection[str] = ()) -> tuple[Baseline, ...]:
    """Return the baselines of these names, in the order given.

    Parameters
    ----------
    features
        The models on features that there are, such as ``ridge-kmer``.

    Raises
    ------
    UsageError
        No names, one given twice, or an unknown one (the nearest known one is named).
    """
    there = dict(BASELINES)
    for name in features:
        summary = f"ridge on pooled embeddings of {name.removeprefix(PREFIX)}"
        there[name] = Baseline(name, summary, pooled_ridge, name, slow=True)
    known = ", ".join(there)
    if not names:
        raise UsageError("no baseline was named", wanted=known, do="give --models NAME,...")
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1, cutoff=0.4)
            if name.startswith(PREFIX):
                raise UsageError(
                    f"the baseline {name} is fitted to embeddings, and none are given",
                    where="--models",
                    wanted=known,
                    do="give the embeddings of that backbone, or leave it out",
                )
            raise UsageError(
                f"no baseline is called {name!r}",
                where="--models",
                wanted=known,
                do=f"did you mean {near[0]}?" if near else "choose from those",
            )
        if names.count(name) > 1:
            raise UsageError(f"the baseline {name} is named twice", where="--models", do="name it once")
    return tuple(there[name] for name in names)
