"""A backbone and a head as one model of a person: the mean of the head's outputs for the haplotypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from glm2x.backbones.base import Backbone
from glm2x.backbones.info import BackboneInfo
from glm2x.backbones.packages import package_of
from glm2x.backbones.registry import build, get, get_as_made, is_known
from glm2x.config import TrainConfig
from glm2x.embeddings.description import read_description
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import UsageError
from glm2x.heads.registry import build_head
from glm2x.place import place
from glm2x.training.precomputed import Precomputed


class ExpressionModel(nn.Module):
    """Haplotypes -> numbers -> people.

    Parameters
    ----------
    backbone
        [H, L] -> [H, T, C]; or what hands on the tokens of a store.
    head
        [H, T, C] -> [H].
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def start_at(self, value: float) -> None:
        """Let the head start at `value`, the mean training target, where it knows how to."""
        start = getattr(self.head, "start_at", None)
        if start is not None:
            start(value)

    @property
    def trunk_is_frozen(self) -> bool:
        """Whether no parameter of the backbone is trained: its tokens are then a function of the sequence."""
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def windows_at_once(self, window: int) -> int:
        """Return how many windows of `window` bp go through together where no gradient is kept."""
        return self.backbone.at_once(window)

    def predict_haplotypes(self, inputs: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return one number a haplotype, float32 [H], from codes uint8 [U, L], or tokens [U, T, C].

        A frozen trunk computes its part without a gradient, and a bounded number of windows at once.
        `seen`, int64 [H], says which of `inputs` each haplotype that the head sees is; without it they
        are `inputs` (H = U).

        The head computes in float32 whatever the precision of training: between two people the sum
        over tokens differs by less than the 8 bits that bfloat16 keeps of it.
        """
        tokens = self._tokens(inputs)
        if seen is not None:
            tokens = tokens[seen]
        with torch.autocast(tokens.device.type, enabled=False):
            return cast(Tensor, self.head(tokens.float()))

    def forward(self, inputs: Tensor, index: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return one number a person, float [P].

        Parameters
        ----------
        inputs
            Codes, uint8 [U, L]; of a precomputed backbone tokens, [U, T, C].
        index
            int64 [P, n]: which haplotypes that the head sees are a person's n.
        seen
            int64 [H]: which of `inputs` these are (default: `inputs`).
        """
        return self.predict_haplotypes(inputs, seen)[index].mean(dim=1)

    def _tokens(self, inputs: Tensor) -> Tensor:
        if not self.trunk_is_frozen or self.backbone.precomputed:
            return cast(Tensor, self.backbone(inputs))
        with torch.no_grad():
            at_once = self.windows_at_once(inputs.shape[1])
            parts = [self.backbone(part) for part in torch.split(inputs, at_once)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def build_model(config: TrainConfig, spec: Mapping[str, Any] | None = None) -> ExpressionModel:
    """Return the configuration's model with a fresh head, frozen as it says.

    Parameters
    ----------
    config
        The configuration.
    spec
        The `Backbone.spec` of a checkpoint whose weights will be loaded: the backbone is built as it was
        there, and its official weights are not looked for. None: the backbone has these.

    Raises
    ------
    UsageError
        Unknown backbone or head, a window too short for the head, or a backbone that cannot be frozen so
        or knows no activation checkpointing.
    """
    name = config.backbone.name
    if get(name).kind == "frozen":
        backbone: Backbone = Precomputed(store_spec(config) if spec is None else StoreSpec.from_json(spec))
    else:
        backbone = build(name, config.window, config.backbone, spec)
    backbone.freeze(config.freeze)
    if config.training.activation_checkpointing:
        if not hasattr(backbone, "activation_checkpointing"):
            raise UsageError(
                f"the {name} backbone knows no activation checkpointing: its activations are small",
                where="training.activation_checkpointing",
                got="true",
                wanted="false",
            )
        setattr(backbone, "activation_checkpointing", True)  # noqa: B010 (not every backbone has it)
    head = build_head(head_name(config), backbone.width, backbone.tokens(config.window))
    return ExpressionModel(backbone, head)


def described(config: TrainConfig) -> BackboneInfo:
    """Return the description of the configuration's backbone.

    Raises
    ------
    UsageError
        No such backbone.
    DataError
        The configuration's store was made with the backbone of a package that is not installed.
    """
    name = config.backbone.name
    if config.embeddings is not None and not is_known(name):
        spec = read_description(place(config.embeddings))
        if spec.backbone == name:
            return get_as_made(name, package_of(spec.model, config.embeddings), config.embeddings)
    return get(name)


def shape_of(config: TrainConfig) -> tuple[int, int]:
    """Return the channels and the number of the tokens that the head is given.

    Raises
    ------
    UsageError
        See `store_spec`.
    """
    info = described(config)
    if info.kind == "frozen":
        spec = store_spec(config)
        return spec.width, spec.rows
    if config.embeddings is not None:
        raise UsageError(
            f"the {info.name} backbone is trained on letters, and reads no embeddings",
            where="embeddings",
            got=config.embeddings,
            wanted="null",
        )
    return info.width, info.tokens_for(config.window)


def store_spec(config: TrainConfig) -> StoreSpec:
    """Return what the configuration's embedding store holds.

    Raises
    ------
    UsageError
        No store is named, or it holds the embeddings of another backbone or window, or of other weights
        than the configuration names.
    DataError
        There is no store.
    """
    name, asked = config.backbone.name, config.backbone
    if config.embeddings is None:
        raise UsageError(
            f"the {name} backbone is read through an embedding store, and none is named",
            where="embeddings",
            do=f"glm2x embed plan --backbone {name} --cohort {config.cohort} --window {config.window} "
            "--out STORE; then glm2x embed run STORE, and set embeddings: STORE",
        )
    for key in ("weights", "model", "remote_code"):
        if getattr(asked, key):
            raise UsageError(
                f"backbone.{key} is for making embeddings, and here they are read",
                got=str(getattr(asked, key)),
                do="leave it out: the store knows what it was made with",
            )
    spec = read_description(place(config.embeddings))
    weights = asked.revision if asked.revision not in (None, "main") else None
    for key, got, wanted in (
        ("backbone.name", spec.backbone, name),
        ("window", spec.window, config.window),
        ("backbone.revision", spec.model.get("revision"), weights),
        ("backbone.layer", spec.model.get("layer"), asked.layer),
    ):
        if wanted is not None and got != wanted:
            raise UsageError(
                "the embedding store is of another model than the configuration",
                where=f"{key}, {config.embeddings}",
                got=f"{got} in the store",
                wanted=str(wanted),
                do="set embeddings to another store, or the key to the store's",
            )
    return spec


def head_name(config: TrainConfig) -> str:
    """Return the configured head, or the backbone's own."""
    return config.head.name or get(config.backbone.name).head
