"""What must not change a correlation, whatever the numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from glm2x.evaluation.comparisons import williams
from glm2x.evaluation.metrics import benjamini_hochberg, gene_metrics, pearson_p
from glm2x.evaluation.uncertainty import bootstrap_pearson

values = arrays(np.float64, (3, 8), elements=st.integers(-20, 20).map(float))
holes = arrays(np.bool_, (3, 8), elements=st.booleans())
correlations = st.floats(-0.95, 0.95)


@given(values, values, holes, st.floats(0.5, 10), st.floats(-100, 100))
def test_a_scale_and_a_shift_of_predictions_change_no_correlation(
    x: np.ndarray, y: np.ndarray, missing: np.ndarray, scale: float, shift: float
) -> None:
    y = np.where(missing, np.nan, y)
    before, after = gene_metrics(x, y), gene_metrics(scale * x + shift, y)
    np.testing.assert_array_equal(before.null, after.null)
    np.testing.assert_allclose(before.pearson, after.pearson, atol=1e-9)
    np.testing.assert_allclose(before.p, after.p, atol=1e-6)
    np.testing.assert_allclose(before.slope, after.slope * scale, atol=1e-7)
    mirrored = gene_metrics(-x, y)
    np.testing.assert_allclose(before.pearson, -mirrored.pearson, atol=1e-9)
    np.testing.assert_allclose(before.spearman, -mirrored.spearman, atol=1e-9)


@given(values, values, holes, st.permutations(range(8)))
def test_the_order_of_people_changes_nothing(
    x: np.ndarray, y: np.ndarray, missing: np.ndarray, order: list[int]
) -> None:
    y = np.where(missing, np.nan, y)
    mean, population = np.array([0.0, 1.0, 2.0]), np.arange(8) % 2
    before = gene_metrics(x, y, training_mean=mean, population=population)
    after = gene_metrics(x[:, order], y[:, order], training_mean=mean, population=population[order])
    for name in ("pearson", "spearman", "r2", "slope", "p"):
        np.testing.assert_allclose(getattr(before, name), getattr(after, name), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(before.individuals, after.individuals)


@given(values, values, holes)
def test_each_gene_is_alone(x: np.ndarray, y: np.ndarray, missing: np.ndarray) -> None:
    y = np.where(missing, np.nan, y)
    together = gene_metrics(x, y)
    for g in range(3):
        alone = gene_metrics(x[g : g + 1], y[g : g + 1])
        np.testing.assert_allclose(alone.pearson, together.pearson[g : g + 1], atol=1e-12)
        np.testing.assert_allclose(alone.spearman, together.spearman[g : g + 1], atol=1e-12)


@given(values, values, holes)
def test_values_are_in_range_and_the_undefined_is_undefined_throughout(
    x: np.ndarray, y: np.ndarray, missing: np.ndarray
) -> None:
    found = gene_metrics(x, np.where(missing, np.nan, y))
    defined = np.isfinite(found.pearson)
    for name in ("spearman", "p", "fdr"):
        np.testing.assert_array_equal(np.isfinite(getattr(found, name)), defined)
    assert (np.abs(found.pearson[defined]) <= 1).all()
    assert ((found.p[defined] >= 0) & (found.p[defined] <= found.fdr[defined] + 1e-15)).all()
    assert (found.pearson[found.null] == 0).all()


@given(values, values, holes)
def test_everybody_drawn_once_is_the_sample_itself(x: np.ndarray, y: np.ndarray, missing: np.ndarray) -> None:
    y = np.where(missing, np.nan, y)
    expected = np.nan_to_num(gene_metrics(x, y).pearson)
    enough = (~missing).sum(axis=1) >= 3
    found = bootstrap_pearson(x, y, ~missing, np.ones((1, 8)))[0]
    np.testing.assert_allclose(found[enough], expected[enough], atol=1e-9)


@given(arrays(np.float64, 12, elements=st.floats(0, 1)), st.permutations(range(12)))
def test_benjamini_hochberg_keeps_the_order_of_p(p: np.ndarray, order: list[int]) -> None:
    found = benjamini_hochberg(p)
    ranked = np.argsort(p, kind="stable")
    assert (np.diff(found[ranked]) >= 0).all()
    assert (found >= p).all()
    np.testing.assert_array_equal(benjamini_hochberg(p[order]), found[order])


@given(correlations, st.integers(4, 200))
def test_p_is_that_of_the_t_distribution(r: float, n: int) -> None:
    t = r * np.sqrt((n - 2) / (1 - r * r))
    expected = 2 * stats.t.sf(abs(t), n - 2)
    np.testing.assert_allclose(pearson_p(np.array([r]), np.array([n])), [expected])


@given(correlations, correlations, correlations, st.integers(5, 200))
def test_williams_is_antisymmetric(r_a: float, r_b: float, r_ab: float, n: int) -> None:
    a, b, ab, people = np.array([r_a]), np.array([r_b]), np.array([r_ab]), np.array([n])
    t, p = williams(a, b, ab, people)
    back, same = williams(b, a, ab, people)
    np.testing.assert_allclose(t, -back)
    np.testing.assert_allclose(p, same)
    assert 0 <= p[0] <= 1
