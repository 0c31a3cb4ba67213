"""Any language model of DNA that transformers can load, by its name on the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glm2x.backbones.hub_model import failures_of, load_model, read_settings
from glm2x.backbones.hub_tokenizer import VARIABLE, HubTokenizer, load_tokenizer
from glm2x.backbones.language import LanguageModel
from glm2x.backbones.token_grid import on_grid
from glm2x.backbones.weights import FILES, Weights, identity, resolve
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError
from glm2x.files import sha256
from glm2x.seal import digest

# patterns: which of them there are is the tokenizer's to say
TOKENIZER_FILES = ("tokenizer*", "special_tokens_map*.json", "added_tokens*.json", "vocab*", "merges*.txt")
CODE = "*.py"
COMMIT = re.compile(r"[0-9a-f]{40}")
PROBE = 60  # base pairs


class HuggingFace(LanguageModel):
    """A model of transformers, one of its hidden states, laid on a regular grid.

    Special tokens are left out. The others are averaged base by base into cells, see `on_grid`: a tokenizer
    of single letters gives a token for each base, one of 6-mers one for six, one of variable lengths one for
    128. Windows that are cut into different tokens go through one by one, so that none is padded.

    Parameters
    ----------
    model
        Of transformers, with its weights.
    tokenizer
        The one it was trained with.
    layer
        k of ``hidden_states[k]``; None: the last hidden state, after the final normalisation.
    where
        The checkpoint's folder, for messages.

    Raises
    ------
    UsageError
        The model has no such layer.
    DataError
        The model gives other than one vector for a token.
    """

    def __init__(self, model: nn.Module, tokenizer: HubTokenizer, layer: int | None, where: Path) -> None:
        super().__init__()
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.token_bp = tokenizer.token_bp
        self._layer = layer
        self._where = where
        self._positions = _positions(model)
        self.longest = _longest(self._positions, tokenizer)
        probe = np.arange(PROBE, dtype=np.uint8) % 4
        with torch.no_grad(), failures_of("the checkpoint's model does not run", where):
            hidden = self._hidden([tokenizer.cut(probe)[0]], torch.device("cpu"))
        self.width = hidden.shape[-1]

    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, float32 [B, ceil(L / token_bp), width], from codes, uint8 [B, L].

        Raises
        ------
        DataError
            A window has more tokens than the model takes, or its tokens do not spell it.
        """
        window = codes.shape[1]
        ids, spans = zip(*(self.tokenizer.cut(row) for row in codes.cpu().numpy()), strict=True)
        if all(np.array_equal(own, spans[0]) for own in spans):
            return on_grid(self._hidden(ids, codes.device), spans[0], window, self.token_bp)
        rows = [
            on_grid(self._hidden([own], codes.device), covered, window, self.token_bp)
            for own, covered in zip(ids, spans, strict=True)
        ]
        return torch.cat(rows)

    def _hidden(self, ids: Sequence[list[int]], device: torch.device) -> Tensor:
        """Return the layer's vectors of all tokens but the special ones, float32 [B, S, width]."""
        if self._positions is not None and len(ids[0]) > self._positions:
            room = self._positions - len(self.tokenizer.prefix) - len(self.tokenizer.suffix)
            raise DataError(
                "a window has more tokens than the model takes",
                where=str(self._where),
                got=f"{len(ids[0])} (each N is one)",
                wanted=f"at most {self._positions}",
                do=f"--tile {room // self.token_bp * self.token_bp}, or less",
            )
        known = getattr(self.model.config, "vocab_size", None)
        if known is not None and (most := max(map(max, ids))) >= known:
            raise DataError(
                "the tokenizer has more tokens than the model",
                where=str(self._where),
                got=f"token {most}",
                wanted=f"at most {known - 1}: the tokenizer that the model was trained with",
            )
        output = self.model(torch.tensor(ids, device=device), output_hidden_states=self._layer is not None)
        if self._layer is None:
            hidden = output.last_hidden_state
        else:
            layers = output.hidden_states
            if not 0 <= self._layer < len(layers):
                raise UsageError(
                    "the model has no such layer",
                    where="backbone.layer",
                    got=str(self._layer),
                    wanted=f"from 0 (the embedding) to {len(layers) - 1}, or null: the last hidden state",
                )
            hidden = layers[self._layer]
        if hidden.shape[:2] != (len(ids), len(ids[0])):
            raise DataError(
                "the model gives other than one vector for a token",
                where=str(self._where),
                got=f"{list(hidden.shape)} for {len(ids[0])} tokens",
            )
        first = len(self.tokenizer.prefix)
        tokens: Tensor = hidden[:, first : len(ids[0]) - len(self.tokenizer.suffix)]
        return tokens


