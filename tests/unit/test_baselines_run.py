"""Running baselines over a cohort: who is fitted, who is predicted, and what is said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from glm2x.baselines import fitting
from glm2x.baselines.data import Fit
from glm2x.baselines.path import NotConverged
from glm2x.baselines.registry import Baseline
from glm2x.baselines.run import run_baselines
from glm2x.cohort import components
from glm2x.cohort.components import component_names, genotype_components
from glm2x.errors import DataError

PEOPLE = ("a", "b", "c", "d", "e", "f")
WINDOW = 20
TSS = {"one": 105, "two": 120, "empty": 500, "hidden": 900}
# dosages by position: 110 is in the windows of two genes, 125 does not vary among a, b, c, d
DOSAGE = {100: [0, 1, 2, 1, 0, 2], 110: [0, 0, 2, 2, 1, 1], 125: [1, 1, 1, 1, 0, 2], 900: [0, 1, 0, 1, 0, 1]}


class FakeCohort:
    """Four genes and six people, with the attributes of a cohort that baselines use."""

    digest = "c" * 64
    individuals = PEOPLE
    gene_ids = tuple(TSS)
    genes = tuple(SimpleNamespace(gene=name, contig="1", tss=tss, strand="+") for name, tss in TSS.items())

    def __init__(self, covariates: dict[str, list[float]]) -> None:
        self.covariate_names = tuple(covariates)
        self.covariates = np.array(list(covariates.values()), dtype=float).reshape(len(covariates), 6)

    def gene_index(self, ids: tuple[str, ...]) -> Any:
        return np.array([self.gene_ids.index(name) for name in ids], dtype=np.int64)

    def individual_index(self, ids: tuple[str, ...]) -> Any:
        return np.array([self.individuals.index(name) for name in ids], dtype=np.int64)

    def gene(self, gene: str) -> Any:
        return self.genes[self.gene_ids.index(gene)]

    def give_back(self) -> None:
        """Nothing is mapped into memory."""

    def dosages(self, gene: str, window: int) -> Any:
        inside = [p for p in DOSAGE if TSS[gene] - window / 2 <= p < TSS[gene] + window / 2]
        dosage = np.array([DOSAGE[p] for p in inside], dtype=np.float32).reshape(-1, 6).T
        position = np.array(inside, dtype=np.int64)
        return SimpleNamespace(position=position, distance=position - TSS[gene], dosage=dosage)


SPLIT = SimpleNamespace(
    train=("c", "a"),
    validation=("b", "d"),
    test=("f",),  # e is in neither
    seen=("two", "one", "empty"),
    unseen=("hidden",),
    excluded_genes={},
    digest="5" * 64,
    family="6" * 64,
    draw=3,
    gene_split=lambda gene: "seen",
    individual_split={"a": "train", "b": "validation", "c": "train", "d": "validation", "f": "test"}.get,
)
NAN = float("nan")
VALUES = np.array(
    [[1.0, 2, 3, 2, 9, 7], [1, 1, 5, NAN, 9, NAN], [0, 1, 2, 5, 9, 9], [0, 0, 0, 0, 0, 0]], dtype=float
)
PCS = {"genotype_PC1": [0.0, 1, 2, 3, 4, 5], "sex": [0.0, 1, 0, 1, 0, 1]}


def predict(
    models: list[str], values: Any = VALUES, covariates: dict[str, list[float]] = PCS, **options: Any
) -> tuple[pl.DataFrame, list[str], Any]:
    said: list[str] = []
    target = SimpleNamespace(mode="log", values=values, covariates=())
    made = run_baselines(
        cast(Any, FakeCohort(covariates)),
        cast(Any, SPLIT),
        cast(Any, target),
        models,
        WINDOW,
        say=said.append,
        **options,
    )
    return made.predictions.frame, said, made.predictions.metadata


def predicted(frame: pl.DataFrame, gene: str) -> dict[str, float]:
    rows = frame.filter(pl.col("gene") == gene)
    return dict(zip(rows["individual"], rows["predicted"], strict=True))


def test_training_mean_is_fitted_on_training_and_validation_people() -> None:
    frame, _, _ = predict(["training-mean"])
    assert predicted(frame, "one") == dict.fromkeys("cabdf", 2.0)  # the mean of 1, 2, 3, 2
    assert predicted(frame, "two") == dict.fromkeys("cabdf", 7 / 3)  # d was not measured
    assert predicted(frame, "empty") == dict.fromkeys("cabdf", 2.0)


def test_the_table_holds_every_model_seen_gene_and_person_of_the_split() -> None:
    frame, _, metadata = predict(["top-variant", "training-mean"])
    assert frame.height == 2 * 3 * 5
    assert frame["model"].cast(pl.String).unique(maintain_order=True).to_list() == [
        "top-variant",
        "training-mean",
    ]
    assert frame["gene"].unique(maintain_order=True).to_list() == ["two", "one", "empty"]
    assert frame["individual"][:5].to_list() == ["c", "a", "b", "d", "f"]
    assert frame["individual_split"][:5].to_list() == ["train", "train", "validation", "validation", "test"]
    assert frame["observed"][:5].to_list() == [5, 1, 1, None, None]
    assert frame["gene_split"].unique().to_list() == ["seen"]
    assert frame["train_individuals"].unique().to_list() == [4]
    assert frame["seed"].unique().to_list() == [0]
    assert (metadata.target, metadata.window, metadata.cohort_digest, metadata.split_digest) == (
        "log",
        20,
        "c" * 64,
        "5" * 64,
    )
    assert frame["draw"].unique().to_list() == [3]
    assert metadata.family == "6" * 64


def test_top_variant_in_the_window() -> None:
    frame, _, _ = predict(["top-variant"])
    assert predicted(frame, "one") == pytest.approx(
        {"a": 1, "b": 2, "c": 3, "d": 2, "f": 3}
    )  # 1 + that at 100
    # c alone differs among a, b, c: 1 + 2 * that at 110; d is predicted though not measured
    assert predicted(frame, "two") == pytest.approx({"a": 1, "b": 1, "c": 5, "d": 5, "f": 3})
    assert set(predicted(frame, "empty").values()) == {2.0}


def test_genotype_pcs_come_from_the_covariates() -> None:
    frame, said, _ = predict(["genotype-pcs"])
    assert "genotype-pcs: the covariates genotype_PC1" in said
    # least squares of 1, 2, 3, 2 on 0, 1, 2, 3: 1.4 + 0.4 x
    assert predicted(frame, "one") == pytest.approx({"a": 1.4, "b": 1.8, "c": 2.2, "d": 2.6, "f": 3.4})


def test_what_is_left_out_is_said() -> None:
    values = VALUES.copy()
    values[0, :4] = np.nan
    frame, said, _ = predict(["training-mean"], values)
    assert frame["gene"].unique(maintain_order=True).to_list() == ["two", "empty"]
    assert said == [
        "1 unseen and 0 excluded genes are left out: a baseline is fitted to a gene's own training people",
        "1 seen genes are left out: measured in no training or validation person",
        "1 of 2 genes have no variant that varies among the people fitted, a constant target, or fewer than "
        "three people: models of the window predict their training mean",
    ]


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"no seen gene has a target \(log\) in any training or validation person"
    ):
        predict(["training-mean"], np.full((4, 6), np.nan))


def test_progress_counts_genes() -> None:
    steps: list[tuple[int, int]] = []
    predict(["ridge"], progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_processes_change_nothing() -> None:
    models = ["elastic-net", "ridge", "gblup", "informed-gblup"]
    one, _, _ = predict(models, jobs=1)
    two, _, _ = predict(models, jobs=2)
    assert one.equals(two)


def test_the_order_of_people_in_a_split_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_orders: list[list[float]] = []

    def fit(data: Any) -> Any:
        seen_orders.append(data.target_fit.tolist())
        return Fit(np.zeros(data.people))

    monkeypatch.setattr(fitting, "find_baselines", lambda *_: (Baseline("ridge", "", fit),))
    predict(["ridge"])
    # inner folds go by the order of people: here a, b, c, d though the split says c, a and b, d
    assert seen_orders == [[1, 1, 5], [1, 2, 3, 2], [0, 1, 2, 5]]


def patched(monkeypatch: pytest.MonkeyPatch, message: str, category: type[Warning]) -> None:
    def fit(data: Any) -> Any:
        warnings.warn(message, category, stacklevel=1)
        return Fit(np.zeros(data.people))

    made = Baseline("ridge", "", cast(Callable[[Any], Any], fit))
    monkeypatch.setattr(fitting, "find_baselines", lambda *_: (made,))


def test_fits_that_do_not_converge_are_counted_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, "did not settle", NotConverged)
    _, said, _ = predict(["ridge"])
    assert said[-1].startswith(
        "ridge: 3 of the inner fits (penalties x folds) of 3 genes stopped at the limit"
    )


def test_other_warnings_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, "overflow", RuntimeWarning)
    with pytest.warns(RuntimeWarning, match=": overflow") as caught:
        predict(["ridge"])
    assert [str(warning.message) for warning in caught] == [
        "two: overflow",
        "one: overflow",
        "empty: overflow",
    ]


@pytest.mark.parametrize(
    ("name", "is_component"),
    [
        ("genotype_PC1", True),
        ("PC12", True),
        ("/data/output/genotypes_1_1_svd_PC2", True),
        ("/data/output/genes_1_1_svd_PC2", False),
        ("expression_PC1", False),
        ("PC", False),
        ("sex", False),
    ],
)
def test_genotype_components_are_known_by_name(name: str, is_component: bool) -> None:
    assert component_names((name,)) == ((name,) if is_component else ())


def test_a_missing_component_is_an_error() -> None:
    with pytest.raises(DataError, match="1 individuals lack a genotype PC") as caught:
        predict(["genotype-pcs"], covariates={"PC1": [0, 1, NAN, 3, 4, 5]})
    assert caught.value.where == "covariate PC1 of individual c"


def test_too_few_variants_for_components_is_an_error() -> None:
    with pytest.raises(DataError, match="too few variants to compute them") as caught:
        predict(["genotype-pcs"], covariates={})
    # of the four variants, that at 125 does not vary among the people fitted, and that at 110 counts once
    assert caught.value.got == "3 variants that vary among the people fitted"


def test_components_from_genotypes_of_the_people_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "FEWEST_VARIANTS", 3)
    fitted = np.array([0, 1, 2, 3])
    made, source = genotype_components(cast(Any, FakeCohort({})), fitted, WINDOW)
    assert source == "genotype-pcs: 3 computed from 3 variants of the people fitted"
    dosage = np.array([DOSAGE[p] for p in (100, 110, 900)], dtype=float).T
    z = (dosage - dosage[fitted].mean(axis=0)) / dosage[fitted].std(axis=0)
    _, values, axes = np.linalg.svd(z[fitted])
    assert np.abs(made) == pytest.approx(np.abs(z @ axes.T))
    assert made[fitted].std(axis=0) * 2 == pytest.approx(values)
