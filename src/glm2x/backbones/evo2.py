"""Evo 2: the published model through its own library, one layer's output for every base."""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glm2x.backbones.language import LanguageModel
from glm2x.backbones.weights import identity, read_saved, resolve
from glm2x.config import BackboneConfig
from glm2x.errors import DataError, UsageError

# names of the library, those whose checkpoint is one file on the Hub
MODELS = {
    "evo2_7b": "arcinstitute/evo2_7b",
    "evo2_7b_262k": "arcinstitute/evo2_7b_262k",
    "evo2_7b_base": "arcinstitute/evo2_7b_base",
    "evo2_1b_base": "arcinstitute/evo2_1b_base",
}
# base pairs that these were trained on, where the library's configuration would let through more
TRAINED = {"evo2_7b_base": 8_192, "evo2_1b_base": 8_192}
OFFICIAL = "evo2_7b"
LAYER = "blocks.28.mlp.l3"
BYTES = b"ACGTN"
MODULES = ("evo2", "flash_attn_2_cuda", "triton")  # the library imports the last two as it is imported
PROBE = 24  # base pairs
EXTRA = "._extra_state"  # what Transformer Engine keeps beside a layer's weights: scales of FP8
# what the official files hold beside the model: the embedding a second time, and remains of the training code
UNUSED = re.compile(r"unembed\.weight|blocks\.[0-9]+\.mixer\..*")


class Evo2(LanguageModel):
    """One layer of Evo 2, a token for every base.

    Letters go in as upper-case bytes, without a token before them. The model is causal: a token knows the
    bases before it and its own, none after it. ``--strand both`` adds what the other strand sees.

    The library puts the model on all GPUs that the process sees, in bfloat16, and computes the input
    projections in FP8 where it finds Transformer Engine; `spec` says which. `to` moves nothing.

    Parameters
    ----------
    model
        The library's ``Evo2``.
    layer
        Of ``model.model.named_modules()``.

    Raises
    ------
    UsageError
        The model has no such layer, or it does not give one vector for each base.

    Notes
    -----
    Method: Brixi et al., bioRxiv 10.1101/2025.02.18.638918 (2025).
    """

    token_bp = 1
    longest: int

    def __init__(self, model: Any, layer: str) -> None:
        super().__init__()
        # no module of this one: it may lie on several devices, each block on its own
        self._model = model
        self._layer = layer
        model.model.eval().requires_grad_(False)
        names = [name for name, _ in model.model.named_modules()]
        if layer not in names:
            near = difflib.get_close_matches(layer, names, n=3)
            raise UsageError(
                "the model has no such layer",
                where="backbone.layer",
                got=layer,
                wanted=f"a name as {' or '.join(near or [LAYER])}",
            )
        config = model.model.config
        self.longest = int(config.max_seqlen)
        self.precision = "fp8" if config.use_fp8_input_projections else "bfloat16"
        tokens = self._tokens(torch.zeros((1, PROBE), dtype=torch.uint8))
        if not isinstance(tokens, Tensor) or tokens.ndim != 3 or tokens.shape[:2] != (1, PROBE):
            raise UsageError(
                "the layer gives other than one vector for each base",
                where="backbone.layer",
                got=layer,
                wanted=f"a layer as {LAYER}",
            )
        self.width = tokens.shape[2]

    def forward(self, codes: Tensor) -> Tensor:
        """Return tokens, bfloat16 [B, L, width], from codes, uint8 [B, L]."""
        tokens: Tensor = self._tokens(codes)
        return tokens.to(codes.device)

    def _tokens(self, codes: Tensor) -> Any:
        letters = torch.tensor(list(BYTES), dtype=torch.int, device=codes.device)
        ids = letters[codes.long()].to(self._model.model.block_idx_to_device[0])
        return self._model(ids, return_embeddings=True, layer_names=[self._layer])[1].get(self._layer)


def build(config: BackboneConfig) -> Evo2:
    """Return the model with its pretrained weights, on the GPUs that this process sees.

    Raises
    ------
    UsageError
        No such model or layer, or a revision beside a folder.
    DataError
        This machine cannot run it; or the checkpoint is not there, damaged, or another model's.
    """
    name = config.model or OFFICIAL
    _require_possible(name, config)
    _require_machine()
    weights = resolve(MODELS[name], config, files=(f"{name}.pt",))
    path = weights.folder / f"{name}.pt"
    state = read_checkpoint(path)
    backbone = Evo2(_load(name, path, state), str(config.layer or LAYER))
    if name in TRAINED:
        backbone.longest = min(backbone.longest, TRAINED[name])
    backbone.spec = {
        "architecture": {"model": name},
        "layer": config.layer or LAYER,
        **identity(weights),
        "precision": backbone.precision,
    }
    return backbone