def build(config: BackboneConfig) -> HuggingFace:
    """Return the model that the configuration names, with its weights.

    Raises
    ------
    UsageError
        No model is named, its layer is no number, or code is to run without a pinned revision.
    DataError
        The checkpoint is not there, is damaged, needs code that was not asked for, or is no model of DNA.
    """
    _require_possible(config)
    files = (*FILES, *TOKENIZER_FILES, *((CODE,) if config.remote_code else ()))
    weights = resolve(config.model or "OWNER/NAME", config, files=files)
    if config.remote_code and weights.revision != config.revision:  # a branch may be called like a commit
        raise UsageError(
            "code that comes with a model runs only at a pinned revision",
            where="backbone.revision",
            got=f"{config.revision}, which the Hub takes for {weights.revision}",
        )
    settings = read_settings(weights.folder, remote_code=config.remote_code)
    tokenizer = load_tokenizer(weights.folder, settings, remote_code=config.remote_code)
    model = load_model(weights.folder, settings, remote_code=config.remote_code)
    assert config.layer is None or isinstance(config.layer, int)
    backbone = HuggingFace(model, tokenizer, config.layer, weights.folder)
    backbone.spec = _spec(backbone, weights, settings.model_type, config)
    return backbone


def _require_possible(config: BackboneConfig) -> None:
    """Refuse a configuration that names no model, or asks for code that is not pinned (`UsageError`)."""
    if config.model is None and config.weights is None:
        raise UsageError(
            "the huggingface backbone needs the name of a model",
            where="backbone.model",
            wanted="a name on the Hugging Face Hub, as InstaDeepAI/nucleotide-transformer-500m-human-ref",
            do="or set backbone.weights to a folder that holds one",
        )
    if isinstance(config.layer, str):
        raise UsageError(
            "layers of the huggingface backbone are numbered",
            where="backbone.layer",
            got=config.layer,
            wanted="k of hidden_states[k], or null: the last hidden state",
        )
    if not config.remote_code:
        return
    if config.weights is not None or not COMMIT.fullmatch(config.revision or ""):
        raise UsageError(
            "code that comes with a model runs only at a pinned revision",
            where="backbone.revision",
            got="a folder, which has none" if config.weights is not None else str(config.revision),
            wanted="backbone.model, and the 40 hexadecimal digits of a commit whose code you have read",
        )


def _positions(model: nn.Module) -> int | None:
    """Return how many tokens, special ones included, the model has positions for; None: any number."""
    most = getattr(model.config, "max_position_embeddings", None)
    if type(most) is not int or most <= 0:
        return None
    # positions of this family start after the padding token's
    skipped = (
        part.padding_idx + 1
        for name, part in model.named_modules()
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None
    )
    return most - next(skipped, 0)


def _longest(positions: int | None, tokenizer: HubTokenizer) -> int | None:
    """Return how many base pairs without N surely fit in the model's positions."""
    if positions is None:
        return None
    tokens = positions - len(tokenizer.prefix) - len(tokenizer.suffix)
    if tokenizer.overlapping is not None:
        return tokens + tokenizer.overlapping - 1
    if tokenizer.token_bp == VARIABLE:
        return tokens
    return (tokens - tokenizer.token_bp + 1) * tokenizer.token_bp  # the last bases may be tokens of their own


def _spec(backbone: HuggingFace, weights: Weights, kind: str, config: BackboneConfig) -> dict[str, Any]:
    tokenizer = {
        path.name: sha256(path)
        for pattern in TOKENIZER_FILES
        for path in weights.folder.glob(pattern)
        if path.is_file()
    }
    return {
        "architecture": {
            "model_type": kind,
            "remote_code": config.remote_code,
            "tokenizer_digest": digest(tokenizer),
            "token_bp": backbone.token_bp,
            "overlapping": backbone.tokenizer.overlapping,
        },
        "layer": config.layer,
        **identity(weights),
        "precision": "float32",
    }
