"""DNA as uint8 codes: A 0, C 1, G 2, T 3, and N 4 for everything else.

Codes, not one-hot, travel through the whole package: a 64 kb window is 64 kB, and a device makes
its one-hot in place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LETTERS = b"ACGTN"
N = np.uint8(4)

_CODE_OF_BYTE = np.full(256, N, dtype=np.uint8)
for _code, _letter in enumerate(b"ACGT"):
    _CODE_OF_BYTE[_letter] = _code
    _CODE_OF_BYTE[ord(chr(_letter).lower())] = _code
_LETTER_OF_CODE = np.frombuffer(LETTERS, dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)


def encode(sequence: str | bytes) -> NDArray[np.uint8]:
    """Return the codes of a sequence, uint8 ``[length]``; case is ignored, other letters are N."""
    raw = sequence.encode("ascii") if isinstance(sequence, str) else sequence
    return _CODE_OF_BYTE[np.frombuffer(raw, dtype=np.uint8)]


def decode(codes: NDArray[np.uint8]) -> str:
    """Return the upper-case letters of uint8 codes ``[length]``."""
    return _LETTER_OF_CODE[codes].tobytes().decode("ascii")


def complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the complement of each code; the order stays. N stays N."""
    return _COMPLEMENT[codes]


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the other strand of uint8 codes ``[length]``, read in its own direction."""
    return np.ascontiguousarray(_COMPLEMENT[codes[::-1]])
