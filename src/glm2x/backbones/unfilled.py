"""Large modules made without drawing initial values that are overwritten at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TypeVar

import torch
from torch import nn

_Module = TypeVar("_Module", bound=nn.Module)


def unfilled(make: Callable[[], _Module]) -> _Module:
    """Return the module that `make` makes, on torch's default device, its parameters and buffers zero.

    For models whose tensors are then all loaded: drawing 400 million initial values takes half a minute.
    """
    device = torch.get_default_device()
    with torch.device("meta"):
        module = make()
    module.to_empty(device=device)
    with torch.no_grad():
        for tensor in chain(module.parameters(), module.buffers()):
            tensor.zero_()
    return module
