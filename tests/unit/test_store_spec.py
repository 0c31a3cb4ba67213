from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glm2x.embeddings.key import is_name, sequence_key, shard_name
from glm2x.embeddings.spec import StoreSpec
from glm2x.errors import DataError, UsageError
from glm2x.genome.sequence import encode
from small_store import SPEC, key


def test_a_spec_is_read_back_equal() -> None:
    spec = replace(
        SPEC, model={"layer": (1, 2), "architecture": {"width": 4}}, tiling={"tile": 12, "overlap": 6}
    )
    again = StoreSpec.from_json(json.loads(json.dumps(spec.as_json())))
    assert again == spec
    assert again.digest == spec.digest
    assert again.model["layer"] == [1, 2]


def test_every_field_changes_the_digest() -> None:
    changed: list[dict[str, Any]] = [
        {"backbone": "evo2"},
        {"model": {**SPEC.model, "layer": 20}},
        {"window": 58},
        {"token_bp": 3, "rows": 20},
        {"strand": "both"},
        {"tiling": {"tile": 12, "overlap": 6}},
        {"keep": "bins", "dtype": "fp32"},
        {"keep": "mean", "rows": 1, "dtype": "fp32"},
        {"width": 5},
        {"dtype": "fp32"},
        {"device": "cuda"},
    ]
    digests = {SPEC.digest, *(replace(SPEC, **change).digest for change in changed)}
    assert len(digests) == len(changed) + 1


def test_bytes_of_a_haplotype() -> None:
    assert SPEC.bytes_of_one == 10 * 4 * 2
    assert replace(SPEC, dtype="fp32").bytes_of_one == 10 * 4 * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"window": None}, "window: None"),
        ({"window": "60"}, "window: 60"),
        ({"window": 60.0}, "window: 60.0"),
        ({"rows": True}, "rows: True"),
        ({"width": 0}, "width: 0"),
        ({"strand": "forward"}, "strand: forward"),
        ({"dtype": "fp16"}, "dtype: fp16"),
        ({"model": [1]}, "model: [1]"),
        ({"tiling": {"tile": 12}}, "a tiling is a tile and an overlap"),
        ({"tiling": {"tile": 12, "overlap": -1}}, "overlap: -1"),
        ({"keep": "mean", "rows": 1}, "mean in bf16"),
        ({"keep": "bins"}, "bins in bf16"),
        ({"rows": 11}, "11 rows"),
        ({"keep": "mean", "rows": 2, "dtype": "fp32"}, "2 rows"),
        ({"keep": "bins", "rows": 11, "dtype": "fp32"}, "11 rows"),
        ({"colour": "red"}, "colour: red"),
        ({"model": {"layer": float("nan")}}, "not JSON compliant"),
    ],
)
def test_a_spec_that_is_none(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match="the spec of an embedding store is damaged") as caught:
        StoreSpec.from_json({**SPEC.as_json(), **change}, "here/store.json")
    assert said in caught.value.got
    assert caught.value.where == "here/store.json"


@pytest.mark.parametrize("value", [None, [], "spec", 3, {}])
def test_what_is_no_spec_at_all(value: Any) -> None:
    with pytest.raises(DataError, match="the spec of an embedding store is damaged"):
        StoreSpec.from_json(value)


@pytest.mark.parametrize("name", list(SPEC.as_json()))
def test_a_spec_without_a_field(name: str) -> None:
    with pytest.raises(DataError) as caught:
        StoreSpec.from_json({k: v for k, v in SPEC.as_json().items() if k != name})
    assert caught.value.got.startswith(f"{name}: ")


def test_what_is_reduced_is_not_kept_in_bf16() -> None:
    with pytest.raises(UsageError, match="bins and means are kept in fp32 only"):
        replace(SPEC, keep="mean", rows=1)


@pytest.mark.parametrize(
    ("change", "words", "got", "wanted"),
    [
        ({"backbone": "evo2"}, "another backbone", 'backbone: "evo2"', 'backbone: "kmer"'),
        ({"window": 58}, "another window", "window: 58", "window: 60"),
        ({"strand": "both"}, "another choice of strands", 'strand: "both"', 'strand: "gene"'),
        ({"tiling": {"tile": 12, "overlap": 6}}, "another tiling of the window", "tile", "tiling: null"),
        ({"dtype": "fp32"}, "another numeric type", 'dtype: "fp32"', 'dtype: "bf16"'),
        ({"device": "cuda"}, "another kind of device", 'device: "cuda"', 'device: "cpu"'),
        ({"model": {**SPEC.model, "layer": 20}}, "another layer", "model.layer: 20", "model.layer: null"),
        ({"model": {**SPEC.model, "weights": "a/b"}}, "other weights", '"a/b"', '"kmer"'),
        (
            {"model": {**SPEC.model, "architecture": {"k": 5}}},
            r"another model \(architecture.k\)",
            "model.architecture.k: 5",
            "model.architecture.k: 6",
        ),
        ({"model": {**SPEC.model, "new": 1}}, r"another model \(new\)", "model.new: 1", "model.new: nothing"),
        # Python holds these equal, and the digest does not
        ({"model": {**SPEC.model, "architecture": {"k": 6.0}}}, "another model", "6.0", "6"),
    ],
)
def test_the_first_field_that_differs_is_named(
    change: dict[str, Any], words: str, got: str, wanted: str
) -> None:
    with pytest.raises(DataError, match=f"the embedding store was made with {words}") as caught:
        SPEC.require_same(replace(SPEC, **change), "a/store")
    assert got in caught.value.got
    assert caught.value.got.endswith("in the store")
    assert wanted in caught.value.wanted
    assert caught.value.where == "a/store"


def test_equal_specs_are_the_same() -> None:
    SPEC.require_same(StoreSpec.from_json(SPEC.as_json()))


def test_the_key_of_a_sequence() -> None:
    codes = encode("ACGTN")
    assert sequence_key(codes) == hashlib.blake2b(bytes([0, 1, 2, 3, 4]), digest_size=16).hexdigest()
    assert is_name(sequence_key(codes))
    # a view that is not contiguous is the same letters
    assert sequence_key(np.repeat(codes, 2)[::2]) == sequence_key(codes)
    assert sequence_key(codes[::-1]) != sequence_key(codes)
    assert sequence_key(codes[:4]) != sequence_key(codes)


def test_the_name_of_a_shard_is_that_of_its_keys_in_their_order() -> None:
    one, other = key(1), key(2)
    assert is_name(shard_name([one, other]))
    assert (
        len({shard_name([one, other]), shard_name([other, one]), shard_name([one]), shard_name([other])}) == 4
    )


@pytest.mark.parametrize(
    "text", ["", "../" + "a" * 29, "A" * 32, "a" * 31, "a" * 33, "a" * 32 + "\n", "g" * 32]
)
def test_what_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_specs_and_keys_need_no_torch() -> None:
    program = "import sys, glm2x.embeddings.spec, glm2x.embeddings.key; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
