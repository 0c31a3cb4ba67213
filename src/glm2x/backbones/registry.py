"""What backbones there are, in words and numbers, without importing torch."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from glm2x.backbones.info import BackboneInfo, Package
from glm2x.backbones.packages import Refused, declared, declared_names, find, require_package
from glm2x.errors import DataError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from glm2x.backbones.base import Backbone
    from glm2x.backbones.language import LanguageModel
    from glm2x.config import BackboneConfig


_BACKBONES = (
    BackboneInfo(
        name="onehot",
        kind="trainable",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4",
        output="float32 [batch, window / 256, 48]",
        width=48,
        tokens_for=lambda window: -(-window // 256),
        head="position-pool",
        weights="none: trained from scratch",
        licence="as glm2x",
        memory="under 1 GB: a gene's 700 haplotypes of 64 kb share nearly all that is computed",
        needs=(),
        module="glm2x.backbones.onehot",
        parameters="11 thousand",
    ),
    # Memory of the three below was counted, not measured on a GPU: weights, gradients and Adam's two
    # moments in float32, and what their layers keep for the backward pass of 16 windows (batch_size 8,
    # two haplotypes each). Add what the CUDA libraries and the allocator want.
    BackboneInfo(
        name="enformer",
        kind="trainable",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; 1,154 bp or more",
        output="float32 [batch, 10, 3072]: the 10 bins of 128 bp around the start site",
        width=3072,
        tokens_for=lambda window: 10,
        head="attention-pool",
        weights="EleutherAI/enformer-official-rough, 1 GB",
        licence="CC-BY-4.0",
        memory=(
            "batch_size 8, both haplotypes, 64 kb: 69 GB in 32-true, 37 GB in bf16-mixed; "
            "with activation_checkpointing 26 and 15 GB (counted, not measured on a GPU)"
        ),
        needs=("enformer_pytorch",),
        module="glm2x.backbones.enformer",
        parameters="229.8 million",
        hub=("EleutherAI/enformer-official-rough",),
    ),
    BackboneInfo(
        name="borzoi",
        kind="trainable",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; bins of 32 bp a multiple of 4",
        output="float32 [batch, 10, 1920]: the 10 bins of 32 bp around the start site",
        width=1920,
        tokens_for=lambda window: 10,
        head="attention-pool",
        weights="johahi/borzoi-replicate-0, 0.7 GB",
        licence="CC-BY-4.0",
        memory=(
            "batch_size 8, both haplotypes, 64 kb: 32 GB in 32-true, 20 GB in bf16-mixed; "
            "with activation_checkpointing 12 and 8 GB (counted, not measured on a GPU)"
        ),
        needs=("borzoi_pytorch",),
        module="glm2x.backbones.borzoi",
        parameters="171.3 million",
        hub=("johahi/borzoi-replicate-0",),
    ),
    BackboneInfo(
        name="alphagenome",
        kind="trainable",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; a multiple of 2,048 bp",
        output="float32 [batch, 10, 3072]: the 10 bins of 128 bp around the start site",
        width=3072,
        tokens_for=lambda window: 10,
        head="attention-pool",
        weights="RylieWeaver/alphagenome-pytorch (all folds, converted)",
        licence="non-commercial: the AlphaGenome Model Terms of Google DeepMind",
        memory=(
            "batch_size 8, both haplotypes, 64 kb: 67 GB in 32-true, 40 GB in bf16-mixed; "
            "with activation_checkpointing 29 and 17 GB (counted, not measured on a GPU)"
        ),
        needs=("alphagenome_pt",),
        module="glm2x.backbones.alphagenome",
        parameters="286.5 million",
        hub=("RylieWeaver/alphagenome-pytorch", "v1.0.0/alphagenome_all_folds.safetensors"),
        extra="alphagenome",
    ),
    BackboneInfo(
        name="nucleotide-transformer-v2",
        kind="frozen",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; longer than 12,282 bp in tiles",
        output="float32 [batch, window / 6 rounded up, 1024]: layer 20 of 29, a token every 6 bp",
        width=1024,
        tokens_for=lambda window: -(-window // 6),
        head="tower",
        weights="InstaDeepAI/nucleotide-transformer-v2-500m-multi-species, 2 GB",
        licence="CC BY-NC-SA 4.0: non-commercial",
        memory="1.4 GB of weights in float32, and 0.25 GB for each window of 11 kb (on a CPU)",
        needs=("transformers",),
        module="glm2x.backbones.nucleotide_transformer",
        parameters="339.9 million: the embeddings and 20 layers",
        hub=("InstaDeepAI/nucleotide-transformer-v2-500m-multi-species",),
    ),
    BackboneInfo(
        name="caduceus-ph",
        kind="frozen",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; longer than 131,072 bp in tiles",
        output="float32 [batch, window, 256]: the last hidden state of each base",
        width=256,
        tokens_for=lambda window: window,
        head="tower",
        weights="kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16, 31 MB",
        licence="Apache-2.0",
        memory="a window of 64 kb: 0.4 GB on a CPU beside the program; on a GPU not measured",
        needs=("transformers",),
        module="glm2x.backbones.caduceus",
        parameters="7.7 million",
        hub=("kuleshov-group/caduceus-ph_seqlen-131k_d_model-256_n_layer-16",),
    ),
    BackboneInfo(
        name="evo2",
        kind="frozen",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4; longer than 1,048,576 bp in tiles",
        output=(
            "bfloat16 [batch, window, 4096]: a token for every base, layer blocks.28.mlp.l3; "
            "FP8 projections where Transformer Engine is installed"
        ),
        width=4096,
        tokens_for=lambda window: window,
        head="tower",
        weights="arcinstitute/evo2_7b, 14 GB",
        licence="Apache-2.0",
        memory="64 kb: 50 to 55 GB, a GPU with 80 GB (reported, not measured here)",
        needs=("evo2", "flash_attn_2_cuda"),
        module="glm2x.backbones.evo2",
        parameters="7 billion",
        hub=("arcinstitute/evo2_7b",),
        extra="evo2",
        needs_gpu=True,
        chooses_model=True,
    ),
    BackboneInfo(
        name="huggingface",
        kind="frozen",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4",
        output=(
            "float32 [batch, cells, width]: hidden states on cells of 1 bp (letters, overlapping k-mers), "
            "k bp (k-mers) or 128 bp (tokens of variable length)"
        ),
        width=0,
        tokens_for=lambda window: 0,
        head="tower",
        weights="any on the Hugging Face Hub (--model), or a folder",
        licence="the model's own",
        memory="the model's own",
        needs=("transformers",),
        module="glm2x.backbones.huggingface",
        parameters="the model's own",
        chooses_model=True,
    ),
    BackboneInfo(
        name="kmer",
        kind="frozen",
        input="codes uint8 [batch, window], A C G T N = 0 1 2 3 4",
        output="float32 [batch, window / 6 rounded up, 64]: a fixed random vector for every 6-mer",
        width=64,
        tokens_for=lambda window: -(-window // 6),
        head="tower",
        weights="none: random, the same everywhere; the control that says what pretraining adds",
        licence="as glm2x",
        memory="under 1 GB",
        needs=(),
        module="glm2x.backbones.kmer",
        parameters="none: 4,096 fixed vectors",
    ),
)


def backbones() -> tuple[BackboneInfo, ...]:
    """Return glm2x's own backbones."""
    return _BACKBONES


