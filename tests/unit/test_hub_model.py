"""Models of transformers made from a folder: what is not fetched, and what is said of what is damaged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from glm2x.backbones.huggingface import HuggingFace, build
from glm2x.config import BackboneConfig
from glm2x.errors import DataError
from language_checkpoints import bpe_tokenizer, letters_tokenizer, write_small


def load(folder: Path) -> HuggingFace:
    return build(BackboneConfig(name="huggingface", weights=str(folder)))


def test_no_kernels_of_the_hub_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package `kernels` is installed, transformers would download compiled code for a Mamba."""
    from transformers.models.mamba import modeling_mamba

    write_small(tmp_path, "mamba", letters_tokenizer())
    hub = ModuleType("kernels")
    hub.get_kernel = lambda name: pytest.fail(f"it fetched {name}")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kernels", hub)
    monkeypatch.setattr(modeling_mamba, "is_kernels_available", lambda: True)
    monkeypatch.setattr(modeling_mamba, "_causal_conv1d_cache", None)
    assert load(tmp_path)(torch.tensor([[0, 1, 2, 3, 3, 2]], dtype=torch.uint8)).shape == (1, 6, 16)
    assert modeling_mamba.is_kernels_available()


def test_a_message_says_what_is_wrong_where_its_first_line_is_empty(tmp_path: Path) -> None:
    """Without its fast form, the tokenizer of this model asks for a library that is not there."""
    write_small(tmp_path, "llama", bpe_tokenizer(metaspace=True))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(DataError, match="no tokenizer that can be read") as error:
        load(tmp_path)
    assert len(error.value.got.split(": ", 1)[1]) > 20


def test_a_panic_in_rust_is_no_traceback(tmp_path: Path) -> None:
    """It is no Exception: nothing but a message is to come of it."""
    write_small(tmp_path, "mamba", letters_tokenizer())
    values = json.loads((tmp_path / "tokenizer.json").read_text())
    values["post_processor"]["special_tokens"] = {}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="no tokenizer that can be read"):
        load(tmp_path)
