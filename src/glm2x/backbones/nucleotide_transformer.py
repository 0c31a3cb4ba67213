"""Nucleotide Transformer v2: the hidden states of one layer, on a grid of 6 bp."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.six_mers import CLS, NOTHING, SLOT, VOCABULARY, spell
from glm2x.backbones.unfilled import unfilled
from glm2x.backbones.weights import (
    described_in,
    identity,
    load_into,
    read_config,
    read_state,
    require_fitting,
    resolve,
)
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

OFFICIAL = "InstaDeepAI/nucleotide-transformer-v2-500m-multi-species"
LAYER = 20  # the published choice, of 29
PAD = 1
# of the JAX original that the weights were trained with; the Hub's config.json says 1e-12
LAYER_NORM_EPS = 1e-5
ROTARY_BASE = 10_000
POSITIONS_OFFSET = 2  # the Hub's positions count from here: 2,050 of them are 2,048 tokens

_SIZES = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
)
# what the Hub's config.json says of all models of v2, and what an EsmConfig says without it
_FIXED = {
    "model_type": ("esm", "esm"),
    "position_embedding_type": ("rotary", "absolute"),
    "emb_layer_norm_before": (False, False),
    "token_dropout": (False, False),
    "add_bias_fnn": (False, False),
    "is_folding_model": (False, False),
}
# the output head, and what the Hub's own code keeps beside the model without using it for hidden states
_UNUSED = (
    "lm_head.",
    "esm.contact_head.",
    "esm.pooler.",
    "esm.embeddings.position_embeddings.",
    "esm.embeddings.position_ids",
)


class NucleotideTransformer(LanguageModel):
    """The hidden states behind one layer of the Nucleotide Transformer v2; layers above it are not built.

    The layers are those of transformers' ESM model, under the names of the official weights, with the gated
    feed-forward of v2, rotary positions, and an epsilon of 1e-5 in every LayerNorm: the 1e-12 of the
    official ``config.json`` moves hidden states by 1.4e-2. The last layer of a model includes the final
    LayerNorm, any other does not, as in ``hidden_states`` of the published model.

    Token i covers the bases ``[6 i, 6 i + 6)`` whatever the letters; see `six_mers` for what is read there,
    and why it is not what the published tokenizer makes of a window with N. Where a slot is spelled letter
    by letter its token is the mean over the letters. The model reads a ``<cls>`` token in front of a
    window, as it was trained, and its row is not handed on; nothing is padded.

    Parameters
    ----------
    architecture
        The sizes of the official ``config.json``, under its names.
    layer
        Layers that are run, from 1 to ``num_hidden_layers``.

    Attributes
    ----------
    longest
        As many 6-mers, behind ``<cls>``, as the model has positions: 12,282 bp for the official one. A
        window whose slots are spelled has more tokens; rotary positions are not bound to a table.

    Notes
    -----
    Method: Dalla-Torre et al., Nature Methods 22, 287 (2025).
    """

    token_bp = SLOT
    longest: int

    def __init__(self, architecture: Mapping[str, Any], layer: int) -> None:
        super().__init__()
        from transformers.models import esm

        library: Any = esm
        width, inner = architecture["hidden_size"], architecture["intermediate_size"]
        config = library.EsmConfig(
            vocab_size=VOCABULARY,
            pad_token_id=PAD,
            hidden_size=width,
            num_hidden_layers=layer,
            num_attention_heads=architecture["num_attention_heads"],
            intermediate_size=inner,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=1,  # the size of a buffer that rotary positions do not read
            layer_norm_eps=LAYER_NORM_EPS,
            position_embedding_type="rotary",
            emb_layer_norm_before=False,
            token_dropout=False,
        )
        self.esm: Any = library.EsmModel(config, add_pooling_layer=False)
        del self.esm.contact_head
        for block in self.esm.encoder.layer:
            block.attention.self.rotary_embeddings = RotaryPositions()
            block.intermediate = GatedLinear(width, inner)
            block.output.dense = nn.Linear(inner, width, bias=False)
        if layer < architecture["num_hidden_layers"]:
            self.esm.encoder.emb_layer_norm_after = nn.Identity()
        self.width = width
        self.longest = (architecture["max_position_embeddings"] - POSITIONS_OFFSET - 1) * SLOT
        self.spec = {
            "architecture": {
                **{name: architecture[name] for name in _SIZES if name != "max_position_embeddings"},
                "layer_norm_eps": LAYER_NORM_EPS,
                "tokens": "6-mers in a fixed frame",
            },
            "layer": layer,
            "weights": None,
            "revision": None,
            "weights_digest": None,
            "precision": "float32",
        }

    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float [B, ceil(L / 6), width], from codes, uint8 [B, L], L at most `longest`."""
        assert codes.shape[1] <= self.longest, (codes.shape, self.longest)
        ids = spell(codes)
        counts = (ids != NOTHING).sum(2)
        lengths = counts.sum(1)
        order, tokens = [], []
        for length in sorted(set(lengths.tolist())):  # so that no window is padded
            rows = (lengths == length).nonzero()[:, 0]
            order.append(rows)
            tokens.append(self._tokens(ids[rows], counts[rows]))
        return torch.cat(tokens)[torch.cat(order).argsort()]

    def _tokens(self, ids: Tensor, counts: Tensor) -> Tensor:
        """Return tokens, float [R, T, width], from ids [R, T, 6] of as many tokens in each row."""
        sequence = functional.pad(ids[ids != NOTHING].view(len(ids), -1), (1, 0), value=CLS)
        hidden: Tensor = self.esm(sequence).last_hidden_state
        first = counts.cumsum(1) - counts + 1  # behind CLS
        total = hidden.new_zeros((*counts.shape, self.width))
        for place in range(SLOT):  # no slot twice in one sum, so that its order is the same at every run
            row, slot = (counts > place).nonzero(as_tuple=True)
            total[row, slot] += hidden[row, first[row, slot] + place]
        return total / counts[..., None]