def foreign() -> tuple[tuple[BackboneInfo, ...], tuple[Refused, ...]]:
    """Return the backbones of other packages that are installed, and what is refused of them."""
    return declared([info.name for info in _BACKBONES])


def get(name: str) -> BackboneInfo:
    """Return the backbone called `name`, of glm2x or of another package.

    Raises
    ------
    UsageError
        No such backbone (the nearest name is given), or several packages have one.
    DataError
        The package that declares it is broken.
    """
    info = _find(name)
    if info is None:
        known = [own.name for own in _BACKBONES] + list(declared_names())
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise UsageError(
            f"no backbone is called {name}",
            wanted=", ".join(known),
            do=f"did you mean {near[0]}?" if near else "glm2x backbones lists them",
        )
    return info


def is_known(name: str) -> bool:
    """Whether glm2x or another package has a backbone called `name`; nothing is imported to say so."""
    return name in declared_names() or any(info.name == name for info in _BACKBONES)


def get_as_made(name: str, made_with: Package | None, where: str) -> BackboneInfo:
    """Return the backbone that a checkpoint or a store was made with.

    Parameters
    ----------
    made_with
        The package that it names; None: glm2x itself.
    where
        The checkpoint or store, for messages.

    Raises
    ------
    UsageError
        See `get`.
    DataError
        It needs a package that is not installed, or is broken.
    """
    require_package(name, _find(name), made_with, where)
    return get(name)


