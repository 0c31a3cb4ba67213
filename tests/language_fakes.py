"""A language model whose tokens can be counted by hand."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from glm2x.backbones.language import LanguageModel


class Counting(LanguageModel):
    """A token is the codes of its bases, and the number of C in a neighbourhood (in tokens) around it.

    What lies outside what goes through the model counts as nothing, so that a tile's edge shows.
    """

    def __init__(self, token_bp: int = 2, reach: int = 1, longest: int | None = None) -> None:
        super().__init__()
        self.token_bp, self.reach, self.longest = token_bp, reach, longest
        self.width = token_bp + 1
        self.spec = {"architecture": {"reach": reach}, "layer": None, "precision": "float32"}
        self.asked: list[tuple[int, ...]] = []

    def forward(self, codes: Tensor) -> Tensor:
        self.asked.append(tuple(codes.shape))
        assert self.longest is None or codes.shape[1] <= self.longest
        short = -codes.shape[1] % self.token_bp
        bases = functional.pad(codes, (0, short), value=4).reshape(len(codes), -1, self.token_bp).float()
        count = (bases == 1).sum(dim=2).float()
        around = functional.avg_pool1d(
            functional.pad(count[:, None], (self.reach, self.reach)), 2 * self.reach + 1, stride=1
        ) * (2 * self.reach + 1)
        return torch.cat([bases, around.transpose(1, 2)], dim=2)
