"""What a file of predictions says about the predictions in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from glm2x.config import TargetMode
from glm2x.errors import DataError


@dataclass(frozen=True)
class PredictionMetadata:
    """What a file says about the predictions in it; null = it does not say.

    Parameters
    ----------
    target
        A mode of `glm2x.config.TargetMode`.
    window
        Window of the models in bp.
    cohort_digest, split_digest
        SHA-256 identities of the cohort and of the split they were made with.
    glm2x_version
        The version that wrote the file.
    split_family
        Digest of the split's base, which draws of few people share; the split's own where it has none.
    covariates
        Of residuals, the covariates that were regressed out, sorted.
    permuted
        A control: models that were fitted again to permuted people, and the mean over genes of Pearson's
        r in test people, one a permutation.
    checkpoint_digest
        Of a trained model: which checkpoint predicted (`glm2x.training.checkpoint.Checkpoint.digest`).
    """

    target: str | None = None
    window: int | None = None
    cohort_digest: str | None = None
    split_digest: str | None = None
    glm2x_version: str | None = None
    split_family: str | None = None
    covariates: tuple[str, ...] | None = None
    permuted: tuple[tuple[str, tuple[float, ...]], ...] | None = None
    checkpoint_digest: str | None = None

    @property
    def family(self) -> str | None:
        """What tables must share to be evaluated together; files of older versions say their split only."""
        return self.split_family or self.split_digest

    def as_text(self) -> dict[str, str]:
        """Return what it says as texts, for a file's metadata."""
        said = {k: v for k, v in asdict(self).items() if v is not None}
        if self.permuted is not None:
            said["permuted"] = dict(self.permuted)
        return {k: json.dumps(v, allow_nan=False) if k in _JSON else str(v) for k, v in said.items()}

    @classmethod
    def from_text(cls, said: Mapping[str, str], *, where: str) -> PredictionMetadata:
        """Return what `as_text` wrote; other keys are passed over.

        Raises
        ------
        DataError
            A value is not what it should be.
        """
        known = {k: v for k, v in said.items() if k in cls.__dataclass_fields__}
        values: dict[str, Any] = dict(known)
        for key, text in known.items():
            if key in _ALLOWED:
                wanted, parse = _ALLOWED[key]
                values[key] = parse(text)
                if values[key] is None:
                    raise DataError(
                        f"the predictions file says a {key} that cannot be",
                        where=where,
                        got=text[:80],
                        wanted=wanted,
                        do="make the predictions again with this version",
                    )
        return cls(**values)


def _window(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _target(text: str) -> str | None:
    return text if text in get_args(TargetMode) else None


def _covariates(text: str) -> tuple[str, ...] | None:
    names = _json(text)
    named = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
    return tuple(names) if named else None


def _permuted(text: str) -> tuple[tuple[str, tuple[float, ...]], ...] | None:
    models = _json(text)
    if not isinstance(models, dict) or not all(isinstance(means, list) for means in models.values()):
        return None
    correlations = [r for means in models.values() for r in means]
    if not all(isinstance(r, float) and -1 <= r <= 1 for r in correlations):
        return None
    return tuple((model, tuple(means)) for model, means in models.items())


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_DIGITS = 12
_JSON = ("covariates", "permuted")
_ALLOWED: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "target": (", ".join(get_args(TargetMode)), _target),
    "window": ("a number of bp", _window),
    "covariates": ("a list of names", _covariates),
    "permuted": ("lists of correlations by model", _permuted),
}
