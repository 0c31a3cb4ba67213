"""Predictions of a trained model for any people and genes of a cohort, with or without expression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from glm2x.backbones.device import require_device
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError, UsageError
from glm2x.place import Place
from glm2x.progress import Progress, silent
from glm2x.provenance import count_passes
from glm2x.training.batches import rows_of
from glm2x.training.checkpoint import Checkpoint, load_checkpoint
from glm2x.training.inference import predict_gene
from glm2x.training.inputs import Embeddings, GeneSource, HaplotypeSource, Inputs, inputs_of
from glm2x.training.model import ExpressionModel, build_model
from glm2x.training.parallel import ALONE, Ranks
from glm2x.training.possible import require_model
from glm2x.training.run import HAPLOTYPE_COLUMNS
from glm2x.training.samples import REFERENCE

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort


def load_model(folder: Path | str) -> tuple[ExpressionModel, Checkpoint]:
    """Return a checkpoint's model, in evaluation mode on the CPU, and the checkpoint.

    Raises
    ------
    DataError
        The checkpoint is damaged, or its weights do not fit its configuration.
    """
    checkpoint = load_checkpoint(folder)
    require_model(checkpoint)
    with torch.random.fork_rng(devices=[]):
        model = build_model(checkpoint.config, checkpoint.metadata.backbone_spec)
    checkpoint.load_into(model)
    return model.eval(), checkpoint


def predict(
    checkpoint: Path | str,
    cohort: Cohort,
    genes: Sequence[str] | None = None,
    individuals: Sequence[str] | None = None,
    *,
    source: HaplotypeSource | None = None,
    embeddings: Place | str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> NDArray[np.float64]:
    """Return predictions, float64 [genes, individuals], in the scale of the model's target.

    A person's prediction is the mean over the haplotypes that the model was trained on
    (``haplotypes`` of its configuration; both unless it was set). Each unique haplotype of a gene
    is computed once, in float32. It does not matter who else is asked for.

    Parameters
    ----------
    checkpoint
        The folder of a checkpoint, such as ``RUN/checkpoint``.
    cohort
        Whose haplotypes; expression is not looked at.
    genes, individuals
        Which, in this order; all of the cohort's by default.
    source
        Where haplotypes come from; by default the cohort's haplotype dictionary.
    embeddings
        The store to read, of a model that is trained on one; by default that of its configuration.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    progress
        Counts genes.
    ranks
        The processes that share the genes; all of them get the whole table.

    Raises
    ------
    DataError
        The checkpoint is damaged, the haplotypes are of another window than the model's, a gene or
        person is not in the cohort, or the store lacks haplotypes or is another than the model's.
    """
    people = cohort.individual_index(cohort.individuals if individuals is None else individuals)
    return _predict(checkpoint, cohort, genes, people, source, embeddings, device, progress, ranks)


def predict_reference(
    checkpoint: Path | str,
    cohort: Cohort,
    genes: Sequence[str] | None = None,
    *,
    source: HaplotypeSource | None = None,
    embeddings: Place | str | None = None,
    device: str = "auto",
    progress: Progress = silent,
    ranks: Ranks = ALONE,
) -> NDArray[np.float64]:
    """Return the predictions for the reference windows, float64 [genes]; see `predict`."""
    reference = np.array([REFERENCE], dtype=np.int64)
    predicted = _predict(checkpoint, cohort, genes, reference, source, embeddings, device, progress, ranks)
    return predicted[:, 0]


class Predictor:
    """A checkpoint's model with its inputs, ready to predict some people, gene by gene.

    Parameters
    ----------
    folder
        The checkpoint.
    cohort
        Whose haplotypes.
    people
        int64 [P]: columns of the cohort, or all `REFERENCE`.
    source, embeddings, device, ranks
        See `predict`.

    Attributes
    ----------
    windows, passes
        How many windows were asked for so far, and how many unique haplotypes of them were computed.

    Raises
    ------
    DataError
        The checkpoint is damaged, or the store is another than the model's.
    """

    def __init__(
        self,
        folder: Path | str,
        cohort: Cohort,
        people: NDArray[np.int64],
        *,
        source: HaplotypeSource | None = None,
        embeddings: Place | str | None = None,
        device: str = "auto",
        ranks: Ranks = ALONE,
    ) -> None:
        model, self._checkpoint = ranks.together(lambda: load_model(folder))
        config = self._checkpoint.config
        self._window, self._people = config.window, people
        self._columns = HAPLOTYPE_COLUMNS[config.haplotypes]
        haplotypes = source or HaplotypeDictionary(cohort, config.window)
        self._inputs = ranks.together(lambda: _inputs(model, self._checkpoint, haplotypes, embeddings))
        self._place = torch.device(require_device(device)) if ranks.fabric is None else ranks.fabric.device
        self._model = model.to(self._place)
        self._at_once = model.windows_at_once(config.window)
        self.windows, self.passes = 0, 0

    def require(self, genes: Sequence[str]) -> None:
        """Raise `DataError` where the model reads a store that lacks haplotypes of the genes."""
        if isinstance(self._inputs, Embeddings):
            inputs = self._inputs
            rows = [(name, rows_of(inputs.gene(name), self._people, self._columns)[0]) for name in genes]
            inputs.require(rows)

    def gene(self, name: str) -> NDArray[np.float64]:
        """Return a gene's predictions, float64 [P]; see `predict`."""
        haplotypes = self._inputs.gene(name)
        _require_window(haplotypes, name, self._window, self._checkpoint)
        unique, index = rows_of(haplotypes, self._people, self._columns)
        self.windows += index.size
        self.passes += 1 if unique is None else len(unique)
        return predict_gene(
            self._model, self._inputs, name, self._people, self._columns, self._place, self._at_once
        )