def _require_possible(name: str, config: BackboneConfig) -> None:
    """Refuse what is no choice of Evo 2's (`UsageError`)."""
    if name not in MODELS:
        raise UsageError(
            "there is no such Evo 2 model", where="backbone.model", got=name, wanted=" or ".join(MODELS)
        )
    if isinstance(config.layer, int):
        raise UsageError(
            "layers of Evo 2 have names", where="backbone.layer", got=str(config.layer), wanted=f"as {LAYER}"
        )
    if config.remote_code:
        raise UsageError(
            "Evo 2 runs no code from the Hub", where="backbone.remote_code", wanted="false", do="leave it out"
        )


def _require_machine() -> None:
    """Refuse a machine that cannot run the library, before it is imported (`DataError`)."""
    present = {"NVIDIA GPU": torch.cuda.is_available()}
    present |= {f"module {name}": find_spec(name) is not None for name in MODULES}
    if lacking := [name for name, there in present.items() if not there]:
        raise _cannot_run(", ".join(f"no {name}" for name in lacking))


def _cannot_run(got: str) -> DataError:
    return DataError(
        "the evo2 backbone needs an NVIDIA GPU, flash-attn and the extra evo2",
        got=got,
        do="pip install 'glm2x[evo2]' flash-attn on a machine with a GPU (Python 3.11 or 3.12); "
        "or use precomputed embeddings: glm2x embed import",
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's tensors, and the bytes in which Transformer Engine keeps its scales.

    Raises
    ------
    DataError
        The file, or the file that such bytes are, is damaged or holds anything else, or a value is no
        finite number. No code in them is ever run.
    """
    state = read_saved(path, where=path, allowed=[io.BytesIO])
    if not isinstance(state, Mapping):
        raise DataError("the file of weights holds other things", where=str(path), wanted="tensors by name")
    scales = _scale_classes()
    for name, value in state.items():
        if not str(name).endswith(EXTRA):
            sound = isinstance(value, Tensor) and not value.is_meta
            sound = sound and (not value.is_floating_point() or bool(torch.isfinite(value).all()))
        elif isinstance(value, io.BytesIO):
            sound = True
            if value.getbuffer().nbytes and scales:  # the library would read it
                read_saved(io.BytesIO(value.getvalue()), where=path, allowed=scales)
        else:  # newer engines unpickle such a tensor; where there is none, the library drops it
            sound = value is None or (isinstance(value, Tensor) and not scales)
        if not sound:
            raise DataError(
                "the checkpoint is not one of Evo 2",
                where=str(path),
                got=f"{name}: {type(value).__name__}",
                wanted="tensors of finite numbers by name",
            )
    return dict(state)


def _scale_classes() -> list[type]:
    """Return the classes in Transformer Engine's files; none where it is not installed."""
    if find_spec("transformer_engine") is None:
        return []
    from transformer_engine.common import recipe

    return [recipe.DelayedScaling, recipe.Format, recipe._FormatHelper]


def _load(name: str, path: Path, state: Mapping[str, Any]) -> Any:
    """Return the library's model with a checkpoint's weights.

    Parameters
    ----------
    state
        What is in it, read safely.
    """
    library = _library()
    # it prints what it does, adds to the classes that files may hold, and warns of bfloat16
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        torch.serialization.safe_globals([io.BytesIO, *_scale_classes()]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            model = library.Evo2(name, local_path=str(path))
        except ImportError as error:
            raise _cannot_run(_in_a_line(error)) from error
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise _not_its_weights(path, _in_a_line(error)) from error
    own = model.model.state_dict()
    left = [name for name in state if name not in own and not name.endswith(EXTRA)]
    if left := [name for name in left if not UNUSED.fullmatch(name)]:
        raise _not_its_weights(path, f"{len(left)} left over: {', '.join(left[:3])}")
    return model


def _not_its_weights(path: Path, got: str) -> DataError:
    return DataError(
        "the weights are not those of this architecture",
        where=str(path),
        got=got,
        wanted="the checkpoint of the model that backbone.model names",
    )


def _library() -> Any:
    """Return the module ``evo2.models``, imported without what importing it leaves behind.

    It opens a file in the working folder, and sends the messages of every library to the terminal.
    """
    with _without_traces():
        try:
            from evo2 import models
        except (ImportError, OSError) as error:
            raise _cannot_run(_in_a_line(error)) from error
    return models


@contextlib.contextmanager
def _without_traces() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            yield
        finally:
            for handler in [h for h in root.handlers if h not in handlers]:
                root.removeHandler(handler)
                handler.close()
            root.setLevel(level)


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
