"""Every shipped experiment is read, and says what its name says."""

from __future__ import annotations

import pytest

from glm2x.backbones.registry import get
from glm2x.config import load_config, shipped_names, show_config


def test_there_is_one_for_each_backbone_and_strategy() -> None:
    assert shipped_names() == ["onehot-personal", "onehot-reference", "onehot-reference-then-personal"]


@pytest.mark.parametrize("name", shipped_names())
def test_it_is_what_its_name_says(name: str) -> None:
    config = load_config(name)
    assert name == f"{get(config.backbone.name).name}-{config.strategy}"
    assert show_config(name).startswith("#")