def _predict(
    folder: Path | str,
    cohort: Cohort,
    genes: Sequence[str] | None,
    people: NDArray[np.int64],
    source: HaplotypeSource | None,
    embeddings: Place | str | None,
    device: str,
    progress: Progress,
    ranks: Ranks,
) -> NDArray[np.float64]:
    chosen = cohort.gene_ids if genes is None else tuple(genes)
    cohort.gene_index(chosen)  # unknown genes are named before anything is computed
    predictor = Predictor(
        folder, cohort, people, source=source, embeddings=embeddings, device=device, ranks=ranks
    )
    own = chosen[ranks.rank :: ranks.size]
    ranks.together(lambda: predictor.require(own))
    predicted = np.zeros((len(chosen), len(people)))
    mine = range(ranks.rank, len(chosen), ranks.size)
    with (progress if ranks.is_first else silent)("predict", len(mine), "genes") as bar:
        for row in mine:
            predicted[row] = predictor.gene(chosen[row])
            bar.advance(1, chosen[row])
    asked = ranks.total(np.array([predictor.windows, predictor.passes], dtype=np.float64))
    count_passes(*(int(number) for number in asked))
    return ranks.total(predicted)


def _inputs(
    model: ExpressionModel, checkpoint: Checkpoint, source: HaplotypeSource, embeddings: Place | str | None
) -> Inputs:
    """Return what gives the model its inputs, after a store was found to be the model's."""
    config = checkpoint.config
    if not model.backbone.precomputed:
        if embeddings is not None:
            raise UsageError(
                "the model reads letters, and no embeddings",
                where=str(checkpoint.folder),
                do="leave --embeddings out",
            )
        return inputs_of(source, None)
    inputs = inputs_of(source, embeddings or config.embeddings)
    assert isinstance(inputs, Embeddings)
    StoreSpec.from_json(model.backbone.spec).require_same(inputs.store.spec, str(inputs.store.folder))
    return inputs


def _require_window(gene: GeneSource, name: str, window: int, checkpoint: Checkpoint) -> None:
    if gene.window != window:
        raise DataError(
            "the haplotypes are of another window than the model's",
            where=f"{name}, {checkpoint.folder}",
            got=f"{gene.window} bp",
            wanted=f"{window} bp",
            do=f"give haplotypes of {window} bp",
        )
