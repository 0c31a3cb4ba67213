"""The published Tower: what is trained on the frozen embeddings of a genomic language model.

Method: bioRxiv 10.1101/2025.07.09.664024. Parameter names are those of its checkpoints
(``blocks.0.0.weight`` ... ``classifier.3.bias``), so that they load with ``strict=True``.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from glm2x.errors import UsageError


class _Convolution(NamedTuple):
    """One block's depthwise convolution (all in tokens), and whether a pool of 2 follows."""

    kernel: int
    stride: int
    padding: int
    pool: bool

    def tokens(self, tokens: int) -> int:
        """Return the tokens that come out for `tokens` in; 0 when the kernel does not fit."""
        room = tokens + 2 * self.padding - self.kernel
        convolved = room // self.stride + 1 if tokens > 0 and room >= 0 else 0
        return -(-convolved // 2) if self.pool else convolved


BLOCKS = (
    _Convolution(16, 8, 7, pool=True),
    _Convolution(8, 4, 3, pool=True),
    _Convolution(4, 2, 1, pool=True),
    _Convolution(3, 2, 1, pool=False),
)
HIDDEN = 512
CLASSIFIER = 258


def tokens_out(tokens: int) -> int:
    """Return how many tokens the four blocks leave of `tokens`; 0 when there are too few."""
    for block in BLOCKS:
        tokens = block.tokens(tokens)
    return tokens


MINIMUM_TOKENS = next(n for n in range(1, 10_000) if tokens_out(n) > 0)


class SoftmaxPool(nn.Module):
    """Softmax attention pool of size 2, a channel at a time; a last token without a partner stands alone.

    The logits are a 1x1 convolution that starts at twice the identity, so that an untrained pool
    leans towards the larger of the two tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_attn_logits = nn.Conv2d(width, width, 1, bias=False)
        with torch.no_grad():
            self.to_attn_logits.weight.copy_(2.0 * torch.eye(width)[:, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, ceil(T / 2)] from [B, C, T]."""
        remainder = x.shape[-1] % 2
        pairs = functional.pad(x, (0, remainder)).reshape(*x.shape[:2], -1, 2)
        logits = self.to_attn_logits(pairs)
        if remainder:
            masked = torch.zeros_like(logits, dtype=torch.bool)
            masked[:, :, -1, 1] = True
            logits = logits.masked_fill(masked, -torch.finfo(logits.dtype).max)
        return cast(Tensor, (pairs * logits.softmax(dim=-1)).sum(dim=-1))


class Tower(nn.Module):
    """Four depthwise-separable blocks at constant width, a 1x1 convolution to 512, mean, two linear layers.

    Parameters
    ----------
    width
        Channels of a token.
    tokens
        Tokens of a window, to refuse too few of them before anything is computed.

    Attributes
    ----------
    least_haplotypes
        How many haplotypes a training batch must have: 2 where the blocks leave one token of a
        window, since BatchNorm needs two values a channel; else 1.

    Raises
    ------
    UsageError
        Fewer than `MINIMUM_TOKENS` tokens: the strided blocks would leave none.
    """

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.least_haplotypes = 2 if _require_tokens(tokens) == 1 else 1
        self.blocks = nn.ModuleList(_block(width, block) for block in BLOCKS)
        self.initial_conv = nn.Sequential(nn.Conv1d(width, HIDDEN, 1), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.classifier = nn.Sequential(
            nn.Linear(HIDDEN, CLASSIFIER), nn.ReLU(), nn.Dropout(0.5), nn.Linear(CLASSIFIER, 1)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [B], float, from tokens [B, T, width].

        Raises
        ------
        UsageError
            Too few tokens; or, in training, BatchNorm is left with a single value a channel.
        """
        left = _require_tokens(tokens.shape[1])
        if self.training and tokens.shape[0] * left == 1:
            raise UsageError(
                "the Tower cannot be trained on a batch of one short haplotype: BatchNorm needs two values",
                got=f"1 haplotype of {tokens.shape[1]} tokens, of which the blocks leave 1",
                wanted="at least two haplotypes a batch, or a longer window",
                do="raise training.batch_size or window",
            )
        x = tokens.transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return cast(Tensor, self.classifier(self.initial_conv(x).mean(dim=-1)).squeeze(-1))


def _require_tokens(tokens: int) -> int:
    left = tokens_out(tokens)
    if left == 0:
        raise UsageError(
            "the Tower's strided blocks leave nothing of a window this short",
            got=f"{tokens} tokens",
            wanted=f"at least {MINIMUM_TOKENS} tokens",
            do="raise window, or set head.name: attention-pool",
        )
    return left


def _block(width: int, block: _Convolution) -> nn.Sequential:
    """Return depthwise and 1x1 convolution, each with BatchNorm and ReLU, and, where set, the pool."""
    depthwise = nn.Conv1d(
        width, width, block.kernel, stride=block.stride, padding=block.padding, groups=width
    )
    layers: list[nn.Module] = [
        depthwise,
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Conv1d(width, width, 1),
        nn.BatchNorm1d(width),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, *([SoftmaxPool(width)] if block.pool else []))
