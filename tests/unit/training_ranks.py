"""What two processes under torchrun do in test_training_ranks: `python training_ranks.py VERB FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import training_norm
from training_fakes import FakeCohort, FakeGene, FakeSource, make_config, make_split, make_values

from glm2x.config import TrainingConfig
from glm2x.console import say_error
from glm2x.errors import DataError, Glm2xError
from glm2x.training.model import build_model
from glm2x.training.parallel import Ranks, started
from glm2x.training.predict import predict
from glm2x.training.run import train
from glm2x.training.runfolder import RunFolder

SGD = {
    "backbone": {"name": "norm", "weights": "eval-norm"},
    "training__optimizer": "sgd",
    "training__learning_rate": 0.05,
    "training__schedule": "constant",
}
BY_GENE = {"training__sampler": "gene", "training__batch_size": None}
# 23 samples of personal data: batches of 11 leave one, so that the second process has nothing of it
CASES: dict[str, dict[str, Any]] = {
    "smooth-l1": {"loss__pairwise": "none", "training__batch_size": 11},
    "pairwise": {"loss__pairwise": "published", "training__batch_size": 11},
    "signed": {"loss__pairwise": "signed-within-gene", **BY_GENE},
    "mean-difference": {"loss": {"kind": "mean-difference", "pairwise": "none"}, **BY_GENE},
    "haplotypes": {"training__batch": "haplotypes", **BY_GENE},
    "accumulated": {"training__accumulate": 4, "training__batch_size": 3, "training__gradient_clip": 0.5},
    "frozen": {"freeze": "trunk"},
    "half-frozen": {"freeze": 1},
}
# BatchNorm in training mode, dropout, Adam: not equal to one process, and equal to itself
WHOLE = {"backbone": {"name": "norm", "weights": "dropout"}, "training__epochs": 30}


def run(folder: Path, ranks: Ranks | None = None, *, resume: bool = False, **changes: Any) -> RunFolder:
    config = make_config(folder, **changes)
    source = FakeSource()
    return train(
        config, FakeCohort(), make_split(), target=make_values(), source=source, ranks=ranks, resume=resume
    )


class _Failing(FakeGene):
    def codes(self, rows: np.ndarray | None = None) -> np.ndarray:
        if len(self.asked) == 3:
            raise DataError("this process cannot read", where=os.environ["RANK"])
        return super().codes(rows)


def every_case(folder: Path) -> None:
    with started(TrainingConfig(device="cpu")) as ranks:
        for name, changes in CASES.items():
            run(folder / name, ranks, **(SGD | changes))
        twice = {"training__learning_rate": 0.025, "training__learning_rate_rule": "times-devices"}
        run(folder / "times-devices", ranks, **(SGD | CASES["smooth-l1"] | twice))
        model = folder / "smooth-l1" / "checkpoint"
        predicted = predict(model, FakeCohort(), source=FakeSource(), device="cpu", ranks=ranks)
        np.save(folder / f"predicted-{ranks.rank}.npy", predicted)
        np.save(folder / f"statistics-{ranks.rank}.npy", averaged(ranks))
        run(folder / "whole", ranks, **WHOLE)


def averaged(ranks: Ranks) -> list[float]:
    """Return statistics of a frozen and of a trained layer, in each process its rank, after averaging."""
    backbone = {"name": "norm", "weights": "plain"}
    model = build_model(make_config("out", backbone=backbone, freeze=1)).train()
    frozen, trained = model.backbone.first[1], model.backbone.second[1]
    for norm in (frozen, trained):
        norm.running_mean.fill_(ranks.rank)
        norm.running_var.fill_(ranks.rank)
    ranks.average_statistics(model)
    return [float(s[0]) for norm in (frozen, trained) for s in (norm.running_mean, norm.running_var)]


def go_on(folder: Path) -> None:
    (folder.parent / f"pid-{os.environ['RANK']}").write_text(str(os.getpid()))
    run(folder, resume=True, **WHOLE)


def fail(folder: Path) -> None:
    source = FakeSource()
    if os.environ["RANK"] == "1":
        for name, gene in source.genes.items():
            source.genes[name] = _Failing(gene.reference, gene.haplotypes, gene.index)
    split, config = make_split(), make_config(folder, strategy="personal")
    train(config, FakeCohort(), split, target=make_values(), source=source)


def end_without_a_word(folder: Path) -> None:
    def stop(step: int) -> int:
        if step == 5 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), 9)
        return step

    with started(TrainingConfig(device="cpu")) as ranks:
        for step in range(10):
            ranks.collect(stop(step))


if __name__ == "__main__":
    torch.set_num_threads(1)
    training_norm.register()
    verbs = {f.__name__: f for f in (every_case, go_on, fail, end_without_a_word)}
    try:
        verbs[sys.argv[1]](Path(sys.argv[2]))
    except Glm2xError as error:
        say_error(error)
        sys.exit(error.exit_code)
