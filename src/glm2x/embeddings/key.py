"""What haplotypes and shards are called in an embedding store: by what they hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DIGITS = 32
_BYTES = DIGITS // 2
_NAME = re.compile(f"[0-9a-f]{{{DIGITS}}}")


def sequence_key(codes: NDArray[np.uint8]) -> str:
    """Return the key of a haplotype's window: BLAKE2b with 16 bytes, as 32 hexadecimal digits.

    Parameters
    ----------
    codes
        uint8 [window] (A C G T N = 0 1 2 3 4), read in the gene's direction, as models take it. Equal
        windows have equal keys, whichever gene or person they are of.
    """
    assert codes.dtype == np.uint8
    assert codes.ndim == 1
    return hashlib.blake2b(codes.tobytes(), digest_size=_BYTES).hexdigest()


def shard_name(keys: Sequence[str]) -> str:
    """Return the name of the shard that holds these keys in this order, 32 hexadecimal digits."""
    return hashlib.blake2b("\n".join(keys).encode(), digest_size=_BYTES).hexdigest()


def is_name(text: str) -> bool:
    """Whether a text has the form of a key or of a shard's name: it then is no path either."""
    return _NAME.fullmatch(text) is not None
