import pytest
import torch
from glm2x_gc_content.content import gc_content

from glm2x.backbones.checks import check_backbone


@pytest.mark.parametrize("name", ["gc-content", "gc-trained"])
def test_it_is_a_backbone(name: str) -> None:
    check_backbone(name)


def test_gc_content_by_hand() -> None:
    codes = torch.tensor([[1] * 8 + [0] * 24 + [4] * 32 + [2] * 16], dtype=torch.uint8)
    assert gc_content(codes).tolist() == [[0.25, 0.5, 0.75]]