class GatedLinear(nn.Module):
    """The first half of v2's feed-forward: one linear map to gates and values, SiLU of the gates."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, 2 * inner, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float [..., inner] from float [..., width]."""
        gates, values = self.dense(x).chunk(2, dim=-1)
        gated: Tensor = functional.silu(gates) * values
        return gated


class RotaryPositions(nn.Module):
    """Rotary positions (Su et al., arXiv 2104.09864) that keep no tables, so that there are none to load."""

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return both rotated by their positions, in their own type; float [B, heads, T, channels]."""
        length, channels = key.shape[-2:]
        channel = torch.arange(0, channels, 2, device=key.device, dtype=torch.float32)
        position = torch.arange(length, device=key.device, dtype=torch.float32)
        angles = torch.outer(position, 1 / ROTARY_BASE ** (channel / channels)).repeat(1, 2)
        return _rotated(query, angles), _rotated(key, angles)


def _rotated(x: Tensor, angles: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return (x * angles.cos() + turned * angles.sin()).to(x.dtype)


def build(config: BackboneConfig) -> NucleotideTransformer:
    """Return the model with its pretrained weights, in float32.

    Raises
    ------
    UsageError
        `config.layer` is none of the model's, or a revision stands beside a folder of weights.
    DataError
        The weights are not there, damaged, or not those of a Nucleotide Transformer v2 with 6-mers.
    """
    layer = LAYER if config.layer is None else config.layer
    if not isinstance(layer, int):  # before two gigabytes are downloaded
        raise _no_layer(layer, "a number")
    weights = resolve(OFFICIAL, config)
    architecture = read_architecture(weights.folder)
    layers = architecture["num_hidden_layers"]
    if not 0 < layer <= layers:
        raise _no_layer(layer, f"1 to {layers}")
    where = str(weights.folder)
    state = {name: t for name, t in read_state(weights.folder).items() if _is_used(name, layer, layers)}
    with described_in(weights.folder):
        model = unfilled(
            lambda: NucleotideTransformer(architecture, layer),
            lambda empty: require_fitting(empty, state, where=where),
        )
    load_into(model, state, where=where)
    model.spec = {**model.spec, **identity(weights)}
    return model


def read_architecture(folder: Path) -> dict[str, int]:
    """Return the sizes in a folder's ``config.json``.

    Raises
    ------
    DataError
        It describes another model, or another vocabulary.
    """
    values = read_config(folder)
    where = str(folder / "config.json")
    wrong = _wrong_in(values)
    if wrong is not None:
        raise DataError(
            "config.json does not describe a Nucleotide Transformer v2",
            where=where,
            got=f"{wrong}: {values.get(wrong)}",
            wanted=f"as of the weights {OFFICIAL}",
        )
    if values.get("vocab_size") != VOCABULARY:
        raise DataError(
            "the weights have another vocabulary",
            where=where,
            got=f"vocab_size: {values.get('vocab_size')}",
            wanted=f"the {VOCABULARY:,} tokens of the 6-mer models of v2",
        )
    return {name: values[name] for name in _SIZES}


def _wrong_in(values: Mapping[str, Any]) -> str | None:
    """Return the first key of a ``config.json`` with a value that no model of v2 has."""
    for name, (wanted, default) in _FIXED.items():
        if values.get(name, default) != wanted:
            return name
    for name in _SIZES:
        if type(values.get(name)) is not int or values[name] <= 0:
            return name
    # rotary positions turn channels of a head in pairs
    if values["hidden_size"] % (2 * values["num_attention_heads"]):
        return "num_attention_heads"
    if values["max_position_embeddings"] <= POSITIONS_OFFSET + 1:
        return "max_position_embeddings"
    return None


def _is_used(name: str, layer: int, layers: int) -> bool:
    """Whether a tensor of the official file goes into the model; one that no official file has does too."""
    if name.startswith(_UNUSED):
        return False
    if name.startswith("esm.encoder.emb_layer_norm_after."):
        return layer == layers
    found = re.match(r"esm\.encoder\.layer\.([0-9]{1,9})\.(.*)", name)
    if found is None:
        return True
    return not layer <= int(found[1]) < layers and found[2] != "attention.self.rotary_embeddings.inv_freq"


def _no_layer(layer: int | str, wanted: str) -> UsageError:
    return UsageError(
        "the Nucleotide Transformer has no such layer",
        where="backbone.layer",
        got=str(layer),
        wanted=f"{wanted}, or null for layer {LAYER}",
    )
