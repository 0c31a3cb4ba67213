"""What a backbone must hold to, as one call for a package's own tests: ``check_backbone("my-backbone")``."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor

from glm2x.backbones.base import Backbone
from glm2x.backbones.info import BackboneInfo
from glm2x.backbones.language import LanguageModel
from glm2x.backbones.registry import build, build_language_model, get
from glm2x.backbones.tiling import choose_tiling, embed
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError

N = 4
Compute = Callable[[Tensor], Tensor]


def check_backbone(name: str, config: BackboneConfig | None = None, *, window: int = 2_048) -> None:
    """Build a backbone as glm2x does, on the CPU, and try on it what every backbone must hold to.

    - Tokens are float [batch, tokens, width], finite, as the description says; also of a window of N alone.
    - The same input gives the same tokens, and is not changed.
    - A window's tokens do not depend on what else is in the batch, but for rounding.
    - One of the three other bases in the middle of the window changes some token.
    - The spec is JSON, and a model made of it is the same.
    - A trainable one can be built without memory (on torch's device ``meta``), every parameter that is
      trained gets a gradient, and where there are stages, each parameter is in one of them.
    - A frozen one is cut into tiles and read on both strands, and windows may end within a token.

    Parameters
    ----------
    name
        As in a configuration; the package that declares it must be installed.
    config
        Its configuration, such as a folder of small weights; by default its name alone.
    window
        Base pairs, even; what is tried takes a few passes of three such windows.

    Raises
    ------
    AssertionError
        What does not hold, in one sentence.
    UsageError, DataError
        It is not declared, or cannot be built.
    """
    info = get(name)
    told = (info.input, info.output, info.weights, info.licence, info.memory)
    _require(all(told), "a part of its description is empty")
    config = config or BackboneConfig(name=name)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # what holds of random weights holds again
        if info.kind == "trainable":
            _check_trainable(info, config, window)
        else:
            _check_frozen(info, config, window)


def _check_trainable(info: BackboneInfo, config: BackboneConfig, window: int) -> None:
    model = build(info.name, window, config).eval()
    _require(isinstance(model, Backbone), "it is no glm2x.backbones.base.Backbone")
    _check_tokens(model, info, model.width, model.tokens(window), window)
    with torch.device("meta"):
        without_memory = build(info.name, window, config, _as_json(model.spec))
    shapes = {key: value.shape for key, value in without_memory.state_dict().items()}
    _require(
        shapes == {key: value.shape for key, value in model.state_dict().items()},
        "what is built of its spec has other parameters or buffers",
    )
    again = build(info.name, window, config, _as_json(model.spec)).eval()
    again.load_state_dict(model.state_dict())
    codes = _windows(window)
    with torch.no_grad():
        _require(torch.equal(again(codes), model(codes)), "what is built of its spec gives other tokens")
    _check_gradients(model, codes)
    inside = {id(parameter) for stage in model.stages() for parameter in stage.parameters()}
    _require(
        not model.stages() or inside == {id(parameter) for parameter in model.parameters()},
        "a parameter is in none of its stages, so that it cannot be frozen",
    )


def _check_gradients(model: Backbone, codes: Tensor) -> None:
    model.train()
    tokens = model(codes)
    tokens.float().square().sum().backward()
    lacking = [key for key, value in model.named_parameters() if value.requires_grad and value.grad is None]
    _require(not lacking, f"these parameters get no gradient: {', '.join(lacking)}")


def _check_frozen(info: BackboneInfo, config: BackboneConfig, window: int) -> None:
    model = build_language_model(config)
    _require(isinstance(model, LanguageModel), "it is no glm2x.backbones.language.LanguageModel")
    _check_tokens(model, info, model.width, model.tokens(window), window)
    unit, codes = model.token_bp, _windows(window)
    with torch.inference_mode():
        shorter = window - 1
        _require(
            model(codes[:, :shorter]).shape[1] == -(-shorter // unit),
            f"a window of {shorter} bp has other than {-(-shorter // unit)} tokens of {unit} bp",
        )
        whole = window // unit * unit
        tiling = choose_tiling(model, whole, whole // 2 // unit * unit, None)
        tiled = embed(model, codes[:, :whole], tiling, "both")
    _require(tiled.shape[1] == whole // unit, "tiles of both strands have other tokens than the window")
    again = build_language_model(config)
    _require(_as_json(again.spec) == _as_json(model.spec), "built again, it has another spec")
    with torch.inference_mode():
        _require(torch.equal(again(codes), model(codes)), "built again, it gives other tokens")


def _check_tokens(compute: Compute, info: BackboneInfo, width: int, count: int, window: int) -> None:
    """Try what holds for both kinds."""
    _require(info.width in (0, width), f"it is {width} channels wide, and described as {info.width}")
    told = info.tokens_for(window)
    _require(told in (0, count), f"a window of {window} bp has {count} tokens, and {told} in its description")
    codes = _windows(window)
    before = codes.clone()
    with torch.no_grad():
        tokens = compute(codes)
        _require(tokens.is_floating_point(), f"its tokens are {tokens.dtype}, and no floating-point numbers")
        _require(
            tokens.shape == (len(codes), count, width),
            f"its tokens are {list(tokens.shape)}, and not {[len(codes), count, width]}",
        )
        _require(bool(tokens.isfinite().all()), "its tokens are not finite, of a window of N or of another")
        _require(torch.equal(codes, before), "it changes its input")
        _require(torch.equal(compute(codes), tokens), "the same input gives other tokens the second time")
        _require(
            torch.allclose(compute(codes[:1]), tokens[:1], rtol=1e-3, atol=1e-4 * _scale(tokens)),
            "a window alone has other tokens than in a batch",
        )
        _require(_sees_a_base(compute, codes[:1]), "none of the other bases in the middle changes any token")


def _sees_a_base(compute: Compute, codes: Tensor) -> bool:
    """Whether one of the three other bases in the middle of a window changes a token."""
    others = codes.repeat(4, 1)
    others[:, codes.shape[1] // 2] = torch.arange(4, dtype=torch.uint8)
    tokens = compute(others)
    return any(not torch.equal(tokens[0], other) for other in tokens[1:])


def _windows(window: int) -> Tensor:
    """Return a random window, one with some N, and one of N alone: codes, uint8 [3, window]."""
    if window <= 0 or window % 2:
        raise UsageError("a window is an even number of base pairs", got=str(window))
    random = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 4, (3, window), generator=random).to(torch.uint8)
    codes[1, torch.rand(window, generator=random) < 0.1] = N
    codes[2] = N
    return codes


def _scale(tokens: Tensor) -> float:
    return float(tokens.float().abs().max())


def _as_json(spec: object) -> dict[str, object]:
    text = json.dumps(spec, allow_nan=False, sort_keys=True)
    result: dict[str, object] = json.loads(text)
    return result


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
