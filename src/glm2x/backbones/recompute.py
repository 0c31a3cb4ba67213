"""Activation checkpointing: a part's activations are computed again in the backward pass, not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def computed(function: Callable[..., Any], part: nn.Module, *inputs: Any, checkpointing: bool) -> Any:
    """Return ``function(*inputs)``; with `checkpointing` the backward pass is left nothing but the inputs.

    The second computation has the dropout of the first, and running statistics (BatchNorm's) stay as the
    first left them: they are updated once a step, as without checkpointing.

    Parameters
    ----------
    function
        A part of a backbone, or what computes with its modules.
    part
        The module with all that `function` may update.
    inputs
        Tensors, or None.
    checkpointing
        Whether activations are computed again and not kept, where a gradient is asked for.
    """
    if not (checkpointing and torch.is_grad_enabled()):
        return function(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _buffers_kept(part)

    return checkpoint(function, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _buffers_kept(part: nn.Module) -> Iterator[None]:
    """Let modules in training mode compute with copies of their buffers, which are then dropped."""
    kept = [(m._buffers, name, b) for m in part.modules() if m.training for name, b in m._buffers.items()]
    for buffers, name, buffer in kept:
        buffers[name] = None if buffer is None else buffer.clone()
    try:
        yield
    finally:
        for buffers, name, buffer in kept:
            buffers[name] = buffer