def build(name: str, window: int, config: BackboneConfig, spec: Mapping[str, Any] | None = None) -> Backbone:
    """Import the backbone's module and return the model for windows of `window` bp.

    Parameters
    ----------
    spec
        The `Backbone.spec` of a model that was saved: the architecture is built again as it was, and no
        weights are looked for, since the checkpoint holds them. None: with the official weights, or
        those of ``config.weights``.

    Raises
    ------
    UsageError
        No such backbone, one that is read through precomputed embeddings, or the configuration asks of it
        what it cannot do.
    DataError
        It is another package's, and not as that describes it.
    """
    info = get(name)
    assert info.kind == "trainable", name
    if info.package is not None:
        _require_one_model(info, config)
    model = cast("Backbone", _module(info).build(window, config, spec))
    _require_as_described(info, model, window)
    return model


def build_language_model(config: BackboneConfig) -> LanguageModel:
    """Import a frozen backbone's module and return the model with its weights, in evaluation mode.

    The spec of one of another package holds that package's name and version, too.

    Raises
    ------
    UsageError
        No such backbone, one that is trained and not read through embeddings, or the configuration asks
        of it what it cannot do.
    DataError
        Its weights are not there, damaged or another model's; or this machine lacks what it needs; or it is
        another package's, and not as that describes it.
    """
    info = get(config.name)
    if info.kind != "frozen":
        raise UsageError(
            f"the {info.name} backbone is trained whole, and has no embeddings to be stored",
            wanted=", ".join(other.name for other in _BACKBONES if other.kind == "frozen"),
            do="glm2x train trains it",
        )
    _require_one_model(info, config)
    model = cast("LanguageModel", _module(info).build(config).eval().requires_grad_(False))
    if info.package is not None:
        model.spec = {**model.spec, "package": asdict(info.package)}
    _require_as_described(info, model, model.token_bp)
    return model


def _find(name: str) -> BackboneInfo | None:
    own = next((info for info in _BACKBONES if info.name == name), None)
    return own or find(name)


def _require_one_model(info: BackboneInfo, config: BackboneConfig) -> None:
    """Refuse a choice of model, or of its code, where there is none (`UsageError`)."""
    asked = "remote_code" if config.remote_code else config.model
    may = info.name == "huggingface" or (info.chooses_model and not config.remote_code)
    if asked is not None and not may:
        whose = "has no code but that of" if info.chooses_model else "is one model, whose code comes with"
        raise UsageError(
            f"the {info.name} backbone {whose} {info.package or 'glm2x'}",
            got=asked,
            do="leave it out, or take the backbone huggingface",
        )


def _module(info: BackboneInfo) -> ModuleType:
    """Import what makes a backbone; of another package, whatever that raises is named (`DataError`)."""
    if info.package is None:
        return importlib.import_module(info.module)
    try:
        return importlib.import_module(info.module)
    except Exception as error:
        raise DataError(
            f"the backbone {info.name} of the package {info.package} cannot be imported",
            where=info.module,
            got=f"{type(error).__name__}: {error}",
            do=f"glm2x backbones {info.name} says what this machine lacks for it",
        ) from error


def _require_as_described(info: BackboneInfo, model: Backbone | LanguageModel, window: int) -> None:
    """Refuse a model of another package that is not as the package says (`DataError`)."""
    if info.package is None:
        return
    told = (info.width or model.width, info.tokens_for(window) or model.tokens(window))
    if told != (model.width, model.tokens(window)):
        raise DataError(
            f"the backbone {info.name} is not as its package {info.package} describes it",
            where=f"a window of {window:,} bp",
            got=f"{model.tokens(window)} tokens of {model.width} channels",
            wanted=f"{told[1]} tokens of {told[0]} channels",
            do=f"tell the authors of {info.package.name}: glm2x.backbones.checks finds this",
        )
