"""What the embeddings in a store were made with: all that changes the numbers, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from glm2x.errors import DataError, UsageError
from glm2x.seal import digest

Keep = Literal["tokens", "bins", "mean"]
Dtype = Literal["bf16", "fp32"]
Device = Literal["cpu", "cuda", "mps"]
BYTES = {"bf16": 2, "fp32": 4}

_Positive = Annotated[int, Field(gt=0)]
_NOTHING = object()

# what a field is called where it differs; those of the model by the path in `StoreSpec.model`
_WORDS = {
    "backbone": "another backbone",
    "window": "another window",
    "token_bp": "tokens of another length",
    "strand": "another choice of strands",
    "tiling": "another tiling of the window",
    "keep": "another choice of what is kept",
    "rows": "another number of rows a haplotype",
    "width": "another width",
    "dtype": "another numeric type",
    "device": "another kind of device",
    "model.layer": "another layer of the model",
    "model.weights": "other weights",
    "model.weights_digest": "other weights",
    "model.revision": "another revision of the weights",
    "model.precision": "another precision of the model",
    "model.package.version": "another version of the backbone's package",
}


@dataclass(frozen=True)
class StoreSpec:
    """What a store holds. Stores whose specs are equal hold the same numbers for the same sequence.

    Attributes
    ----------
    backbone
        Its name, as in the configuration.
    model
        `LanguageModel.spec`: architecture, layer, weights, revision or digest, precision; and of a backbone
        of another package, its name and version. Kept as JSON has it, so that what is read back is equal.
    window
        Base pairs of a haplotype's window.
    token_bp
        Base pairs of a token.
    strand
        ``gene``: in the gene's direction; ``both``: the mean of the two strands.
    tiling
        ``tile`` and ``overlap`` in bp; None: the window goes through whole.
    keep
        Every token; bins, each the mean of neighbouring tokens; or the mean of all.
    rows, width
        Shape of what is stored of a haplotype: tokens, bins or 1; channels.
    dtype
        ``fp32`` for bins and mean: kept in bf16, what one SNP changes in them is mostly rounding.
    device
        The kind that computed it; others round differently.

    Raises
    ------
    UsageError
        Bins or a mean in bf16, rows that do not follow from what is kept, or a tiling that is none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    backbone: str
    model: dict[str, Any]
    window: _Positive
    token_bp: _Positive
    strand: Literal["gene", "both"]
    tiling: dict[str, Annotated[int, Field(ge=0)]] | None
    keep: Keep
    rows: _Positive
    width: _Positive
    dtype: Dtype
    device: Device

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", json.loads(json.dumps(self.model, allow_nan=False)))
        if self.keep != "tokens" and self.dtype == "bf16":
            raise UsageError(
                "bins and means are kept in fp32 only",
                got=f"{self.keep} in bf16",
                wanted=f"{self.keep} in fp32, or tokens in bf16",
                do="in bf16, what one SNP changes in a mean over many tokens is lost to rounding",
            )
        if self.tiling is not None and self.tiling.keys() != {"tile", "overlap"}:
            raise UsageError("a tiling is a tile and an overlap", got=", ".join(self.tiling) or "neither")
        tokens = -(-self.window // self.token_bp)
        least, most = {"tokens": (tokens, tokens), "bins": (1, tokens), "mean": (1, 1)}[self.keep]
        if not least <= self.rows <= most:
            raise UsageError(
                "the rows stored of a haplotype do not follow from what is kept",
                got=f"{self.rows:,} rows",
                wanted=f"{self.keep} of a window of {self.window:,} bp with tokens of {self.token_bp} bp: "
                + (f"{least:,}" if least == most else f"{least:,} to {most:,}"),
            )

    @property
    def bytes_of_one(self) -> int:
        """Bytes of one haplotype's values."""
        return self.rows * self.width * BYTES[self.dtype]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the spec."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Return the spec as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any, where: str = "") -> StoreSpec:
        """Return the spec that `as_json` gave.

        Parameters
        ----------
        where
            The file, for the message.

        Raises
        ------
        DataError
            A field is missing, unknown, of another type, or contradicts another.
        """
        try:
            return TypeAdapter(cls).validate_json(json.dumps(value, allow_nan=False), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or "the spec"
            got = f"{name}: {str(first['input'])[:80]} ({first['msg']})"
        except (UsageError, ValueError, RecursionError) as error:
            got = f"{error.what}: {error.got}" if isinstance(error, UsageError) else str(error)
        raise DataError(
            "the spec of an embedding store is damaged",
            where=where,
            got=got,
            wanted=f"the fields {', '.join(field.name for field in fields(cls))}, as glm2x embed writes them",
            do="restore store.json from a copy",
        )

    def require_same(self, store: StoreSpec, where: str = "") -> None:
        """Compare what is wanted with what a store holds.

        Parameters
        ----------
        store
            The store's spec.
        where
            The store's folder, for the message.

        Raises
        ------
        DataError
            They differ; it names the first field that does.
        """
        differing = _first_difference(self.as_json(), store.as_json())
        if differing is None:
            return
        path, wanted, got = differing
        words = _WORDS.get(path) or f"another model ({path.removeprefix('model.')})"
        raise DataError(
            f"the embedding store was made with {words}",
            where=where,
            got=f"{path}: {_shown(got)[:80]} in the store",
            wanted=f"{path}: {_shown(wanted)[:80]}",
            do="take the store that was made with it, or make another with glm2x embed plan",
        )


def _first_difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Return the path and the values of the first leaf in which two JSON objects differ."""
    for name in [*one, *(name for name in other if name not in one)]:
        first, second = one.get(name, _NOTHING), other.get(name, _NOTHING)
        if isinstance(first, dict) and isinstance(second, dict):
            below = _first_difference(first, second)
            if below is not None:
                return f"{name}.{below[0]}", *below[1:]
        elif _shown(first) != _shown(second):  # 1 is not 1.0 here: the two have other digests
            return name, first, second
    return None


def _shown(value: Any) -> str:
    return "nothing" if value is _NOTHING else json.dumps(value)
