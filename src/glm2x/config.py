"""A training configuration: the whole YAML as one typed model, and nothing it does not know.

The defaults are the published ones (bioRxiv 10.1101/2025.07.09.664024): loss, schedule, optimiser,
batches and epochs; the learning rate is that of the Tower (sequence-to-function models: 1e-6).
The keys are those of the command line's contract. An unknown key is an error that names the
nearest known one; the resolved configuration is saved with every run.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from glm2x.errors import UsageError
from glm2x.files import read_text

TargetMode = Literal["log", "residual", "residual-all", "z-score", "inverse-normal"]
RESIDUALS: tuple[TargetMode, ...] = ("residual", "residual-all")
"""Targets with covariates regressed out."""

STANDARDISED: tuple[TargetMode, ...] = ("z-score", "inverse-normal")
"""Targets on a scale of each gene's own, on which the reference sequence has no value."""

Strategy = Literal["reference", "personal", "reference-then-personal"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneConfig(_Strict):
    """What turns a window into tokens or bins. `weights`: null = the official ones; or a folder.

    The last three are of genomic language models. `layer` is the one whose output is taken (null: the
    published one). `model` is the name on the Hub that `huggingface` takes, or which `evo2` (null: 7B).
    `remote_code` lets code run that comes with a model of `huggingface`, which asks for a pinned `revision`.
    """

    name: str
    weights: str | None = None
    revision: str | None = None
    layer: int | str | None = None
    model: str | None = None
    remote_code: bool = False


class HeadConfig(_Strict):
    """What turns tokens or bins into one number. Null = the backbone's own."""

    name: Literal["attention-pool", "position-pool", "tower"] | None = None


class GenesConfig(_Strict):
    """The genes of each kind of phase: `all` (the split's seen genes) or a file with one a line."""

    reference: str = "all"
    personal: str = "all"


class LossConfig(_Strict):
    """The loss of personal phases; reference phases take the same `kind` without a pairwise term.

    `mean_weight` is what the squared error of a gene's mean counts in `mean-difference`, beside the
    differences between people.
    """

    kind: Literal["smooth-l1", "mean-difference"] = "smooth-l1"
    pairwise: Literal["none", "published", "signed-within-gene"] = "published"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.3
    mean_weight: Annotated[float, Field(ge=0)] = 1.0


class PhaseSettings(_Strict):
    """What may differ in the reference phase. Null = as in the personal phase."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    accumulate: Annotated[int, Field(ge=1)] | None = None
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class TrainingConfig(_Strict):
    """How a model is trained.

    `batch: people` computes both haplotypes of every person in a batch, as published;
    `batch: haplotypes` computes each unique haplotype of a batch once. The two differ where BatchNorm
    is trained, whose statistics are then over people or over different haplotypes.
    `batch_size` counts people (with `sampler: gene`, null takes all of a gene's people), of all
    processes together.
    `accumulate` batches make one step of the optimiser: an effective batch of `batch_size` times
    `accumulate`, with a loss averaged over people. What compares people (`pairwise`,
    `mean-difference`) compares those of one batch.
    `activation_checkpointing` computes the trunk's activations a second time instead of keeping them.
    `devices` is how many processes torchrun has started, one a device: `auto` takes any number.
    `learning_rate_rule: times-devices` multiplies the learning rate by that number, as published.
    """

    epochs: Annotated[int, Field(ge=1)] = 40
    batch_size: Annotated[int, Field(ge=1)] | None = 8
    batch: Literal["people", "haplotypes"] = "people"
    accumulate: Annotated[int, Field(ge=1)] = 1
    activation_checkpointing: bool = False
    sampler: Literal["random", "gene"] = "random"
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    gradient_clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    schedule: Literal["published", "constant", "one-cycle"] = "published"
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    learning_rate_rule: Literal["as-given", "times-devices"] = "as-given"
    seed: Annotated[int, Field(ge=0)] = 0
    tensorboard: bool = False
    reference: PhaseSettings = PhaseSettings()


class TrainConfig(_Strict):
    """One run: what is trained, on what, how, and where it is written.

    `embeddings` is the store that holds what a genomic language model makes of the haplotypes.
    `covariates_keep` names the covariates that residuals are taken after (null: all of the cohort's).
    `freeze` leaves the backbone's parameters as they are: of the whole `trunk`, or of all but so many of
    its last stages. The head is always trained.
    """

    cohort: str
    split: str
    backbone: BackboneConfig
    embeddings: str | None = None
    window: Annotated[int, Field(gt=0, multiple_of=2)] = 64_000
    head: HeadConfig = HeadConfig()
    target: TargetMode = "log"
    covariates_keep: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    strategy: Strategy = "reference-then-personal"
    genes: GenesConfig = GenesConfig()
    start_from: str | None = None
    freeze: Literal["trunk"] | Annotated[int, Field(ge=1, strict=True)] | None = None
    haplotypes: Literal["both", 1, 2] = "both"
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    out: str

    @model_validator(mode="after")
    def _only_stores_are_remote(self) -> TrainConfig:
        named = {"cohort": self.cohort, "split": self.split, "out": self.out, "start_from": self.start_from}
        url = next((key for key, value in named.items() if value and "://" in value), None)
        if url is not None:
            raise ValueError(f"a path on this machine as {url}; only embeddings may be a URL")
        return self

    @model_validator(mode="after")
    def _pairs_within_genes(self) -> TrainConfig:
        within = self.loss.pairwise == "signed-within-gene" or self.loss.kind == "mean-difference"
        if within and self.strategy != "reference" and self.training.sampler != "gene":
            signed = self.loss.kind == "smooth-l1"
            name = "pairwise: signed-within-gene" if signed else "kind: mean-difference"
            raise ValueError(
                f"loss {name} compares people within a gene and needs training.sampler: gene "
                "(a random batch of 8 holds 0.13 pairs of one gene)"
            )
        if self.covariates_keep is not None and self.target not in RESIDUALS:
            raise ValueError("covariates_keep goes with target: residual or residual-all")
        if self.target in STANDARDISED and self.strategy != "personal":
            raise ValueError(
                f"target {self.target} has no value for the reference sequence and needs strategy: personal"
            )
        if self.training.batch_size is None and self.training.sampler != "gene":
            raise ValueError("training.batch_size: null (all people of a gene) needs sampler: gene")
        return self


class _UniqueKeys(yaml.SafeLoader):
    """A SafeLoader that takes no key twice, where YAML's own would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration, from a YAML file or a shipped one by name, and apply `key=value` overrides.

    Parameters
    ----------
    path
        A YAML file, or the name of a shipped experiment such as ``onehot-reference-then-personal``.
    overrides
        ``training.epochs=5`` and the like; values are YAML.

    Raises
    ------
    UsageError
        An unknown key (the nearest known one is named), a value that is not allowed, or no YAML.
    DataError
        The file does not exist.
    """
    shipped = str(path) in shipped_names()
    text = _shipped(str(path)) if shipped else read_text(path, kind="configuration")
    try:
        values = _UniqueKeys(text).get_single_data()
    except yaml.YAMLError as error:
        raise UsageError("the configuration is not YAML", where=str(path), got=str(error)) from error
    if not isinstance(values, dict):
        raise UsageError("the configuration holds no keys", where=str(path), wanted="a YAML mapping")
    for override in overrides:
        _apply(values, override)
    return parse_config(values, where=str(path))


def parse_config(values: dict[str, Any], *, where: str) -> TrainConfig:
    """Return the typed configuration of a mapping; `where` is named in errors (`UsageError`)."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise _explain(error, where) from error


def dump_config(config: TrainConfig) -> str:
    """Return the complete, resolved configuration as YAML."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    return text


def shipped_names() -> list[str]:
    """Return the names of the shipped experiments, sorted."""
    folder = resources.files("glm2x") / "configs"
    return sorted(p.name.removesuffix(".yml") for p in folder.iterdir() if p.name.endswith(".yml"))


def _shipped(name: str) -> str:
    return (resources.files("glm2x") / "configs" / f"{name}.yml").read_text()


def show_config(name: str) -> str:
    """Return the YAML of a shipped experiment, comments included (`UsageError` for an unknown one)."""
    if name not in shipped_names():
        raise UsageError(
            f"no shipped experiment is called {name}",
            wanted=", ".join(shipped_names()),
            do=_nearest(name, shipped_names()),
        )
    return _shipped(name)


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one dotted `key=value` in nested mappings, making the mappings on the way."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError("--set takes key=value", got=override, wanted="such as training.epochs=5")
    *path, last = key.strip().split(".")
    for part in path:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {key}: {part} holds no keys of its own", got=override)
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {key}: the value is not YAML", got=text) from error


def _explain(error: ValidationError, where: str) -> UsageError:
    """Turn pydantic's findings into one message; for unknown keys name the nearest known one."""
    first = error.errors()[0]
    key = ".".join(_keys_of(first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        return UsageError(
            f"unknown key {key!r} in the configuration{more}",
            where=where,
            wanted=", ".join(known),
            do=_nearest(str(first["loc"][-1]), known),
        )
    if first["type"] == "missing":
        return UsageError(f"the configuration lacks the key {key!r}{more}", where=where, do=f"add {key}:")
    got = "" if isinstance(first["input"], dict) else repr(first["input"])
    message = first["msg"].removeprefix("Value error, ")
    return UsageError(
        f"the configuration's {key or 'keys'} {'is' if key else 'are'} not allowed{more}",
        where=where,
        got=got,
        wanted=message,
    )


def _keys_of(place: Sequence[int | str]) -> list[str]:
    """Return the keys of a finding's place; what follows names the alternatives of a value's type."""
    keys: list[str] = []
    model: Any = TrainConfig
    for part in place:
        keys.append(str(part))
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            break
        model = fields[part].annotation
        if not hasattr(model, "model_fields"):
            break
    return keys


def _known_keys(path: Sequence[int | str]) -> list[str]:
    """Return the keys that the model at `path` knows."""
    model: type[BaseModel] = TrainConfig
    for part in path:
        model = model.model_fields[str(part)].annotation  # type: ignore[assignment]
    return list(model.model_fields)


def _nearest(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {matches[0]}?" if matches else ""
