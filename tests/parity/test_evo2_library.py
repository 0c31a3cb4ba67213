"""Evo 2's adapter against the library itself, on a CPU, with a small model (see `evo2_shims`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

SHIMS = Path(__file__).parents[1] / "evo2_shims.py"
CHANGED = 13  # the first base in which the two sequences differ

Ran = tuple[dict[str, Any], dict[str, Tensor]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """What the program wrote: in a process of its own, for the stand-ins stay in the library."""
    if find_spec("evo2") is None:  # importing it here would fail for want of flash-attn
        pytest.skip("needs the extra evo2 (Python 3.11 or 3.12)")
    folder = tmp_path_factory.mktemp("evo2")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, str(SHIMS), str(folder)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text()), load_file(folder / "tokens.safetensors")


def test_tokens_are_the_layers_output_in_the_library(ran: Ran) -> None:
    """Upper-case letters through the library's tokenizer, one sequence after the other."""
    tokens = ran[1]
    assert (tokens["whole"].dtype, tokens["whole"].shape) == (torch.bfloat16, (2, 28, 64))
    assert tokens["whole"].float().std() > 0.1
    torch.testing.assert_close(tokens["whole"], tokens["library"], rtol=0.02, atol=0.02)
    assert torch.equal(tokens["one"], tokens["library"][:1])


def test_case_matters_to_the_model(ran: Ran) -> None:
    """So that the letters' case is ours to choose, and is the upper one."""
    assert (ran[1]["lower"] - ran[1]["one"]).abs().max() > 0.1


def test_a_token_knows_the_bases_before_it(ran: Ran) -> None:
    first, second = ran[1]["whole"].float()
    torch.testing.assert_close(first[:CHANGED], second[:CHANGED], rtol=0.02, atol=0.02)
    assert (first[CHANGED:] - second[CHANGED:]).abs().amax(dim=1).min() > 0.02
    torch.testing.assert_close(ran[1]["short"][0].float(), first[:10], rtol=0.02, atol=0.02)


def test_its_spec_and_sizes(ran: Ran) -> None:
    spec = ran[0]["spec"]
    assert len(spec.pop("weights_digest")) == 64
    assert spec == {
        **{"architecture": {"model": "evo2_7b"}, "layer": "blocks.2.mlp.l3", "weights": "folder"},
        **{"revision": None, "precision": "bfloat16"},
    }
    assert ran[0]["sizes"] == [64, 1, 4096, 0]


def test_importing_and_loading_leave_nothing_behind(ran: Ran) -> None:
    """No file in the working folder, no handler that prints others' messages, no class allowed for good."""
    results = ran[0]
    assert (results["traces"], results["handlers"], results["printed"], results["stubbed"]) == ([], 0, "", [])
    assert not any("BytesIO" in name for name in results["allowed"])


def test_layers_that_there_are_not(ran: Ran) -> None:
    kind, what, where, got, wanted = ran[0]["unknown layer"]
    assert (kind, what, where) == ("UsageError", "the model has no such layer", "backbone.layer")
    assert got == "blocks.2.mlp.l4"
    assert "blocks.2.mlp.l3" in wanted
    kind, what, where, *_ = ran[0]["layer without a vector for each base"]
    assert (kind, what) == ("UsageError", "the layer gives other than one vector for each base")


@pytest.mark.parametrize(
    ("what", "got"),
    [
        ("lacking", 'Missing key(s) in state_dict: "blocks.1.mlp.l1.weight"'),
        ("left over", "1 left over: blocks.9.mlp.l1.weight"),
        ("misshapen", "size mismatch for blocks.1.mlp.l1.weight"),
    ],
)
def test_other_weights_are_refused(what: str, got: str, ran: Ran) -> None:
    kind, sentence, where, theirs, _ = ran[0][what]
    assert (kind, sentence) == ("DataError", "the weights are not those of this architecture")
    assert where.endswith("evo2_7b.pt")
    assert got in theirs
