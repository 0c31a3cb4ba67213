from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training_fakes import GENES, PEOPLE, FakeCohort, make_config, make_split, make_values

from glm2x.cohort.target import Target
from glm2x.errors import DataError
from glm2x.training.samples import REFERENCE, PhaseData, choose_genes, phase_data
from glm2x.training.strategies import phases


def data_of(number: int, **split: object) -> PhaseData:
    phase = phases(make_config("out"))[number]
    return phase_data(phase, FakeCohort(), make_split(**split), make_values())


def test_a_personal_phase_is_every_seen_gene_in_every_training_person() -> None:
    data, target = data_of(1), make_values()
    train = data.train
    pairs = set(zip(train.gene.tolist(), train.individual.tolist(), strict=True))
    assert pairs == {(g, p) for g in range(4) for p in range(6)} - {(0, 1)}
    assert (train.observed == target.values[train.gene, train.individual].astype(np.float32)).all()
    assert data.counts["train_samples"] == 23
    assert data.counts["train_samples_not_measured"] == 1
    assert data.validation is not None
    assert set(data.validation.individual.tolist()) == {6, 7, 8}
    assert data.counts["validation_samples"] == 12


def test_spread_is_of_training_people_and_skips_what_was_not_measured() -> None:
    values = make_values().values
    expected = [np.nanstd(row[:6], ddof=1) for row in values]
    for samples in (data_of(1).train, data_of(1).validation):
        assert samples is not None
        np.testing.assert_allclose(samples.gene_sd, expected, rtol=1e-6)


def test_a_gene_without_spread_counts_as_one_and_is_counted() -> None:
    target = make_values()
    target.values[2, :6] = 3.3
    data = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), target)
    assert data.train.gene_sd[2] == 1
    assert data.counts["genes_without_spread"] == 1
    assert data.counts["genes_with_floored_spread"] == 0


def test_a_gene_of_spread_one_is_not_counted_as_without() -> None:
    target = make_values()
    target.values[2, :6] = np.array([-1, -1, 0, 0, 1, 1]) * np.sqrt(5 / 4)  # SD (n - 1) of exactly 1
    data = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), target)
    assert data.train.gene_sd[2] == 1
    assert data.counts["genes_without_spread"] == 0


def test_a_gene_that_hardly_varies_counts_as_a_tenth_of_the_median() -> None:
    """Divided by an SD of 1e-4 squared, its noise would outweigh all other genes of the loss."""
    target = make_values()
    spreads = [2.0, 1e-4, 4.0, 0.0]
    for gene, spread in enumerate(spreads):
        target.values[gene, :6] = np.array([-1, -1, 0, 0, 1, 1]) * np.sqrt(5 / 4) * spread
    data = phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), target)
    assert data.validation is not None
    for samples in (data.train, data.validation):  # the median of 2, 1e-4 and 4 is 2
        np.testing.assert_allclose(samples.gene_sd, [2, 0.2, 4, 1], rtol=1e-6)
    assert data.counts["genes_with_floored_spread"] == 1
    assert data.counts["genes_without_spread"] == 1
    reference = phase_data(phases(make_config("out"))[0], FakeCohort(), make_split(), target)
    assert reference.counts["genes_with_floored_spread"] == 0


def test_the_digest_is_of_genes_people_and_values() -> None:
    digests = {data_of(1).digest(), data_of(0).digest()}
    digests |= {data_of(1, seen=GENES[:3]).digest(), data_of(1, validation=PEOPLE[6:8]).digest()}
    digests |= {data_of(1, train=PEOPLE[:5]).digest(), data_of(1, validation=()).digest()}
    target = make_values()
    target.values[0, 0] += 1
    digests.add(phase_data(phases(make_config("out"))[1], FakeCohort(), make_split(), target).digest())
    assert len(digests) == 7
    assert data_of(1).digest() in digests


def test_a_reference_phase_is_one_sample_a_gene_without_the_validation_genes() -> None:
    data, target = data_of(0), make_values()
    assert data.train.genes == ("g0", "g1", "ENSG00000000003.7")
    assert data.train.individual.tolist() == [REFERENCE] * 3
    np.testing.assert_array_equal(data.train.observed, target.reference[[0, 1, 3]].astype(np.float32))
    assert data.validation is not None
    assert data.validation.genes == ("g2",)
    assert data.validation.observed.tolist() == [np.float32(target.reference[2])]


def test_genes_that_overlap_the_validation_genes_are_left_out_and_counted() -> None:
    data = data_of(0, reference_excluded=("g1",))
    assert data.train.genes == ("g0", "ENSG00000000003.7")
    assert data.counts["genes_overlapping_validation"] == 1


def test_there_is_no_validation_without_people_or_genes() -> None:
    assert data_of(0, reference_validation=()).validation is None
    assert data_of(1, validation=()).validation is None


def test_unseen_genes_are_in_neither_phase() -> None:
    split = {"seen": ("g0", "g2"), "unseen": ("g1", "ENSG00000000003.7")}
    assert data_of(0, **split).train.genes == ("g0",)
    assert data_of(1, **split).train.genes == ("g0", "g2")


def test_a_list_of_genes_ignores_versions_and_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# mine\nENSG00000000003.12\n\ng0  # first\ng1\nother\n")
    genes, counts = choose_genes(str(tmp_path / "list"), ("g0", "g2", "ENSG00000000003.7"), GENES)
    assert genes == ("g0", "ENSG00000000003.7")
    assert counts == {"listed_genes": 4, "listed_genes_not_in_cohort": 1, "listed_genes_not_seen": 1}


def test_a_list_without_seen_genes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("g1\n")
    with pytest.raises(DataError, match="names none of the split's seen genes") as error:
        choose_genes(str(tmp_path / "list"), ("g0",), GENES)
    assert error.value.got == "1 genes, such as g1"
    assert error.value.wanted == "some of 1 genes, such as g0"


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the gene list none\.txt does not exist"):
        choose_genes(str(tmp_path / "none.txt"), ("g0",), GENES)


def test_nothing_to_train_on_is_refused() -> None:
    empty = Target("log", np.full((4, 12), np.nan), np.full(4, np.nan))
    for phase in phases(make_config("out")):
        with pytest.raises(DataError, match=f"nothing is left for the {phase.name} phase"):
            phase_data(phase, FakeCohort(), make_split(), empty)
