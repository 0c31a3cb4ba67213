from __future__ import annotations

import hashlib
import json
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from glm2x.backbones.kmer import Kmer, build, kmer_vectors
from glm2x.backbones.tiling import Tiling, embed
from glm2x.config import BackboneConfig
from glm2x.errors import UsageError
from glm2x.genome.sequence import encode

MODEL = build(BackboneConfig(name="kmer"))
DIGEST = "336c7414f86405f96d313479efcc70aeffaf6e12e080f1788bc6fd66f06727cd"  # of all vectors, float32


def codes(*sequences: str) -> Tensor:
    return torch.from_numpy(np.stack([encode(sequence) for sequence in sequences]))


def word(kmer: str) -> list[int]:
    """The generator's word of a 6-mer, as signs."""
    number = int("".join(str("ACGT".index(letter)) for letter in kmer), 4)
    bits = int(np.random.Philox(key=20250709).random_raw(4096)[number])
    return [1 if bits >> channel & 1 else -1 for channel in range(64)]


def test_a_token_is_the_signs_of_a_word() -> None:
    assert word("AAAAAA") != word("AAAAAC")
    tokens = MODEL(codes("ACGTACTTTTTT", "GATTACAAAAAA"))
    assert tokens.dtype == torch.float32
    assert tokens.tolist() == [[word("ACGTAC"), word("TTTTTT")], [word("GATTAC"), word("AAAAAA")]]


def test_the_numbers_are_these() -> None:
    """On every machine and with every version: the values of a store depend on them."""
    vectors = kmer_vectors()
    assert vectors.shape == (15_625, 64)
    signs = vectors.reshape(*(5,) * 6, 64)[(slice(4),) * 6].reshape(4096, 64)
    assert set(np.unique(signs)) == {-1, 1}
    assert hashlib.sha256(vectors.astype("<f4").tobytes()).hexdigest() == DIGEST


def test_6_mers_are_as_different_as_random_signs_are() -> None:
    signs = MODEL.vectors.reshape(*(5,) * 6, 64)[(slice(4),) * 6].reshape(4096, 64)
    products = signs @ signs.T / 64 - torch.eye(4096)
    assert products.abs().max() < 0.8
    assert abs(float(products.mean())) < 0.01
    assert float(products.std()) == pytest.approx(1 / 8, rel=0.02)


@pytest.mark.parametrize("stretch", ["NCGTAC", "ACGTAN", "ANGTNC", "NNNNNN"])
def test_n_is_the_mean_of_what_it_can_be(stretch: str) -> None:
    kmers = ["".join(k) for k in product(*("ACGT" if letter == "N" else letter for letter in stretch))]
    assert len(kmers) == 4 ** stretch.count("N")
    vectors = MODEL(codes(*kmers))[:, 0].double().mean(dim=0)
    assert torch.equal(MODEL(codes(stretch))[0, 0].double(), vectors)


def test_the_last_token_counts_what_is_lacking_as_n() -> None:
    tokens = MODEL(codes("ACGTACGT"))
    assert MODEL.tokens(8) == tokens.shape[1] == 2
    assert MODEL.spans(8).tolist() == [[0, 6], [6, 8]]
    assert torch.equal(tokens[0, 1], MODEL(codes("GTNNNN"))[0, 0])


@given(st.text("ACGTN", min_size=1, max_size=60), st.data())
def test_one_base_changes_one_token(sequence: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(sequence) - 1))
    letter = data.draw(st.sampled_from("ACGTN".replace(sequence[place], "")))
    changed = sequence[:place] + letter + sequence[place + 1 :]
    first, second = MODEL(codes(sequence, changed))
    different = (first != second).any(dim=1).nonzero().flatten().tolist()
    assert different == [place // 6]


def test_tiles_change_nothing() -> None:
    window = torch.randint(0, 5, (3, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(embed(MODEL, window, Tiling(24, 6), "gene"), MODEL(window))


def test_tokens_are_exact_in_bfloat16() -> None:
    tokens = MODEL(codes("ACGTACTTTTTTGATTAC"))
    assert torch.equal(tokens.bfloat16().float(), tokens)


def test_its_spec_says_all() -> None:
    architecture = {"k": 6, "width": 64, "seed": 20250709}
    assert json.loads(json.dumps(MODEL.spec)) == {
        **{"architecture": architecture, "layer": None, "weights": None, "revision": None},
        **{"weights_digest": None, "precision": "float32"},
    }
    assert (MODEL.width, MODEL.token_bp, MODEL.longest) == (64, 6, None)
    assert dict(Kmer().state_dict()) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [("weights", "folder"), ("revision", "main"), ("layer", 0), ("model", "x/y"), ("remote_code", True)],
)
def test_there_is_nothing_to_choose(name: str, value: object) -> None:
    config = BackboneConfig(name="kmer", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="kmer backbone is fixed") as error:
        build(config)
    assert (error.value.where, error.value.got) == (f"backbone.{name}", str(value))
