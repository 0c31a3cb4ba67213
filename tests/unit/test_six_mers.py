from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from glm2x.backbones.six_mers import NOTHING, VOCABULARY, spell
from glm2x.genome.sequence import encode

# as the official vocab.txt has them, in its order
SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
TOKENS = [*SPECIAL, *("".join(letters) for letters in product("ATCG", repeat=6)), *"ATCGN"]
DNA = st.text("ACGT", min_size=1, max_size=40)


def codes(*sequences: str) -> Tensor:
    return torch.stack([torch.from_numpy(encode(sequence)) for sequence in sequences])


def words(sequence: str) -> list[list[str]]:
    """The tokens of each slot."""
    return [[TOKENS[i] for i in slot if i != NOTHING] for slot in spell(codes(sequence))[0].tolist()]


def test_ids_are_those_of_the_vocabulary() -> None:
    assert len(TOKENS) == VOCABULARY == 4107
    six_mers = codes(*TOKENS[6:4102])
    ids = spell(six_mers)
    assert ids.shape == (4096, 1, 6)
    assert ids.dtype == torch.int64
    assert ids[:, 0, 0].tolist() == list(range(6, 4102))
    assert (ids[..., 1:] == NOTHING).all()
    # CGTTAA: 2 3 1 1 0 0 in base 4, behind six special tokens
    assert spell(codes("CGTTAA"))[0, 0, 0] == 6 + 2 * 1024 + 3 * 256 + 64 + 16


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("ACGTACTTTTTT", [["ACGTAC"], ["TTTTTT"]]),
        ("ACGTACGT", [["ACGTAC"], ["G", "T"]]),
        ("ACGTA", [["A", "C", "G", "T", "A"]]),
        ("G", [["G"]]),
        ("N", [["N"]]),
        ("NNNNNN", [["N"]]),
        ("NNNNNNNN", [["N"], ["N"]]),
        ("NNNNNNNA", [["N"], ["N", "A"]]),
        ("ACGTANACGTAC", [["A", "C", "G", "T", "A", "N"], ["ACGTAC"]]),
        (
            "NCGTACACGTACACNNACNNNNNNAAAAAAC",
            [list("NCGTAC"), ["ACGTAC"], list("ACNNAC"), ["N"], ["A" * 6], ["C"]],
        ),
    ],
)
def test_what_each_slot_is_read_as(sequence: str, expected: list[list[str]]) -> None:
    assert words(sequence) == expected


def test_the_published_window() -> None:
    ids = spell(torch.randint(0, 4, (2, 11_000), dtype=torch.uint8))
    assert ids.shape == (2, 1834, 6)
    assert ((ids != NOTHING).sum((1, 2)) == 1833 + 2).all()


@given(st.lists(st.text("ACGTN", min_size=20, max_size=20), min_size=2, max_size=4))
def test_a_window_is_read_alone(sequences: list[str]) -> None:
    together = spell(codes(*sequences))
    assert torch.equal(together, torch.cat([spell(codes(sequence)) for sequence in sequences]))


@given(DNA)
def test_the_letters_are_all_there(sequence: str) -> None:
    slots = words(sequence)
    assert "".join(word for slot in slots for word in slot) == sequence
    assert all(len(slot) == 1 and len(slot[0]) == 6 for slot in slots[: len(sequence) // 6])


@given(DNA, st.data())
def test_one_base_moves_one_slot(sequence: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(sequence) - 1))
    other = data.draw(st.sampled_from([letter for letter in "ACGTN" if letter != sequence[at]]))
    changed = sequence[:at] + other + sequence[at + 1 :]
    differs = (spell(codes(sequence)) != spell(codes(changed))).any(-1)[0]
    assert differs.nonzero().tolist() == [[at // 6]]
