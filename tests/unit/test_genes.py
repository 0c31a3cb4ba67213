from __future__ import annotations

import pytest

from glm2x.errors import UsageError
from glm2x.genome.genes import contig_key, index_of_names, match_contigs, unversioned, window_interval


def test_a_window_is_centred_on_the_tss() -> None:
    assert window_interval(100, 64) == (68, 132)
    assert window_interval(1, 8) == (-3, 5)


@pytest.mark.parametrize("window", [0, -2, 7])
def test_a_window_is_even_and_positive(window: int) -> None:
    with pytest.raises(UsageError, match="even, positive"):
        window_interval(100, window)


@pytest.mark.parametrize(
    ("given", "bare"),
    [
        ("ENSG00000206176.5", "ENSG00000206176"),
        ("ENSMUSG00000064336.12", "ENSMUSG00000064336"),
        ("ENSG00000182378.8_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("HLA-A.b", "HLA-A.b"),
        (".5", ".5"),
    ],
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


def test_the_same_name_comes_before_one_that_means_the_same() -> None:
    assert match_contigs(["chrM", "MT", "1"], ["MT", "chrM", "1", "chr1"]) == {
        "chrM": "chrM",
        "MT": "MT",
        "1": "1",
    }


def test_a_stem_that_two_genes_share_names_neither() -> None:
    places = index_of_names(["ENSG00000000001.1", "ENSG00000000001.2", "ENSG00000000003.1"])
    assert "ENSG00000000001" not in places
    assert places["ENSG00000000001.2"] == 1
    assert places["ENSG00000000003"] == 2
