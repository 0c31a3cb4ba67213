"""What every backbone's torch module is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Turns a batch of windows into tokens.

    Attributes
    ----------
    width
        Channels of a token.
    """

    width: int

    @abstractmethod
    def tokens(self, window: int) -> int:
        """Return the number of tokens of a window of `window` bp."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, T, width], from codes, uint8 [B, window]."""
