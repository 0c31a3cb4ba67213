"""What is said of a backbone in words and numbers. Packages that bring one describe it with this, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Package:
    """An installed package that declares backbones: the name and version of its distribution."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone, described.

    Attributes
    ----------
    name
        As in a configuration's ``backbone.name``.
    kind
        ``trainable``: trained whole, from codes; ``frozen``: read through precomputed embeddings.
    input, output
        What it takes and gives, with shapes, for people to read.
    width
        Channels of a token; 0 where that is the checkpoint's to say.
    tokens_for
        From a window (bp) to its number of tokens.
    head
        The head it is used with unless ``head.name`` says otherwise.
    weights
        The official weights, or where it starts without any.
    licence
        The licence of the weights.
    memory
        What a forward and a training step need.
    needs
        Top-level Python modules beyond the core that must be importable.
    module
        The module that makes it: a trainable one's ``build(window, config, spec)``, a frozen one's
        ``build(config)``.
    parameters
        How many, without output heads that are not used.
    hub
        Name and files of the official weights on the Hugging Face Hub, as ``hf download`` takes them.
    extra
        The extra of the package that brings `needs`; those of others come with the package itself.
    needs_gpu
        Whether it runs on NVIDIA GPUs alone.
    chooses_model
        Whether a configuration's ``backbone.model`` chooses one of several models.
    package
        The package that declares it. Filled in where it is found; None: glm2x itself.
    """

    name: str
    kind: Literal["trainable", "frozen"]
    input: str
    output: str
    width: int
    tokens_for: Callable[[int], int]
    head: str
    weights: str
    licence: str
    memory: str
    needs: tuple[str, ...]
    module: str
    parameters: str
    hub: tuple[str, ...] = ()
    extra: str = ""
    needs_gpu: bool = False
    chooses_model: bool = False
    package: Package | None = None
