from __future__ import annotations

import numpy as np
import pytest

from glm2x.genome.sequence import complement, decode, encode, one_hot, reverse_complement


def test_letters_become_codes_whatever_their_case() -> None:
    assert encode("ACGTNacgtnRy-").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 4, 4, 4]
    assert encode(b"AC").dtype == np.uint8


def test_codes_become_upper_case_letters() -> None:
    assert decode(np.array([0, 1, 2, 3, 4], dtype=np.uint8)) == "ACGTN"


def test_the_other_strand() -> None:
    assert decode(reverse_complement(encode("AACGN"))) == "NCGTT"
    assert decode(complement(encode("AACGN"))) == "TTGCN"


@pytest.mark.parametrize("length", [0, 1, 2, 7, 64])
def test_one_hot_in_the_order_acgt(length: int) -> None:
    codes = np.random.default_rng(length).integers(0, 5, length + 3).astype(np.uint8)
    for part in (codes[:length], codes[1 : length + 1], codes[:length][::-1], codes[: length // 2 * 2 : 2]):
        expected = [[float(code == base) for base in range(4)] for code in part]
        made = one_hot(part)
        assert made.dtype == np.float32
        assert made.tolist() == expected
        out = np.full((len(part), 4), 7, dtype=np.float32)
        assert one_hot(part, out) is out
        assert out.tolist() == expected


def test_one_hot_of_many_sequences() -> None:
    codes = np.array([[0, 4, 2], [3, 1, 4]], dtype=np.uint8)
    assert one_hot(codes).shape == (2, 3, 4)
    assert one_hot(codes)[1].tolist() == one_hot(codes[1]).tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [0] * 4]
    with pytest.raises(AssertionError):
        one_hot(np.array([5], dtype=np.uint8))
