"""The head of the `onehot` backbone: a weighted sum with a weight for every position and channel."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glm2x.errors import UsageError


class PositionPool(nn.Module):
    """A weighted sum over tokens and channels, with a learned weight for each pair.

    Windows are centred on the TSS and turned to the direction of the gene, so a token's number is a
    distance to the TSS, and its weights say how much each feature counts at that distance.

    Parameters
    ----------
    width
        Channels of a token.
    tokens
        Tokens of a window; the head is fixed to this number.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(tokens, width) / math.sqrt(tokens * width))
        self.bias = nn.Parameter(torch.zeros(()))

    def start_at(self, value: float) -> None:
        """Set the bias, so that an untrained head answers about `value` (in the target's scale)."""
        with torch.no_grad():
            self.bias.fill_(value)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B], float, from tokens [B, T, width].

        Raises
        ------
        UsageError
            Another number of tokens than the head was made for.
        """
        if tokens.shape[1:] != self.weight.shape:
            raise UsageError(
                "the head position-pool has a weight a position and reads windows of one length only",
                got=f"tokens of shape {list(tokens.shape[1:])}",
                wanted=f"{list(self.weight.shape)}",
                do="give windows of the length that it was made for",
            )
        return tokens.flatten(1) @ self.weight.flatten() + self.bias
