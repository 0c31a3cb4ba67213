from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from training_fakes import FakeCohort, FakeSource, make_config, make_split, make_values

from glm2x.training.inference import predict_gene, predict_samples, validation_loss, validation_pearson
from glm2x.training.inputs import Codes, Part
from glm2x.training.losses import Loss
from glm2x.training.samples import REFERENCE, Samples, phase_data
from glm2x.training.strategies import phases

CPU = torch.device("cpu")


def count_of_a(inputs: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """A model that can be counted by hand: the number of A of a haplotype."""
    return (inputs == 0).sum(dim=1).double()[index].mean(dim=1)


def make_samples(gene: list[int], observed: list[float], individual: list[int] | None = None) -> Samples:
    n = len(gene)
    genes = tuple(f"g{g}" for g in range(max(gene) + 1))
    people = np.arange(n) if individual is None else np.array(individual)
    sd = np.full(len(genes), 2.0, dtype=np.float32)
    return Samples(genes, np.array(gene), people, np.array(observed, dtype=np.float32), sd, 0)


@pytest.mark.parametrize("at_once", [1, 2, 10**9])
@pytest.mark.parametrize("columns", [(0, 1), (0,), (1,)])
def test_a_person_is_the_mean_over_haplotypes_each_computed_once(
    at_once: int, columns: tuple[int, ...]
) -> None:
    computed = 0

    def forward(inputs: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        nonlocal computed
        computed += len(inputs)
        assert len(inputs) <= at_once
        return count_of_a(inputs, index)

    source = FakeSource()
    gene = source.gene("g1")
    people = np.array([11, 0, 3, 0])
    predicted = predict_gene(forward, Codes(source), "g1", people, columns, CPU, at_once)
    of_haplotype = (gene.haplotypes == 0).sum(axis=1)
    expected = of_haplotype[gene.index[people][:, list(columns)]].mean(axis=1)
    np.testing.assert_array_equal(predicted, expected)
    assert computed == len(np.unique(gene.index[people][:, list(columns)]))


def test_inputs_are_in_memory_a_part_at_a_time() -> None:
    made: list[weakref.ref[torch.Tensor]] = []

    class Watched(Codes):
        def of(self, parts: Sequence[Part], /) -> torch.Tensor:
            assert all(part() is None for part in made)
            found = super().of(parts)
            made.append(weakref.ref(found))
            return found

    predict_gene(count_of_a, Watched(FakeSource()), "g1", np.arange(12), (0, 1), CPU, at_once=1)
    assert len(made) > 1


def test_the_reference_and_nobody() -> None:
    source = FakeSource()
    predicted = predict_gene(count_of_a, Codes(source), "g1", np.array([REFERENCE]), (0, 1), CPU)
    assert predicted.tolist() == [(source.gene("g1").reference == 0).sum()]
    nobody = np.array([], dtype=np.int64)
    assert predict_gene(count_of_a, Codes(source), "g1", nobody, (0, 1), CPU).shape == (0,)


def test_samples_are_predicted_in_their_order() -> None:
    samples = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train
    source = FakeSource()
    predicted = predict_samples(count_of_a, samples, Codes(source), (0, 1), CPU)
    for row in range(len(samples)):
        gene = source.gene(samples.genes[samples.gene[row]])
        codes = gene.haplotypes[gene.index[samples.individual[row]]]
        assert predicted[row] == (codes == 0).sum() / 2


def test_validation_loss_is_the_mean_over_genes() -> None:
    samples = make_samples([0, 0, 0, 1], [0.0, 0.0, 0.0, 0.0])
    predicted = np.array([3.0, 3.0, 3.0, 1.0])
    assert validation_loss(samples, predicted, Loss()) == pytest.approx((2.5 + 0.5) / 2)
    # the differences of gene 0 are -2, 0, 2 over an SD of 2: 2/3; the means 4 and 1 squared
    loss = Loss("mean-difference")
    predicted = np.array([2.0, 4.0, 6.0, 1.0])
    assert validation_loss(samples, predicted, loss) == pytest.approx((16 + 8 / 3 / 4 + 1) / 2)


def test_pearson_is_the_mean_over_genes_and_constant_predictions_score_0() -> None:
    samples = make_samples([0, 0, 0, 1, 1, 1], [1, 2, 3, 1, 2, 3])
    assert validation_pearson(samples, np.array([1.0, 2, 3, 3, 2, 1])) == pytest.approx(0)
    assert validation_pearson(samples, np.array([1.0, 2, 3, 5, 5, 5])) == pytest.approx(0.5)
    assert validation_pearson(samples, np.array([1.0, 2, 3, 5, 5, 5.0001])) == pytest.approx(0.5)


def test_what_cannot_be_correlated_is_not_counted() -> None:
    samples = make_samples([0, 0, 1, 2, 2], [1, 2, 7, 4, 4])
    assert validation_pearson(samples, np.array([5.0, 6, 1, 1, 2])) == pytest.approx(1)
    assert validation_pearson(make_samples([0, 1], [1, 2]), np.array([1.0, 2])) is None


def test_reference_samples_are_correlated_across_genes() -> None:
    samples = make_samples([0, 1, 2], [1, 2, 3], individual=[REFERENCE] * 3)
    assert validation_pearson(samples, np.array([1.0, 2, 3])) == pytest.approx(1)
