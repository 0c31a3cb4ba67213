"""The published head of the sequence-to-function models: attention over bins, then one linear layer."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class AttentionPool(nn.Module):
    """One linear score a token, softmax over the tokens, weighted sum, linear to one number.

    Parameters
    ----------
    width
        Channels of a token.

    Notes
    -----
    Method: bioRxiv 10.1101/2025.07.09.664024, the head on Enformer and Borzoi.
    The score knows nothing of a token's position, so the output does not change when the tokens
    are put in another order.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)
        self.output = nn.Linear(width, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B], float, from tokens [B, T, width]."""
        weights = self.score(tokens).softmax(dim=1)
        return cast(Tensor, self.output((weights * tokens).sum(dim=1)).squeeze(-1))
