"""`glm2x backbones`: what can turn a window into tokens, and what this machine lacks for it."""

from __future__ import annotations

import importlib.util
from dataclasses import fields


def backbones(name: str | None = None, /) -> None:
    """List the backbones; with a name, say what it takes, gives and needs.

    Parameters
    ----------
    name
        Such as onehot.
    """
    from glm2x.backbones.registry import BackboneInfo, get
    from glm2x.backbones.registry import backbones as known

    if name is None:
        for info in known():
            print(f"{info.name:<28}{info.kind:<11}{info.weights}")
        return
    info = get(name)
    for part in fields(BackboneInfo):
        value = getattr(info, part.name)
        if isinstance(value, str | int) and part.name != "module":
            print(f"{part.name + ':':<10}{value}")
    print(f"{'tokens:':<10}{info.tokens_for(64_000)} of a 64,000 bp window")
    lacking = [module for module in info.needs if importlib.util.find_spec(module) is None]
    print(f"{'here:':<10}" + ("ready" if not lacking else f"lacks {', '.join(lacking)}"))
