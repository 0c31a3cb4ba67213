"""Checks of windows: paralogues by shared k-mers, strand and centre, the share of N."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_fakes import G1, PEOPLE, checks, make_cohort, make_split, make_table

from glm2x.cohort.cohort import Cohort
from glm2x.evaluation import sequence_checks as module
from glm2x.evaluation.check import Check
from glm2x.evaluation.sequence_checks import sequence_checks
from glm2x.evaluation.sketch import SAMPLED, K, alike, kmer_sketch
from glm2x.genome.sequence import N, decode, encode, reverse_complement

WINDOW = 4_000


def sequenced(*, carried: np.ndarray | None = None) -> Cohort:
    """Two contigs of random letters; of the three genes g3 is alone on the second."""
    cohort = make_cohort(reference=("1", "2"), genotypes=carried)
    for seed, contig in enumerate(("1", "2")):
        cohort._references[contig] = np.random.default_rng(seed).integers(0, 4, 50_000, dtype=np.uint8)
    return cohort


def found(cohort: Cohort, window: int = WINDOW) -> dict[str, Check]:
    split = make_split(cohort, window=window)
    return {check.name: check for check in sequence_checks(cohort, split, window)}


def test_unrelated_windows_pass_everything() -> None:
    checked = found(sequenced())
    assert {name: check.status for name, check in checked.items()} == dict.fromkeys(checked, "pass")
    assert checked["share_of_n"].detail == "0 of 3 genes have N in more than 10 % of their 4,000 bp"
    assert checked["strand_and_centre"].detail.startswith("3 windows of both strands, 3 of them of a person")


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("kept", "status"), [(4_000, "warn"), (1_000, "warn"), (200, "pass")])
def test_a_copy_of_a_seen_genes_window_is_a_paralogue(turned: bool, kept: int, status: str) -> None:
    cohort = sequenced()
    copy = cohort.reference("1")[8_000 : 8_000 + kept]
    cohort.reference("2")[8_000 : 8_000 + kept] = reverse_complement(copy) if turned else copy
    check = found(cohort)["paralogues"]
    assert check.status == status
    assert not check.leak
    if status == "warn":
        assert f"g3 and {G1} (" in check.detail
        assert check.detail.startswith("1 of 1 unseen genes have a 4,000 bp window")


def test_windows_that_overlap_are_another_checks_affair() -> None:
    cohort = sequenced()
    split = make_split(cohort, seen=(G1,), unseen=("g2",))
    status = {check.name: check.status for check in sequence_checks(cohort, split, 48_000)}
    assert status["paralogues"] == "pass"
    assert (
        sequence_checks(cohort, make_split(cohort, unseen=()), WINDOW)[0].detail
        == "the split has no unseen genes"
    )


def test_what_stands_in_many_windows_is_a_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = sequenced()
    repeat = cohort.reference("1")[8_000:9_000].copy()
    for contig, start in (("1", 28_000), ("2", 8_000)):
        cohort.reference(contig)[start : start + 1_000] = repeat
    assert found(cohort)["paralogues"].status == "warn"
    monkeypatch.setattr(module, "REPEATED", 2)
    assert found(cohort)["paralogues"].status == "pass"


def test_a_window_cut_one_base_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Off(module.HaplotypeWindow):
        def apply(self, pattern: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
            made = super().apply(pattern, out)
            return np.roll(made, 1) if self.gene.strand == "-" else made

    monkeypatch.setattr(module, "HaplotypeWindow", Off)
    check = found(sequenced())["strand_and_centre"]
    assert (check.status, check.leak) == ("fail", True)
    assert check.detail.endswith("1 differ from the reference cut around the TSS: g2 (-)")


def test_windows_of_which_everybody_carries_something_are_made_without_it() -> None:
    carried = np.ones((2 * len(PEOPLE), 12), dtype=np.bool_)
    check = found(sequenced(carried=carried), window=22_000)["strand_and_centre"]
    assert check.status == "pass"
    # of the three genes g1's window alone reaches the variants at the contig's beginning
    assert check.detail.startswith("3 windows of both strands, 2 of them of a person")


def test_windows_beyond_a_contig_and_stretches_of_n_are_counted() -> None:
    cohort = sequenced()
    cohort.reference("2")[9_000:10_000] = N
    check = found(cohort)["share_of_n"]
    assert check.status == "warn"
    assert check.detail == "1 of 3 genes have N in more than 10 % of their 4,000 bp: g3 (25 %)"
    assert found(cohort, 40_000)["strand_and_centre"].status == "pass"  # N before the contig's beginning
    assert "3 of 3 genes" in found(cohort, 64_000)["share_of_n"].detail


def test_contigs_without_a_reference_are_said() -> None:
    cohort = sequenced()
    cohort.manifest["reference_contigs"] = ["1"]
    check = found(cohort)["share_of_n"]
    assert (check.status, check.detail.split("; ")[1]) == (
        "warn",
        "1 more lie on contigs without a reference",
    )


def test_they_run_with_the_others_at_the_largest_window() -> None:
    cohort = sequenced()
    split = make_split(cohort)
    assert "20,000 bp" in checks(make_table(split), cohort=cohort, split=split)["share_of_n"].detail


def test_a_sketch_is_a_sample_of_both_strands_k_mers() -> None:
    """Against sets of text: the same k-mers are kept wherever they stand, and about one in sixteen."""
    letters = np.random.default_rng(0).integers(0, 4, 20_000, dtype=np.uint8)
    sketch = kmer_sketch(letters)
    text = decode(letters)
    canonical = set()
    for at in range(len(text) - K + 1):
        kmer = text[at : at + K]
        canonical.add(min(kmer, decode(reverse_complement(encode(kmer)))))
    assert len(sketch) == pytest.approx(len(canonical) / SAMPLED, rel=0.1)
    np.testing.assert_array_equal(kmer_sketch(reverse_complement(letters)), sketch)
    # the sketch of a part is what the part holds of the sketch of the whole
    part = kmer_sketch(letters[5_000:9_000])
    assert set(part) <= set(sketch)
    assert len(kmer_sketch(letters[: K - 1])) == len(kmer_sketch(np.full(100, N))) == 0
    holed = letters.copy()
    holed[10_000] = N
    assert set(kmer_sketch(holed)) == set(kmer_sketch(letters[:10_000])) | set(kmer_sketch(letters[10_001:]))


def test_shares_of_sketches_are_those_of_sets() -> None:
    rng = np.random.default_rng(1)
    left, right = (
        [np.unique(rng.integers(0, 60, size, dtype=np.uint64)) for size in (30, 0, 12)] for _ in range(2)
    )
    expected = {
        (i, j): len(set(a) & set(b)) / min(len(a), len(b))
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if len(a) and len(b)
    }
    got = {(i, j): share for i, j, share in alike(left, right, threshold=0.3, most=100)}
    assert got == {pair: pytest.approx(share) for pair, share in expected.items() if share > 0.3}
    assert list(alike(left, right, threshold=0.0, most=0)) == []  # all of them repeats
