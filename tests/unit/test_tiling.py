from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glm2x.backbones.language import reverse_complement
from glm2x.backbones.tiling import Tiling, choose_tiling, embed, require_strand
from glm2x.errors import UsageError
from language_fakes import Counting


def letters(length: int, rows: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(0, 5, (rows, length), generator=generator).to(torch.uint8)


def test_spans_cover_the_window_and_the_last_may_be_short() -> None:
    model = Counting(token_bp=3)
    assert model.spans(8).tolist() == [[0, 3], [3, 6], [6, 8]]
    assert model.tokens(8) == 3
    assert model(letters(8)).shape == (2, 3, 4)


def test_tiles_start_on_the_grid_and_the_last_ends_with_the_window() -> None:
    assert Tiling(12, 4).starts(12, 2) == [0]
    assert Tiling(12, 4).starts(28, 2) == [0, 8, 16]
    assert Tiling(12, 4).starts(29, 2) == [0, 8, 16, 18]  # the last has 11 bp
    assert Tiling(12, 4).starts(20, 2) == [0, 8]


@given(
    unit=st.sampled_from([1, 2, 3]),
    reach=st.integers(0, 2),
    extra=st.integers(0, 6),
    more=st.integers(1, 9),
    length=st.integers(1, 90),
)
def test_tiles_give_what_the_whole_gives_where_they_share_what_the_model_looks_at(
    unit: int, reach: int, extra: int, more: int, length: int
) -> None:
    """A token `reach` tokens or more from an inner edge sees all that it looks at."""
    overlap = (2 * reach + extra) * unit
    tiling = Tiling(overlap + more * unit, overlap)
    codes = letters(length)
    whole = embed(Counting(unit, reach), codes, None, "gene")
    tiled = embed(Counting(unit, reach, longest=tiling.tile), codes, tiling, "gene")
    assert torch.equal(whole, tiled)


def test_without_an_overlap_the_edges_show() -> None:
    codes = torch.ones(1, 8, dtype=torch.uint8)
    whole = embed(Counting(2, 1), codes, None, "gene")
    tiled = embed(Counting(2, 1), codes, Tiling(4, 0), "gene")
    assert whole[0, :, -1].tolist() == [4, 6, 6, 4]
    assert tiled[0, :, -1].tolist() == [4, 4, 4, 4]


def test_both_strands_are_averaged_base_by_base() -> None:
    codes = torch.tensor([[0, 1, 1, 4]], dtype=torch.uint8)  # ACCN, and NGGT on the other strand
    model = Counting(token_bp=1, reach=1)
    assert reverse_complement(codes).tolist() == [[4, 2, 2, 3]]
    tokens = embed(model, codes, None, "both")
    # the codes: of the two strands at one base; the counts of C around it: 1 2 2 1 and none
    assert tokens[0, :, 0].tolist() == [1.5, 1.5, 1.5, 4.0]
    assert tokens[0, :, 1].tolist() == [0.5, 1.0, 1.0, 0.5]


def test_both_strands_need_tokens_that_end_with_the_window() -> None:
    require_strand(Counting(2), 8, "both")
    require_strand(Counting(2), 9, "gene")
    with pytest.raises(UsageError, match="do not cover the same bases"):
        require_strand(Counting(2), 9, "both")


def test_a_window_that_fits_goes_through_whole() -> None:
    assert choose_tiling(Counting(2, longest=12), 12, None, None) is None
    assert choose_tiling(Counting(2), 10**6, None, None) is None
    assert choose_tiling(Counting(2), 20, 20, 4) is None


def test_a_longer_one_is_cut_into_what_the_model_takes() -> None:
    assert choose_tiling(Counting(2, longest=13), 100, None, None) == Tiling(12, 2)
    assert choose_tiling(Counting(2, longest=13), 100, 8, 4) == Tiling(8, 4)
    # a quarter of few tokens is none
    assert choose_tiling(Counting(128, longest=510), 1000, None, None) == Tiling(384, 128)
    assert choose_tiling(Counting(128, longest=200), 1000, None, None) == Tiling(128, 0)


@pytest.mark.parametrize(
    ("tile", "overlap"),
    [(14, 4), (7, 2), (8, 3), (8, 8), (0, 0), (8, -2)],
)
def test_tiles_that_cannot_be_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(UsageError, match="cannot be cut into these tiles"):
        choose_tiling(Counting(2, longest=13), 100, tile, overlap)


@pytest.mark.parametrize("tile", [100, 102])
def test_a_tile_as_long_as_the_window_does_not_take_what_the_model_cannot(tile: int) -> None:
    with pytest.raises(UsageError, match="cannot be cut into these tiles") as error:
        choose_tiling(Counting(2, longest=13), 100, tile, None)
    assert error.value.wanted.endswith("at most 13 bp")
    assert choose_tiling(Counting(2, longest=100), 100, tile, None) is None


def test_the_mean_of_both_strands_is_of_float32() -> None:
    """1 and 1 + 2^-7 are neighbours in bfloat16: their mean is none."""

    class Halves(Counting):
        def forward(self, codes: torch.Tensor) -> torch.Tensor:
            return 1 + codes[..., None].to(torch.bfloat16) / 384

    codes = torch.tensor([[0]], dtype=torch.uint8)  # A, and T (3) on the other strand
    assert Halves(1)(reverse_complement(codes)).item() == 1 + 2**-7
    assert embed(Halves(1), codes, None, "both").item() == 1 + 2**-8


def test_an_overlap_without_tiles_is_refused() -> None:
    with pytest.raises(UsageError, match="goes through whole"):
        choose_tiling(Counting(2), 100, None, 4)
