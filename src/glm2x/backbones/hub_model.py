"""Models of transformers made from a folder: nothing unpickled, no code run unasked, loaded strictly."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glm2x.backbones.unfilled import fitting
from glm2x.backbones.weights import (
    in_a_line,
    load_into,
    read_config,
    read_state,
    require_fitting,
    require_layers,
)
from glm2x.errors import DataError, Glm2xError
from glm2x.files import read_json

UNUSED = ("pooler", "contact_head")  # layers that come after all hidden states
# buffers that older versions of transformers wrote into checkpoints, and newer ones compute
COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|attn\.bias|attn\.masked_bias)$")


def read_settings(folder: Path, *, remote_code: bool) -> Any:
    """Return the checkpoint's configuration, of transformers.

    Raises
    ------
    DataError
        It describes no model, one of two texts, or one of code that was not asked for or is not pinned.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    values = read_config(folder)
    if remote_code:
        _require_own_code(folder)
    elif values.get("model_type") not in CONFIG_MAPPING:
        raise _unknown(folder, values)
    with failures_of("the checkpoint's config.json describes no model", folder):
        settings = AutoConfig.from_pretrained(folder, trust_remote_code=remote_code, local_files_only=True)
        settings.use_cache = False
    if getattr(settings, "is_encoder_decoder", False):
        raise DataError(
            "the model is an encoder with a decoder, which needs two texts",
            where=str(folder / "config.json"),
            got=f"model_type: {settings.model_type}",
        )
    return settings


def _unknown(folder: Path, values: Mapping[str, Any]) -> DataError:
    """Return the error for a model that transformers has not itself."""
    where, got = str(folder / "config.json"), f"model_type: {values.get('model_type')}"
    if "auto_map" not in values:
        return DataError("transformers has no such kind of model", where=where, got=got)
    return DataError(
        "the model runs code that comes with it, which was not asked for",
        where=where,
        got=got,
        do="if you have read that code and trust it: backbone.remote_code: true, "
        "and backbone.revision: the full hash of the commit that you have read",
    )


def _require_own_code(folder: Path) -> None:
    """Refuse code that is named by a repository: its revision is not the pinned one (`DataError`)."""
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        values = read_json(path) if path.is_file() else {}
        text = str(values.get("auto_map")) if isinstance(values, dict) else ""
        if "--" in text:
            raise DataError(
                "the model names a repository for its code, and no revision of it",
                where=str(path),
                got=f"auto_map: {text[:200]}",
                wanted="files of the model's own repository, at its pinned revision",
            )


def load_model(folder: Path, settings: Any, *, remote_code: bool) -> nn.Module:
    """Return the model without output heads, float32, with all its weights.

    Raises
    ------
    DataError
        The configuration makes no model, or the weights are damaged or another model's.
    """
    from transformers import AutoModel
    from transformers.modeling_utils import no_init_weights

    state = read_state(folder)
    layers = getattr(settings, "num_hidden_layers", None)
    if isinstance(layers, int):
        require_layers(state, layers, where=str(folder))
    options: dict[str, Any] = {} if remote_code else _attention(settings)
    auto: Any = AutoModel

    def make() -> Any:
        model = auto.from_config(settings, trust_remote_code=remote_code, dtype=torch.float32, **options)
        for name in UNUSED:
            if getattr(model, name, None) is not None:
                setattr(model, name, None)
        return model

    def require_all(model: Any) -> None:
        require_fitting(model, _under_its_names(state, model), ignore=ignored, where=str(folder))

    ignored = [f"{name}." for name in UNUSED]
    failures = failures_of("the checkpoint's config.json describes no model", folder)
    with failures, no_init_weights(), _installed_kernels(settings):
        # code that comes with a model may ask for values while it is made
        model = make() if remote_code else fitting(make, require_all)
    load_into(model, _under_its_names(state, model), ignore=ignored, where=str(folder))
    return model.float()  # type: ignore[no-any-return]


@contextmanager
def _installed_kernels(settings: Any) -> Iterator[None]:
    """Have transformers' Mambas take kernels that are installed, while one is made.

    Where there is the package `kernels` they would download compiled code from the Hub, and keep it.
    """
    from transformers import MODEL_MAPPING

    module = sys.modules.get(getattr(MODEL_MAPPING.get(type(settings), None), "__module__", ""))
    asked = getattr(module, "is_kernels_available", None)
    if module is None or asked is None:
        yield
        return
    module.is_kernels_available = lambda: False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.is_kernels_available = asked  # type: ignore[attr-defined]


def _under_its_names(state: Mapping[str, Tensor], model: Any) -> Mapping[str, Tensor]:
    """Return a checkpoint's tensors as a model without output heads calls them."""
    prefix = f"{model.base_model_prefix}."
    if any(name.startswith(prefix) for name in state):  # written with an output head
        state = {n.removeprefix(prefix): tensor for n, tensor in state.items() if n.startswith(prefix)}
    own = model.state_dict()
    return {name: t for name, t in state.items() if name in own or not COMPUTED.search(name)}


def _attention(settings: Any) -> dict[str, str]:
    """Return which attention is computed: torch's own, the same on every machine."""
    from transformers import MODEL_MAPPING

    kind = MODEL_MAPPING.get(type(settings), None)
    if hasattr(settings, "reference_compile"):  # ModernBERT compiles itself where it finds a compiler
        settings.reference_compile = False
    return {"attn_implementation": "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"}


@contextmanager
def failures_of(what: str, where: Path, *, do: str = "") -> Iterator[None]:
    """Turn whatever a checkpoint's values make transformers stumble over into one message (`DataError`)."""
    try:
        yield
    except (Glm2xError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    # a damaged or hostile file fails in as many ways as it has bytes; a panic in Rust is no Exception
    except BaseException as error:
        raise DataError(
            what,
            where=str(where),
            got=in_a_line(error),
            wanted="a model of DNA with its tokenizer, as they came with the weights",
            do=do,
        ) from error
