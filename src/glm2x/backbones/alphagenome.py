"""AlphaGenome: the published trunk (alphagenome-pt) and its embeddings at the TSS, for fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glm2x.backbones.base import Backbone
from glm2x.backbones.centre import centre
from glm2x.backbones.one_hot_input import one_hot
from glm2x.backbones.recompute import computed
from glm2x.backbones.unfilled import unfilled
from glm2x.backbones.weights import (
    described_in,
    load_into,
    read_config,
    read_state,
    require_fitting,
    resolve,
)
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.files import read_json

OFFICIAL = "RylieWeaver/alphagenome-pytorch"
OFFICIAL_FILES = ("v1.0.0/alphagenome_all_folds.safetensors",)
SAVED_FILES = ("config.json", "metadata.json", "model.safetensors")  # by AlphaGenome.save
ORGANISMS = ["human", "mouse"]  # of the official weights
UNUSED = ("sequence_decoder.", "output_x.", "output_pair.", "_heads.")
BIN = 128
BINS = 10
STEP = 2048  # base pairs to a row of the pair representation
ARCHITECTURE = (
    "max_seq_len",
    "num_channels",
    "channel_increment",
    "transformer_layers",
    "first_conv_width",
    "block_width",
    "num_q_heads",
    "num_kv_heads",
    "qk_head_dim",
    "v_head_dim",
    "pair_channels",
    "pair_heads",
    "pos_channels",
    "transformer_mlp_ratio",
    "embedder_mlp_ratio",
    "dropout",
)


class AlphaGenome(Backbone):
    """AlphaGenome's embedding at 128 bp for humans, of the 10 bins around the TSS.

    Encoder, transformer and output embedder are run; the decoder back to single bases, the embedding of
    pairs and the output heads, which it does not need, are neither kept nor computed. Of T bins,
    ``T/2 - 5`` to ``T/2 + 4`` are kept: the base at index L/2 of a window, the TSS of a gene on ``+``,
    is the first of the sixth of them, and L/2 - 1, that of a gene on ``-``, the last of the fifth.

    Precision: weights stay float32. Under bfloat16 autocast the library's own mixture is used
    (bfloat16 with normalisation and attention in float32, as published), else float32 throughout.

    In training, and unless frozen, its normalisation over the batch divides by the root mean square of
    all positions of all windows of the batch, and moves its running mean towards that by a tenth a
    step. With ``batch: people`` a haplotype counts as often as people of the batch carry it, with
    ``batch: haplotypes`` once; and each process of several has statistics of its own. The published
    dropout is 0. So the two ways of batching are equal in evaluation mode, and in training only where
    the trunk is frozen.

    Parameters
    ----------
    architecture
        The keys of `ARCHITECTURE`, others are the library's, and ``organisms``, whose names include
        human.
    window
        Base pairs, see `tokens`.

    Attributes
    ----------
    activation_checkpointing
        Keep only what goes into each stage, and compute the stage again in the backward pass.

    Raises
    ------
    UsageError
        A window that the model cannot take, or the library is not installed.
    DataError
        The model knows no human.
    """

    windows_at_once = 4
    activation_checkpointing = False

    def __init__(self, architecture: Mapping[str, Any], window: int) -> None:
        super().__init__()
        library = _library()
        sizes = {key: architecture[key] for key in ARCHITECTURE if key in architecture}
        organisms = list(architecture["organisms"])
        if "human" not in organisms:
            raise DataError("this AlphaGenome model knows no human", got=f"organisms {', '.join(organisms)}")
        config = library.AlphaGenomeConfig(
            **sizes, sync_bn=False, dtype_policy="float32", metadata={"organisms": organisms, "heads": {}}
        )
        self._longest = config.max_seq_len
        self.tokens(window)
        self.model = library.AlphaGenome(config)
        for name in UNUSED:
            delattr(self.model, name.removesuffix("."))
        self.width = self.model.channels.channels_128bp
        self._human = organisms.index("human")
        self.spec = {"architecture": dict(architecture), "weights": None, "revision": None}

    def tokens(self, window: int) -> int:
        """Return the number of tokens, 10.

        Raises
        ------
        UsageError
            `window` is no multiple of 2,048 bp, or longer than the model was made for.
        """
        if window % STEP or not STEP <= window <= self._longest:
            below = window // STEP * STEP
            usable = [length for length in (below, below + STEP) if STEP <= length <= self._longest]
            raise UsageError(
                f"AlphaGenome takes no window of {window} bp",
                where="window",
                got=str(window),
                wanted=f"a multiple of {STEP}, at most {self._longest}",
                do=f"window: {' or '.join(map(str, usable or [self._longest]))}",
            )
        return BINS

    def forward(self, inputs: Tensor) -> Tensor:
        """Return tokens, float [B, 10, 3072] at full size, from codes, uint8 [B, L]."""
        self.tokens(inputs.shape[1])
        model = self.model
        organism = torch.full((len(inputs),), self._human, device=inputs.device)
        x = one_hot(inputs, model.org_embedder.weight.dtype)
        for block in model.sequence_encoder.downres_blocks.values():
            x = self._run(block, x, forward=lambda x, block=block: model.sequence_encoder.pool(block(x)))
        x = (x + model.org_embedder(organism)[:, :, None]).transpose(1, 2)
        pairs = None
        for block in model.transformer_tower.blocks:
            x, pairs = self._run(block, x, pairs)
        embedding: Tensor = self._run(model.output_t, x, organism)
        return centre(embedding, BINS)

    def stages(self) -> Sequence[nn.Module]:
        """Return 17 of the official model: 7 of the encoder, 9 of the transformer, the embedder."""
        model = self.model
        *encoder, last = model.sequence_encoder.downres_blocks.values()
        return (
            *encoder,
            nn.ModuleList([last, model.org_embedder]),
            *model.transformer_tower.blocks,
            model.output_t,
        )

    def _run(self, part: nn.Module, *inputs: Any, forward: Callable[..., Any] | None = None) -> Any:
        """Return what a stage, or `forward` with its modules, makes of the inputs.

        The precision is chosen here, within what the backward pass computes again: there the library
        would fall back to its default.
        """
        from alphagenome_pt.precision import dtype_policy_context, get_dtype_policy

        device = inputs[0].device.type
        policy = get_dtype_policy("deepmind" if torch.is_autocast_enabled(device) else "float32")
        call = forward or part

        def compute(*arguments: Any) -> Any:
            with dtype_policy_context(policy, device):
                return call(*arguments)

        return computed(compute, part, *inputs, checkpointing=self.activation_checkpointing)


def _library() -> Any:
    """Return the package `alphagenome_pt` (`UsageError` where it is not installed)."""
    try:
        import alphagenome_pt
    except ModuleNotFoundError as error:
        if error.name != "alphagenome_pt":
            raise
        raise UsageError(
            "the alphagenome backbone needs the package alphagenome-pt",
            where="backbone.name",
            do="pip install 'glm2x[alphagenome]'",
        ) from error
    return alphagenome_pt


def build(window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> AlphaGenome:
    """Return the backbone with its pretrained weights, or as `spec` says with zeros in their place.

    A folder of weights is laid out as on the Hub, or as the library's ``AlphaGenome.save`` does it.

    Raises
    ------
    UsageError
        A window that it cannot take, or the library is not installed.
    DataError
        The weights are not there, or not AlphaGenome's.
    """
    if spec is not None:
        backbone = unfilled(lambda: AlphaGenome(spec["architecture"], window))
        backbone.spec = dict(spec)
        return backbone
    library = _library()
    own = config.weights is not None and (Path(config.weights).expanduser() / "config.json").is_file()
    files = SAVED_FILES if own else OFFICIAL_FILES
    weights = resolve(OFFICIAL, config, files=files)
    if own:
        values = read_config(weights.folder) | {"organisms": _organisms(weights.folder / "metadata.json")}
    else:  # the official file comes without a description: the library knows its sizes
        values = library.deepmind_config(metadata={"organisms": ORGANISMS, "heads": {}}).to_dict()
        values["organisms"] = ORGANISMS
    architecture = {key: values[key] for key in (*ARCHITECTURE, "organisms") if key in values}
    where, state = str(weights.folder), read_state(weights.folder, files[-1:])
    with described_in(weights.folder):
        backbone = unfilled(
            lambda: AlphaGenome(architecture, window),
            lambda empty: require_fitting(empty.model, state, ignore=UNUSED, where=where),
        )
    load_into(backbone.model, state, ignore=UNUSED, where=where)
    backbone.spec = {**backbone.spec, "weights": weights.source, "revision": weights.revision}
    return backbone


def _organisms(path: Path) -> list[str]:
    """Return the names of the organisms of a model that the library saved, in the order of their index."""
    metadata = read_json(path)
    names = metadata.get("organisms") if isinstance(metadata, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            "the metadata name no organisms", where=str(path), wanted='{"organisms": ["human", ...]}'
        )
    return names
