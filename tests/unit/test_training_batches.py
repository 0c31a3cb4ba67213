from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from training_fakes import FakeCohort, FakeSource, make_config, make_split, make_values

from glm2x.training.batches import Batcher, plan
from glm2x.training.inputs import Codes
from glm2x.training.samples import Samples, phase_data
from glm2x.training.seeds import reproducible, stream
from glm2x.training.strategies import phases


@pytest.fixture
def samples() -> Samples:
    return phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), make_values()).train


@pytest.fixture
def reference() -> Samples:
    return phase_data(phases(make_config("out"))[0], FakeCohort(), make_split(), make_values()).train


@pytest.mark.parametrize(("sampler", "size"), [("random", 4), ("gene", 4), ("gene", None), ("random", 100)])
def test_every_sample_is_in_exactly_one_batch(samples: Samples, sampler: Any, size: int | None) -> None:
    batches = plan(samples, sampler, size, key=(0, "personal", 0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(23))
    assert max(map(len, batches)) <= (size or 6)


def test_a_gene_order_puts_no_two_genes_in_a_batch_and_shuffles_both(samples: Samples) -> None:
    batches = plan(samples, "gene", None, key=(0, "personal", 0))
    genes = [set(samples.gene[rows].tolist()) for rows in batches]
    assert all(len(gene) == 1 for gene in genes)
    orders = set()
    for epoch in range(8):
        batches = plan(samples, "gene", None, key=(0, "personal", epoch))
        orders.add(tuple(int(samples.gene[rows[0]]) for rows in batches))
        assert any((np.diff(rows) < 0).any() for rows in batches)
    assert len(orders) > 1


@pytest.mark.parametrize("sampler", ["random", "gene"])
def test_the_order_is_a_function_of_seed_phase_and_epoch(samples: Samples, sampler: Any) -> None:
    def order(*key: int | str) -> list[int]:
        np.random.default_rng().random()
        return np.concatenate(plan(samples, sampler, 4, key=key)).tolist()

    assert order(0, "personal", 3) == order(0, "personal", 3)
    keys = [(0, "personal", 3), (1, "personal", 3), (0, "reference", 3), (0, "personal", 4)]
    for one, other in itertools.combinations(keys, 2):
        assert order(*one) != order(*other)


def test_a_random_order_needs_a_batch_size(samples: Samples) -> None:
    with pytest.raises(ValueError, match="batch size"):
        plan(samples, "random", None, key=(0,))


@pytest.mark.parametrize("columns", [(0, 1), (0,), (1,)])
@pytest.mark.parametrize("unique", [True, False])
def test_a_batch_gathers_each_person_s_haplotypes(
    samples: Samples, unique: bool, columns: tuple[int, ...]
) -> None:
    source = FakeSource()
    rows = np.array([20, 0, 7, 1, 19, 2])
    batch = Batcher(samples, Codes(source), columns, unique=unique).batch(rows)
    assert batch.index.shape == (6, len(columns))
    for person, row in enumerate(rows):
        gene = source.gene(samples.genes[samples.gene[row]])
        expected = gene.haplotypes[gene.index[samples.individual[row]][list(columns)]]
        assert (batch.inputs[batch.index[person]].numpy() == expected).all()
    assert (batch.observed.numpy() == samples.observed[rows]).all()
    assert (batch.gene.numpy() == samples.gene[rows]).all()
    assert (batch.gene_sd.numpy() == samples.gene_sd[samples.gene[rows]]).all()
    assert (batch.inputs.dtype, batch.index.dtype) == (torch.uint8, torch.int64)


def test_people_are_listed_in_order_as_published(samples: Samples) -> None:
    batch = Batcher(samples, Codes(FakeSource()), (0, 1), unique=False).batch(np.array([20, 0, 7]))
    assert batch.index.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert len(batch.inputs) == 6


def test_unique_haplotypes_are_listed_and_asked_for_once(samples: Samples) -> None:
    source = FakeSource()
    rows = np.flatnonzero(samples.gene == 1)
    batch = Batcher(samples, Codes(source), (0, 1), unique=True).batch(rows)
    gene = source.gene("g1")
    different = np.unique(gene.index[samples.individual[rows]])
    assert len(batch.inputs) == len(different) < 2 * len(rows)
    assert gene.asked == [different.tolist()]


@pytest.mark.parametrize("unique", [True, False])
def test_the_reference_is_one_haplotype_a_gene(reference: Samples, unique: bool) -> None:
    source = FakeSource()
    batch = Batcher(reference, Codes(source), (0, 1), unique=unique).batch(np.array([2, 0]))
    assert batch.index.shape == (2, 1)
    for person, gene in enumerate(("ENSG00000000003.7", "g0")):
        assert (batch.inputs[batch.index[person, 0]].numpy() == source.gene(gene).reference).all()


def test_streams_differ_by_each_part_and_by_type() -> None:
    parts = [(0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1), ("0", "a", 1), (0, "a"), (0, "a", "1")]
    assert len({stream(*part) for part in parts}) == len(parts)
    assert stream(0, "a", 1) == stream(0, "a", 1) < 2**63


def test_reproducible_leaves_torch_as_it_was() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    with reproducible("cpu", threads + 1):
        torch.manual_seed(2)
        assert torch.get_num_threads() == threads + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
