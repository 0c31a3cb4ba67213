"""A batch's predictions from all processes, with a gradient for those that are one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, distributed
from torch.autograd import Function


def gather(own: Tensor, sizes: Sequence[int], rank: int) -> Tensor:
    """Return the predictions of all processes one after the other, float [sum(sizes)].

    Every process then computes the loss of the whole batch, whatever pairs of people it compares, and
    from it the gradient of its own predictions. That is the process's share of the gradient of the
    parameters, and the shares add up to what one process would have computed of the whole batch.
    DistributedDataParallel takes the mean of them, so the gradient is multiplied by their number.

    Parameters
    ----------
    own
        Float [sizes[rank]].
    sizes
        How many predictions each process has; some may have none.
    rank
        Which process this is.
    """
    return cast(Tensor, _Gather.apply(own, tuple(sizes), rank))  # type: ignore[no-untyped-call]


class _Gather(Function):
    @staticmethod
    def forward(context: Any, own: Tensor, sizes: tuple[int, ...], rank: int) -> Tensor:
        context.sizes, context.rank = sizes, rank
        # a collective takes tensors of one size
        padded = own.new_zeros(max(sizes))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        start = sum(context.sizes[: context.rank])
        own = gradients[0][start : start + context.sizes[context.rank]]
        return own * len(context.sizes), None, None
