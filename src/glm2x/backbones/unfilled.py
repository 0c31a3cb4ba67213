"""Modules made to be loaded: no memory before the weights fit, no initial values drawn for nothing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)


def unfilled(
    make: Callable[[], _Module], require_fitting: Callable[[_Module], None] | None = None
) -> _Module:
    """Return the module that `make` makes, on torch's default device, its parameters and buffers zero.

    For models whose tensors are then all loaded: drawing 400 million initial values takes half a minute.

    Parameters
    ----------
    require_fitting
        Looks at the module's names and shapes while it is on the meta device, before it has any memory.
    """
    device = torch.get_default_device()
    with torch.device("meta"):
        module = make()
    if require_fitting is not None:
        require_fitting(module)
    module.to_empty(device=device)
    with torch.no_grad():
        for tensor in chain(module.parameters(), module.buffers()):
            tensor.zero_()
    return module


def fitting(make: Callable[[], _Module], require_fitting: Callable[[_Module], None]) -> _Module:
    """Return the module that `make` makes, with its initial values, once its names and shapes were looked at.

    For modules that `unfilled` cannot make, such as those that share parameters.
    """
    with torch.device("meta"):
        require_fitting(make())
    return make()
