from __future__ import annotations

import pytest

from glm2x.genome.genes import contig_key, match_contigs, unversioned, window_interval


def test_a_window_is_centred_on_the_tss() -> None:
    assert window_interval(100, 64) == (68, 132)
    assert window_interval(1, 8) == (-3, 5)


@pytest.mark.parametrize("window", [0, -2, 7])
def test_a_window_is_even_and_positive(window: int) -> None:
    with pytest.raises(ValueError, match=str(window)):
        window_interval(100, window)


@pytest.mark.parametrize(
    ("given", "bare"),
    [("ENSG00000206176.5", "ENSG00000206176"), ("ENSG1", "ENSG1"), ("HLA-A.b", "HLA-A.b"), (".5", ".5")],
)
def test_versions_are_left_off(given: str, bare: str) -> None:
    assert unversioned(given) == bare


def test_contigs_match_both_ways() -> None:
    assert match_contigs(["22", "chrX", "M", "7"], ["chr22", "X", "MT"]) == {
        "22": "chr22",
        "chrX": "X",
        "M": "MT",
    }
    assert contig_key("chrM") == contig_key("MT") == "MT"
