"""The centre crop: the bins around the transcription start site."""

from __future__ import annotations

from torch import Tensor


def centre(tokens: Tensor, count: int) -> Tensor:
    """Return the `count` tokens in the middle, [B, count, C], of [B, T, C] (a view).

    They start at ``(T - count) // 2``. A window of L bp has the start site at base L / 2 (genes on ``+``)
    or L / 2 - 1 (``-``). Where the tokens divide the window evenly and `count` is even: with T even, these
    are the first base of token ``count / 2`` and the last of the one before, so that the crop is symmetric
    about the start site on both strands; with T odd, the site lies in token ``count / 2`` on both, and the
    crop has one token less behind it than before it.
    """
    length = tokens.shape[1]
    assert 0 < count <= length, f"{count} of {length} tokens"
    start = (length - count) // 2
    return tokens[:, start : start + count]
