"""`glm2x config`: the shipped experiments."""

from __future__ import annotations

import sys


def show(name: str | None = None, /) -> None:
    """Print a shipped experiment as YAML; without a name, list them.

    Parameters
    ----------
    name
        Such as onehot-reference-then-personal.
    """
    from glm2x.config import shipped_names, show_config

    sys.stdout.write("\n".join(shipped_names()) + "\n" if name is None else show_config(name))
