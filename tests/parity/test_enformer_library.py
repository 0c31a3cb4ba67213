"""Our Enformer beside the library's own trunk on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glm2x.backbones.enformer import Enformer, build
from glm2x.config import BackboneConfig
from s2f_checkpoints import small_enformer, write_enformer


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    return small_enformer()


@pytest.fixture(scope="module")
def folder(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("enformer")
    write_enformer(folder, theirs)
    return folder


def ours(folder: Path, window: int = 64_000) -> Enformer:
    return build(window, BackboneConfig(name="enformer", weights=str(folder))).eval()


def codes(length: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def hot(codes: Tensor) -> Tensor:
    """[B, L, 4], as the library wants it; N is zeros."""
    return torch.eye(5)[codes.long()][..., :4]


# 500 bins; 501, of which the library's own crop would leave 9; 500.5; and a short window
@pytest.mark.parametrize("length", [64_000, 64_128, 64_064, 2_048])
@torch.no_grad()
def test_embeddings_are_the_librarys(folder: Path, theirs: nn.Module, length: int) -> None:
    sequence = codes(length)
    whole = theirs(hot(sequence), return_only_embeddings=True)
    bins = whole.shape[1]
    assert bins == -(-length // 128)
    assert whole.std() > 0.05
    first = (bins - 10) // 2
    torch.testing.assert_close(ours(folder)(sequence), whole[:, first : first + 10], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_shorter_window_after_a_longer_one(folder: Path) -> None:
    model, short = ours(folder), codes(4_096)
    model(codes(8_192))
    assert torch.equal(model(short), ours(folder)(short))


def test_a_training_step_is_the_librarys(folder: Path) -> None:
    """With the library's crop (right for an even number of bins): tokens, gradients, running statistics."""
    theirs, mine = small_enformer(target_length=10).train(), ours(folder).train()
    sequence = codes(2_048, 2)
    results = []
    for model, call in (
        (theirs, lambda: theirs(hot(sequence), return_only_embeddings=True)),
        (mine, lambda: mine(sequence)),
    ):
        torch.manual_seed(0)
        tokens = call()
        (tokens * torch.linspace(-1, 1, tokens.numel()).reshape(tokens.shape)).sum().backward()
        names = [name for name, _ in mine.named_parameters()]
        gradients = {name: p.grad for name, p in model.named_parameters() if name in names}
        statistics = {name: b for name, b in model.named_buffers() if not name.startswith("_trunk.")}
        results.append((tokens, gradients, statistics))
    assert len(results[0][1]) == len(results[1][1]) > 50
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_native_window_has_the_positions_it_was_trained_with(tmp_path: Path) -> None:
    """TensorFlow's gamma features at 1,536 bins, and at no other number."""
    # a head as wide as an official one: the table has 32 features
    theirs = small_enformer(dim=192, heads=1)
    write_enformer(tmp_path, theirs)
    mine = ours(tmp_path)
    # one cheap convolution in the place of stem and tower
    mine.stem = front = nn.Sequential(nn.Conv1d(4, 192, 128, stride=128))
    mine.conv_tower = nn.Sequential()
    attention = [block[0].fn[1] for block in theirs.transformer]
    for bins, tabulated in ((1_536, True), (1_534, False)):
        sequence = codes(128 * bins)
        x = front(hot(sequence).transpose(1, 2)).transpose(1, 2)
        found = mine(sequence)
        for use_table in (True, False) if tabulated else (False,):
            for layer in attention:
                layer.use_tf_gamma = use_table
            middle = theirs.transformer(x)[:, bins // 2 - 5 : bins // 2 + 5]
            close = torch.allclose(found, theirs.final_pointwise(middle), rtol=1e-5, atol=1e-5)
            assert close == (use_table == tabulated)
