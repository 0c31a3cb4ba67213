"""Baselines on real data against independent implementations and against the protocol's table.

Chromosome 22 of GEUVADIS (608 genes, 358 people), TSS +/- 32 kb, `RandomState(0).permutation(358)`
with the first 250 people to fit on and the other 108 to judge (S250).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.stats import linregress
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNetCV, LinearRegression, Ridge, RidgeCV, enet_path
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from glm2x.baselines.data import Fit, GeneData, Standardised, standardise
from glm2x.baselines.gblup import gblup
from glm2x.baselines.path import elastic_net_path
from glm2x.baselines.penalised import elastic_net, penalty_grid
from glm2x.baselines.ridge import leave_one_out, left_singular, penalties, ridge
from glm2x.baselines.simple import genotype_pcs, top_variant
from glm2x.reml import GRID, project, relationship_eigen, reml, restricted_likelihood

CHR22 = Path(__file__).resolve().parents[3] / "shared" / "data" / "chr22"
pytestmark = pytest.mark.skipif(
    not CHR22.is_dir(), reason="needs the chr22 benchmark data in ../shared/data/chr22"
)

FIT, TEST = np.split(np.random.RandomState(0).permutation(358), [250])
SUBSET = range(7, 608, 15)  # 41 genes
HALF_WINDOW = 32_000


class Chr22(NamedTuple):
    dosage: list[NDArray[np.float32]]  # for each gene, [people, variants]
    log: NDArray[np.float64]  # [genes, people]
    covariates: NDArray[np.float64]  # [people, covariates]; the first three are genotype PCs

    def residual(self) -> NDArray[np.float64]:
        """Covariates regressed out with coefficients of the people fitted, their mean added back."""
        model = LinearRegression().fit(self.covariates[FIT], self.log[:, FIT].T)
        mean = self.log[:, FIT].mean(axis=1, keepdims=True)
        return np.asarray(self.log - model.predict(self.covariates).T + mean)

    def gene(self, gene: int, targets: NDArray[np.float64], people: NDArray[np.int64] = FIT) -> GeneData:
        dosage, components = self.dosage[gene], self.covariates[:, :3]
        return GeneData(
            str(gene),
            dosage[people],
            targets[gene, people],
            dosage[TEST],
            components[people],
            components[TEST],
        )


def standardised(data: GeneData, design: Standardised) -> NDArray[np.float64]:
    """Return the dosages of the people to predict, by the means and deviations of those fitted."""
    new: NDArray[np.float64] = (data.dosage[:, design.kept].astype(float) - design.centre) / design.scale
    return new


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def chr22() -> Chr22:
    import cyvcf2

    file = cyvcf2.VCF(str(CHR22 / "genotypes.chr22.vcf.gz"), gts012=True)
    people = list(file.samples)
    records = [(record.start, record.gt_types.astype(np.float32)) for record in file]
    position = np.array([start for start, _ in records])
    dosage = np.array([types for _, types in records])
    genes = pl.read_csv(CHR22 / "genes.50percent.chr22.bed.gz", separator="\t")
    covariates = pl.read_csv(CHR22 / "genes.covariates.pc50.txt.gz", separator=" ")
    tss = genes["start"].to_numpy()
    first, end = np.searchsorted(position, [tss - HALF_WINDOW, tss + HALF_WINDOW])
    return Chr22(
        [dosage[a:b].T for a, b in zip(first, end, strict=True)],
        np.log2(genes.select(people).to_numpy() + 1),
        covariates.select(people).to_numpy().T,
    )


@pytest.mark.parametrize(
    ("fit_predict", "mode", "expected"),
    [
        (top_variant, "log", 0.108),
        (top_variant, "residual", 0.161),
        (genotype_pcs, "log", 0.070),
        (genotype_pcs, "residual", 0.000),
        (ridge, "residual", 0.177),
        (gblup, "log", 0.113),
    ],
)
def test_mean_r_of_608_genes_is_that_of_the_protocol(
    chr22: Chr22, fit_predict: Callable[[GeneData], Fit], mode: str, expected: float
) -> None:
    targets = chr22.log if mode == "log" else chr22.residual()
    assert len(targets) == 608
    scores = []
    for gene, observed in enumerate(targets[:, TEST]):
        predicted = fit_predict(chr22.gene(gene, targets)).predicted
        null = predicted.std() < 1e-3 * observed.std()
        scores.append(0.0 if null else np.corrcoef(predicted, observed)[0, 1])
    assert np.mean(scores) == pytest.approx(expected, abs=0.001)


def test_top_variant_is_the_best_of_simple_regressions(chr22: Chr22) -> None:
    for gene in SUBSET[::8]:
        data = chr22.gene(gene, chr22.log)
        varies = [v for v in range(data.dosage.shape[1]) if np.ptp(data.dosage_fit[:, v]) > 0]
        lines = [linregress(data.dosage_fit[:, v].astype(float), data.target_fit) for v in varies]
        best = int(np.argmax(np.round([abs(line.rvalue) for line in lines], 9)))
        expected = lines[best].intercept + lines[best].slope * data.dosage[:, varies[best]]
        assert top_variant(data).predicted == pytest.approx(expected)


def test_genotype_pcs_is_linear_regression(chr22: Chr22) -> None:
    for gene in SUBSET:
        data = chr22.gene(gene, chr22.log)
        model = LinearRegression().fit(data.components_fit, data.target_fit)
        assert genotype_pcs(data).predicted == pytest.approx(model.predict(data.components))


def test_ridge_is_ridge_cv(chr22: Chr22) -> None:
    targets = chr22.residual()
    for gene in SUBSET[::2]:
        data = chr22.gene(gene, targets)
        design = standardise(data)
        assert design is not None
        # scikit-learn's leave-one-out, by the eigendecomposition of the Gram matrix
        model = RidgeCV(penalties(design.fit.shape[1]), gcv_mode="eigen").fit(design.fit, data.target_fit)
        assert ridge(data).predicted == pytest.approx(model.predict(standardised(data, design)), abs=1e-7)


def test_leave_one_out_error_is_that_of_explicit_refits(chr22: Chr22) -> None:
    for gene in SUBSET[::14]:
        design = standardise(chr22.gene(gene, chr22.log, FIT[:60]))
        assert design is not None
        left, values = left_singular(design.fit)
        grid = penalties(design.fit.shape[1])[::10]
        expected = []
        for penalty in grid:
            errors = []
            for out in range(60):
                kept = np.arange(60) != out
                model = Ridge(penalty).fit(design.fit[kept], design.target[kept])
                errors.append(model.predict(design.fit[[out]])[0] - design.target[out])
            expected.append(np.mean(np.square(errors)))
        errors = leave_one_out(left, values, design.target, grid)
        assert np.mean(errors**2, axis=0) == pytest.approx(expected)


def dense_restricted_likelihood(
    h2: float, relationship: NDArray[np.float64], target: NDArray[np.float64]
) -> float:
    """Return the textbook REML likelihood with an intercept, the variance profiled, without eigenvectors."""
    n = len(target)
    covariance = h2 * relationship + (1 - h2) * np.eye(n)
    inverse = np.linalg.inv(covariance)
    ones = inverse.sum(axis=1)
    projection = inverse - np.outer(ones, ones) / ones.sum()
    spread = target @ projection @ target
    determinant = np.linalg.slogdet(covariance)[1] + np.log(ones.sum())
    return float(-0.5 * (determinant + (n - 1) * np.log(spread)))


def test_gblup_is_dense_reml_and_kernel_ridge(chr22: Chr22) -> None:
    targets = chr22.residual()
    heritable = 0
    for gene in SUBSET[::4]:
        data = chr22.gene(gene, targets)
        design = standardise(data)
        assert design is not None
        variants = design.fit.shape[1]
        relationship = design.fit @ design.fit.T / variants
        projected = project(*relationship_eigen(design.fit), design.target)
        points = GRID[::9]
        dense = np.array([dense_restricted_likelihood(h2, relationship, data.target_fit) for h2 in points])
        ours = restricted_likelihood(points, projected)
        assert ours - ours[0] == pytest.approx(dense - dense[0], abs=1e-6)

        h2 = reml(projected)
        best = dense_restricted_likelihood(h2, relationship, data.target_fit)
        assert best >= dense.max() - 1e-9
        for near in (h2 - 0.002, h2 + 0.002):
            if near >= 0:
                assert best >= dense_restricted_likelihood(near, relationship, data.target_fit)
        if h2 == 0:
            assert np.ptp(gblup(data).predicted) == 0
            continue
        heritable += 1
        model = KernelRidge(alpha=(1 - h2) / h2, kernel="precomputed").fit(relationship, design.target)
        expected = data.target_fit.mean() + model.predict(
            standardised(data, design) @ design.fit.T / variants
        )
        assert gblup(data).predicted == pytest.approx(expected, abs=1e-6)
    assert heritable >= 5


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_path_is_scikit_learns(chr22: Chr22, l1_ratio: float) -> None:
    design = standardise(chr22.gene(SUBSET[3], chr22.residual()))
    assert design is not None
    grid = penalty_grid(design.fit, design.target, l1_ratio)[:60]
    ours = elastic_net_path(design.fit, design.target, grid, l1_ratio)
    _, theirs, _ = enet_path(
        design.fit, design.target, alphas=grid, l1_ratio=l1_ratio, tol=1e-10, max_iter=1_000_000
    )
    assert (theirs[:, -1] != 0).sum() > 10
    # fits, not coefficients: the lasso of dependent variants has many
    assert design.fit @ ours.T == pytest.approx(design.fit @ theirs, abs=1e-4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_elastic_net_is_scikit_learns(chr22: Chr22) -> None:
    # its own grid, folds, choice and refit; a tolerance at which both have converged
    data = chr22.gene(SUBSET[3], chr22.residual())
    data = replace(data, dosage_fit=data.dosage_fit[:, ::3], dosage=data.dosage[:, ::3])
    inner = KFold(10, shuffle=True, random_state=0)
    net = ElasticNetCV(l1_ratio=0.5, alphas=100, eps=0.01, cv=inner, tol=1e-6, max_iter=10_000)
    model = make_pipeline(StandardScaler(), net)
    model.fit(data.dosage_fit.astype(float), data.target_fit)
    expected = model.predict(data.dosage.astype(float))
    assert expected.std() > 0.01
    assert elastic_net(data).predicted == pytest.approx(expected, abs=1e-4)
