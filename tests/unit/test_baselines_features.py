"""Ridge on pooled features: against scikit-learn, by rows of a cohort, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from glm2x.baselines.data import GeneData
from glm2x.baselines.features import features_of, pooled_ridge
from glm2x.baselines.ridge import penalties
from glm2x.baselines.run import run_baselines
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.split import Split
from glm2x.cohort.target import make_target
from glm2x.errors import DataError


class Source:
    """The same features whatever the gene."""

    def __init__(self, features: Any) -> None:
        self.features = features
        self.asked: list[str] = []

    def gene(self, gene: str) -> NDArray[np.float32]:
        self.asked.append(gene)
        return np.asarray(self.features, dtype=np.float32)


def embedding(people: int, channels: int, seed: int = 0) -> NDArray[np.float32]:
    """Large means, small differences between people, as pooled embeddings have them."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=channels) + 1e-3 * rng.normal(size=(people, channels))).astype(np.float32)


def test_pooled_ridge_is_scikit_learns_leave_one_out() -> None:
    features = embedding(60, 200)
    target = np.random.default_rng(1).normal(size=40) + 500 * features[:40, 0]
    made = pooled_ridge(GeneData("G", features[:40], target, features[40:]))
    scaler = StandardScaler().fit(features[:40].astype(float))
    # scikit-learn's leave-one-out, by the eigendecomposition of the Gram matrix
    model = RidgeCV(penalties(200), gcv_mode="eigen").fit(
        scaler.transform(features[:40].astype(float)), target
    )
    expected = model.predict(scaler.transform(features[40:].astype(float)))
    assert made.predicted == pytest.approx(expected, abs=1e-6)
    assert made.weights is None


def test_channels_that_vary_by_rounding_alone_are_left_out() -> None:
    target = np.arange(6.0)
    channel = 1000 + np.spacing(np.float32(1000)) * np.arange(6)  # the last digit of a float32
    features = channel.astype(np.float32)[:, None]
    assert len(np.unique(features)) == 6
    assert pooled_ridge(GeneData("G", features, target, features)).predicted.tolist() == [2.5] * 6


def test_people_of_a_run_are_rows_of_the_cohort(demo_cohort: Cohort, demo_split: Split) -> None:
    target = make_target(demo_cohort, demo_split, "log")
    row = demo_cohort.gene_index(demo_split.seen[:1])[0]
    features = embedding(len(demo_cohort.individuals), 300)
    features[:, 0] += target.values[row].astype(np.float32)  # one channel is the answer
    outsiders = np.setdiff1d(
        np.arange(len(features)),
        demo_cohort.individual_index((*demo_split.train, *demo_split.validation, *demo_split.test)),
    )
    features[outsiders] = np.nan
    source = Source(features)
    made = run_baselines(
        demo_cohort, demo_split, target, ["ridge-kmer", "ridge"], features={"ridge-kmer": source}, jobs=1
    )
    assert source.asked == list(demo_split.seen)
    frame = made.predictions.frame.filter(
        pl.col("gene").cast(pl.String) == demo_split.seen[0],
        pl.col("individual_split").cast(pl.String) == "test",
    )
    r = {
        str(name): rows.select(pl.corr("observed", "predicted")).item()
        for (name,), rows in frame.group_by("model")
    }
    assert r["ridge-kmer"] > 0.9 > r["ridge"]
    lines = made.genes.filter(pl.col("model") == "ridge-kmer")
    assert lines["variants"].null_count() == lines.height


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 2)), "features are not one row a person"),
        (np.zeros(4), "features are not one row a person"),
        ([[0, 1], [0, 1], [np.nan, 1], [0, 1]], "not finite for 1 of 3 people"),
    ],
)
def test_features_that_are_not_those_of_the_people(features: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        features_of(Source(features), "G", "ridge-kmer", 4, np.array([0, 1, 2]))
    assert caught.value.where == "ridge-kmer, G"


def test_features_of_people_who_are_not_used_may_be_missing() -> None:
    features = [[0, 1], [np.nan, 1], [0, 1]]
    assert features_of(Source(features), "G", "ridge-kmer", 3, np.array([0, 2])).shape == (3, 2)
