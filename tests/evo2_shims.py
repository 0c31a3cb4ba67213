"""The real Evo 2 library on a CPU, with a small model: three stand-ins for what needs a GPU.

Run as a program, in a process of its own, since they stay in the modules that the library imported::

    python tests/evo2_shims.py FOLDER

It writes what the tests look at: ``results.json`` and ``tokens.safetensors``. Or::

    python tests/evo2_shims.py --weights WEIGHTS embed plan ... --weights WEIGHTS

It writes random weights where there are none, and runs a command line of glm2x with them.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

LAYER = "blocks.2.mlp.l3"
SMALL = {
    **{"hidden_size": 64, "num_filters": 64, "num_layers": 4, "num_attention_heads": 4, "state_size": 4},
    **{"hcs_layer_idxs": [0], "hcm_layer_idxs": [1], "hcl_layer_idxs": [2], "attn_layer_idxs": [3]},
    **{"hcl_filter_groups": 64, "hcm_filter_groups": 16, "hcs_filter_groups": 16, "hcm_filter_length": 16},
    **{"inner_mlp_size": 96, "max_seqlen": 4096, "use_flash_attn": False},
}
SEQUENCES = ("GATTACAGATTACAGATTACAGATTACA", "GATTACAGATTACCGATTACAGATTNCA")


@contextlib.contextmanager
def stubs() -> Iterator[None]:
    """Stand-ins for modules that the library imports at once, as long as it does."""
    names = [n for n in ("flash_attn_2_cuda", "triton", "triton.language") if n not in sys.modules]
    for name in names:
        module: Any = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.jit = module.heuristics = lambda *a, **k: a[0] if a else lambda function: function
        module.autotune = lambda *a, **k: lambda function: function
        module.constexpr = module.Config = lambda *_, **__: None
        module.dtype = type("dtype", (), {})
        sys.modules[name] = module
    sys.modules["triton"].language = sys.modules["triton.language"]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor, *_: Any, inplace: bool = False, **__: Any) -> Tensor:
    """Rotary positions of x [B, L, heads, width], whose first and second halves turn together."""
    length, half = x.shape[1], cos.shape[1]
    cos, sin = cos[:length, None], sin[:length, None]
    first, second, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    turned = torch.cat([first * cos - second * sin, first * sin + second * cos, rest], dim=-1)
    return x.copy_(turned) if inplace else turned


def shimmed() -> Any:
    """Return the module ``evo2.models``, whose 7B model is now a small one on the CPU."""
    import yaml

    from glm2x.backbones import evo2

    with stubs():
        models = evo2._library()
    evo2._require_machine = lambda: None
    evo2.LAYER = LAYER
    torch.cuda.device = lambda *_: contextlib.nullcontext()  # type: ignore[assignment, misc]
    rotary: Any = sys.modules["vortex.model.rotary"]
    rotary.apply_rotary = apply_rotary
    packaged = Path(models.__file__).parent / models.CONFIG_MAP["evo2_7b"]
    text = yaml.safe_dump(yaml.safe_load(packaged.read_text()) | SMALL)
    models.pkgutil = SimpleNamespace(get_data=lambda *_: text.encode())
    return models


def write_checkpoint(folder: Path, models: Any) -> dict[str, Any]:
    """Write random weights as the official file has them, Transformer Engine's bytes included."""
    import yaml

    config = models.dotdict(yaml.safe_load(models.pkgutil.get_data()) | {"use_fp8_input_projections": False})
    torch.manual_seed(0)
    model = models.StripedHyena(config)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape) * 0.2
        if name.endswith("scale"):
            values += 1
        if name.endswith("log_poles"):
            values = -values.abs() - 0.1
        parameter.data = values.to(parameter.dtype)
    state = dict(model.state_dict())
    for name in [n for n in state if n.endswith("projections.weight")]:
        state[name.replace("weight", "_extra_state")] = io.BytesIO(b"scales")
    state["unembed.weight"] = state["embedding_layer.weight"].clone()
    state["blocks.2.mixer.mixer.filter.t"] = torch.arange(8.0)
    state["blocks.3.mixer.dense._extra_state"] = io.BytesIO(b"scales")
    save(folder, state)
    return state


def save(folder: Path, state: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "evo2_7b.pt")


def main(folder: Path) -> None:
    from glm2x.backbones.evo2 import build
    from glm2x.config import BackboneConfig
    from glm2x.errors import Glm2xError
    from glm2x.genome.sequence import encode

    os.chdir(folder)
    handlers, modules = list(logging.getLogger().handlers), set(sys.modules)
    models = shimmed()
    stubbed = [n for n in ("flash_attn_2_cuda", "triton") if n in set(sys.modules) - modules]
    state = write_checkpoint(folder / "weights", models)
    capture = io.StringIO()
    with contextlib.redirect_stdout(capture):
        model = build(BackboneConfig(name="evo2", weights=str(folder / "weights")))
    allowed = [str(c) for c in torch.serialization.get_safe_globals()]
    codes = torch.from_numpy(np.stack([encode(s) for s in SEQUENCES]))
    whole = model(codes)
    # the library's own model, its own hook, its own tokenizer
    library = models.Evo2("evo2_7b", local_path=str(folder / "weights/evo2_7b.pt"))
    seen: list[Tensor] = []
    library.model.get_submodule(LAYER).register_forward_hook(lambda _, __, output: seen.append(output))
    for text in (*SEQUENCES, SEQUENCES[0].lower()):
        ids = torch.tensor(library.tokenizer.tokenize(text), dtype=torch.int)[None]
        with torch.no_grad():
            library.model(ids)
    tokens = {
        "whole": whole,
        "one": model(codes[:1]),
        "short": model(codes[:, :10]),
        "library": torch.cat(seen[:2]).clone(),
        "lower": seen[2],
    }
    save_file(tokens, folder / "tokens.safetensors")

    def failure(change: dict[str, Any] | None = None, **config: Any) -> list[str]:
        changed = {n: v for n, v in (state | (change or {})).items() if v is not False}
        save(folder / "other", changed)
        try:
            build(BackboneConfig(**{"name": "evo2", "weights": str(folder / "other"), **config}))
        except Glm2xError as error:
            return [type(error).__name__, error.what, error.where, error.got, error.wanted]
        return []

    results = {
        "spec": dict(model.spec),
        "sizes": [model.width, model.token_bp, model.longest, len(list(model.parameters()))],
        "traces": [p.name for p in folder.iterdir() if p.suffix == ".log"],
        "handlers": len(logging.getLogger().handlers) - len(handlers),
        "stubbed": stubbed,
        "printed": capture.getvalue(),
        "allowed": allowed,
        "unknown layer": failure(layer="blocks.2.mlp.l4"),
        "layer without a vector for each base": failure(layer="blocks.3.inner_mha_cls.rotary_emb"),
        "lacking": failure({"blocks.1.mlp.l1.weight": False}),
        "left over": failure({"blocks.9.mlp.l1.weight": torch.zeros(2)}),
        "misshapen": failure({"blocks.1.mlp.l1.weight": torch.zeros(2, 2)}),
    }
    (folder / "results.json").write_text(json.dumps(results))


def command_line(weights: Path, words: list[str]) -> int:
    from glm2x.cli import run

    models = shimmed()
    if not weights.exists():
        write_checkpoint(weights, models)
    return run(words)


if __name__ == "__main__":
    if sys.argv[1] == "--weights":
        sys.exit(command_line(Path(sys.argv[2]), sys.argv[3:]))
    main(Path(sys.argv[1]))
