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


# float32 one-hot rows of each code, and of each two codes as they lie in memory as one uint16: a table of
# 32-byte rows is copied from at the speed at which memory is filled
_ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.zeros((1, 4), dtype=np.float32)])
_TWO_CODES = np.stack(np.meshgrid(range(5), range(5)), axis=-1).reshape(-1, 2).astype(np.uint8)
_ONE_HOT_OF_TWO = np.zeros((int(_TWO_CODES.view(np.uint16).max()) + 1, 8), dtype=np.float32)
_ONE_HOT_OF_TWO[_TWO_CODES.view(np.uint16)[:, 0]] = _ONE_HOT[_TWO_CODES].reshape(-1, 8)


def one_hot(codes: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Return the one-hot of uint8 codes ``[...]``, float32 ``[..., 4]`` in the order A C G T; N is all 0.

    Parameters
    ----------
    codes
        From 0 to 4.
    out
        Written to where it is given, contiguous: a new array costs more than what is put into it.
    """
    assert codes.size == 0 or codes.max() <= N
    if out is None:
        out = np.empty((*codes.shape, 4), dtype=np.float32)
    assert out.flags.c_contiguous
    assert out.shape == (*codes.shape, 4)
    flat, rows = np.ascontiguousarray(codes).reshape(-1), out.reshape(-1, 4)
    even = len(flat) // 2 * 2
    # mode: the default one fills a buffer first
    pairs = flat[:even].view(np.uint16)
    np.take(_ONE_HOT_OF_TWO, pairs, axis=0, out=rows[:even].reshape(-1, 8), mode="clip")
    rows[even:] = _ONE_HOT[flat[even:]]
    return out
