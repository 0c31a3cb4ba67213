from __future__ import annotations

import numpy as np

from glm2x.genome.sequence import complement, decode, encode, reverse_complement


def test_letters_become_codes_whatever_their_case() -> None:
    assert encode("ACGTNacgtnRy-").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 4, 4, 4]
    assert encode(b"AC").dtype == np.uint8


def test_codes_become_upper_case_letters() -> None:
    assert decode(np.array([0, 1, 2, 3, 4], dtype=np.uint8)) == "ACGTN"


def test_the_other_strand() -> None:
    assert decode(reverse_complement(encode("AACGN"))) == "NCGTT"
    assert decode(complement(encode("AACGN"))) == "TTGCN"
