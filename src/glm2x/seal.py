"""JSON objects that say whether they were changed: the digest of a value, as its last key."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from glm2x.errors import DataError
from glm2x.place import Place, place

CHECKSUM = "checksum"  # the last key of the JSON objects that we write
_KIND = "sha256:"  # what its value begins with: another program's file may have such a key, too


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form (sorted keys, no spaces)."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def sealed(value: Any) -> Any:
    """Return a JSON object with the checksum of all else that it holds; other values as they are."""
    if not isinstance(value, dict):
        return value
    kept = {key: item for key, item in value.items() if key != CHECKSUM}
    return {**kept, CHECKSUM: _checksum(json.loads(json.dumps(kept, allow_nan=False)))}


def unsealed(value: Any, path: Place | str) -> Any:
    """Return what `sealed` was given, after its checksum was compared.

    What has none is returned as it is: it was written by hand, by another program or by an earlier version.

    Raises
    ------
    DataError
        The checksum is of something else.
    """
    seals = (key for key in reversed(value) if _is_seal(key, value[key])) if isinstance(value, dict) else ()
    key = next(iter(seals), None)
    if key is None:
        return value
    said, kept = value[key], {name: item for name, item in value.items() if name != key}
    try:
        got = _checksum(kept)
    except (ValueError, RecursionError) as error:  # a number that is not finite
        got = str(error)
    if key != CHECKSUM or got != said:
        name = place(path).name
        raise DataError(
            f"{name} was changed after it was made: its digest is another",
            where=str(path),
            got=got.removeprefix(_KIND)[:12],
            wanted=said.removeprefix(_KIND)[:12],
            do=f"make it again, or restore it from a copy; where {name} was changed on purpose, take its key "
            f"{CHECKSUM} out",
        )
    return kept


def _is_seal(key: str, value: Any) -> bool:
    """Whether a key and its value are a checksum of ours, or were one before a letter of either was lost."""
    if not isinstance(value, str) or len(value) != len(_KIND) + 64:
        return False
    return key == CHECKSUM or value.startswith(_KIND)


def _checksum(value: dict[str, Any]) -> str:
    return _KIND + digest(value)
