"""`glm2x backbones`: what can turn a window into tokens, and what this machine lacks for it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glm2x import __version__
from glm2x.console import print_json, say, show_table

if TYPE_CHECKING:
    from glm2x.backbones.info import BackboneInfo

_SHOWN = ("kind", "input", "output", "width", "head", "parameters", "memory", "weights", "licence")
_COLUMN = 12
_OWN_PACKAGES = {"flash_attn_2_cuda": "flash-attn"}  # of modules that no extra brings
_WEIGHTS = (".safetensors", ".bin", ".pt")


def backbones(name: str | None = None, /, *, json: bool = False) -> None:
    """List the backbones; with a name, say what it takes, gives and needs, and what this machine lacks.

    Other packages may bring backbones of their own; what is wrong with one of these is said at the end.

    Parameters
    ----------
    name
        Such as onehot.
    json
        Print one JSON document on standard output: backbones, a list of objects with name, kind, input,
        package, output, width, head, parameters, memory, weights, licence and lacks (what is lacking here).
    """
    from glm2x.backbones.registry import backbones as own
    from glm2x.backbones.registry import foreign, get

    if name is None:
        others, refused = foreign()
        infos = (*own(), *others)
    else:
        infos, refused = (get(name),), ()
    if json:
        print_json({"backbones": [_described(info) for info in infos]})
    elif name is None:
        rows = [
            (info.name, info.kind, info.weights + (f" ({info.package})" if info.package else ""))
            for info in infos
        ]
        show_table({"name": "left", "kind": "left", "weights": "left"}, rows)
    else:
        for part, value in _described(infos[0]).items():
            if part != "lacks":
                _show(part, value)
        _show("here", "\n".join(_lacking(infos[0])) or "ready")
    for entry in refused:
        say(f"refused: the backbone {entry.name} of the package {entry.package}: {entry.why}")


def _described(info: BackboneInfo) -> dict[str, Any]:
    package = str(info.package) if info.package else f"glm2x {__version__}"
    parts = {part: getattr(info, part) for part in _SHOWN}
    return {"name": info.name, "package": package, **parts, "lacks": _lacking(info)}


def _lacking(info: BackboneInfo) -> list[str]:
    return [*_modules_lacking(info), *_device_lacking(info), *_weights_lacking(info)]


def _show(label: str, value: object) -> None:
    print(f"{label + ':':<{_COLUMN}}" + str(value).replace("\n", "\n" + " " * _COLUMN))


def _modules_lacking(info: BackboneInfo) -> list[str]:
    """Return what to install, without importing it."""
    lacking = [module for module in info.needs if importlib.util.find_spec(module) is None]
    own = [_OWN_PACKAGES[module] for module in lacking if module in _OWN_PACKAGES]
    others = [module.replace("_", "-") for module in lacking if module not in _OWN_PACKAGES]
    package = info.package.name if info.package else "glm2x"
    wanted = [*([f"'{package}[{info.extra}]'"] if info.extra and others else others), *own]
    return [f"lacks {' and '.join(lacking)}: pip install {' '.join(wanted)}"] if lacking else []


def _device_lacking(info: BackboneInfo) -> list[str]:
    """Return that there is no NVIDIA GPU where one is needed, by what its driver leaves, without torch."""
    there = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    return (
        ["lacks an NVIDIA GPU: or take embeddings made elsewhere, glm2x embed import"]
        if (info.needs_gpu and not there)
        else []
    )


def _weights_lacking(info: BackboneInfo) -> list[str]:
    """Return how to get the official weights, when they are not in the Hub's cache."""
    from glm2x.backbones.hub_cache import cache_folder, cached_snapshot, is_offline

    if not info.hub:
        return []
    snapshot = cached_snapshot(info.hub[0])
    if snapshot is not None and any(p.suffix in _WEIGHTS for p in snapshot.rglob("*")):
        return []
    lacking = [
        f"lacks the weights (not in {cache_folder()}): hf download {' '.join(info.hub)}",
        "or name a folder that holds them: backbone.weights"
        + (", or --weights of glm2x embed plan" if info.kind == "frozen" else ""),
    ]
    offline = "HF_HUB_OFFLINE is set: nothing would be downloaded"
    return [*lacking, offline] if is_offline() else lacking
