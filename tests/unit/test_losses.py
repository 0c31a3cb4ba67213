from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from glm2x.training.losses import (
    Loss,
    mean_difference,
    pairwise_published,
    pairwise_within_genes,
    smooth_l1,
)


def huber(error: float) -> float:
    return 0.5 * error**2 if abs(error) < 1 else abs(error) - 0.5


def random_batch(seed: int, people: int) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    predicted = 2 * torch.randn(people, generator=random, dtype=torch.float64)
    observed = 2 * torch.randn(people, generator=random, dtype=torch.float64)
    gene = torch.randint(0, 3, (people,), generator=random)
    sd = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)[gene]
    return predicted, observed, gene, sd


def test_smooth_l1_by_hand() -> None:
    # errors 0.5 and -3: 0.125 and 2.5
    assert smooth_l1(torch.tensor([1.5, 0.0]), torch.tensor([1.0, 3.0])).item() == pytest.approx(2.625 / 2)


def test_published_pairs_are_blind_to_the_sign() -> None:
    observed = torch.tensor([0.0, 2.0])
    assert pairwise_published(torch.tensor([2.0, 0.0]), observed).item() == 0
    # |0 - 3| against 2: an error of 1
    assert pairwise_published(torch.tensor([3.0, 0.0]), observed).item() == pytest.approx(0.5)


def test_signed_pairs_are_not() -> None:
    gene = torch.tensor([4, 4])
    # 2 - 0 against 0 - 2: an error of 4
    pairs = pairwise_within_genes(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), gene)
    assert pairs.item() == pytest.approx(3.5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("people", [2, 7])
def test_pairs_against_a_double_loop(seed: int, people: int) -> None:
    predicted, observed, gene, _ = random_batch(seed, people)
    published, signed = [], []
    for i, j in itertools.combinations(range(people), 2):
        p, y = float(predicted[i] - predicted[j]), float(observed[i] - observed[j])
        published.append(huber(abs(p) - abs(y)))
        if gene[i] == gene[j]:
            signed.append(huber(p - y))
    assert float(pairwise_published(predicted, observed)) == pytest.approx(np.mean(published))
    expected = np.mean(signed) if signed else 0.0
    assert float(pairwise_within_genes(predicted, observed, gene)) == pytest.approx(expected)


def test_no_pairs_are_zero_and_differentiable() -> None:
    predicted = torch.tensor([1.0], requires_grad=True)
    assert pairwise_published(predicted, torch.tensor([5.0])).item() == 0
    two = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = pairwise_within_genes(two, torch.tensor([5.0, 9.0]), torch.tensor([0, 1]))
    loss.backward()
    assert loss.item() == 0
    assert two.grad is not None
    assert two.grad.tolist() == [0, 0]


def test_mean_difference_by_hand() -> None:
    # gene 7: errors 1 and 3, mean 2, differences -1 and 1, SD 0.5: 4 + 1 / 0.25 = 8; gene 2: error 3: 9
    predicted, observed = torch.tensor([1.0, 3.0, 3.0]), torch.tensor([0.0, 0.0, 0.0])
    loss = mean_difference(predicted, observed, torch.tensor([7, 7, 2]), torch.tensor([0.5, 0.5, 9.0]))
    assert loss.item() == pytest.approx((8 + 9) / 2)


def test_mean_weight_weighs_the_mean_alone() -> None:
    # one gene, errors 1 and 3, SD 0.5: 0.25 * 4 + 1 / 0.25
    predicted, observed, gene = torch.tensor([1.0, 3.0]), torch.zeros(2), torch.zeros(2, dtype=torch.int64)
    loss = Loss("mean-difference", mean_weight=0.25)(predicted, observed, gene, torch.full((2,), 0.5))
    assert loss.item() == pytest.approx(5)


@pytest.mark.parametrize("seed", range(5))
def test_mean_difference_against_a_loop(seed: int) -> None:
    predicted, observed, gene, sd = random_batch(seed, 9)
    each = []
    for number in gene.unique():
        error = (predicted - observed)[gene == number].numpy()
        each.append(error.mean() ** 2 + error.var() / float(sd[gene == number][0]) ** 2)
    assert float(mean_difference(predicted, observed, gene, sd)) == pytest.approx(np.mean(each))


def test_mean_and_difference_add_up_to_the_squared_error() -> None:
    predicted, observed, _, _ = random_batch(0, 6)
    one_gene, one_sd = torch.zeros(6, dtype=torch.int64), torch.ones(6, dtype=torch.float64)
    both = mean_difference(predicted, observed, one_gene, one_sd)
    torch.testing.assert_close(both, (predicted - observed).square().mean())


def test_genes_count_alike_whatever_their_range() -> None:
    """Ten times the range of differences, and ten times the SD: the same loss."""
    observed, gene = torch.tensor([-1.0, 1.0]), torch.zeros(2, dtype=torch.int64)
    small = mean_difference(torch.zeros(2), observed, gene, torch.full((2,), 1.0))
    large = mean_difference(torch.zeros(2), 10 * observed, gene, torch.full((2,), 10.0))
    assert small.item() == pytest.approx(large.item()) == pytest.approx(1.0)


def test_alpha_weighs_the_pairs() -> None:
    predicted, observed, gene, sd = random_batch(1, 6)
    base, pairs = smooth_l1(predicted, observed), pairwise_within_genes(predicted, observed, gene)
    loss = Loss("smooth-l1", "signed-within-gene", 0.25)(predicted, observed, gene, sd)
    torch.testing.assert_close(loss, 0.75 * base + 0.25 * pairs)
    torch.testing.assert_close(Loss("smooth-l1", "none", 0.25)(predicted, observed, gene, sd), base)
    both = Loss("mean-difference", "published", 0.25)(predicted, observed, gene, sd)
    expected = 0.75 * mean_difference(predicted, observed, gene, sd) + 0.25 * pairwise_published(
        predicted, observed
    )
    torch.testing.assert_close(both, expected)


def test_shapes_that_would_broadcast_are_refused() -> None:
    predicted, observed, gene, sd = random_batch(1, 6)
    with pytest.raises(ValueError, match="vectors of one length"):
        Loss()(predicted, observed[:, None], gene, sd)
