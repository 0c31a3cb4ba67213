"""Our Borzoi against the library's own modules on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from borzoi_checkpoints import small_borzoi, write_borzoi
from glm2x.backbones.borzoi import Borzoi, build
from glm2x.config import BackboneConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("borzoi") / "weights"
    write_borzoi(folder)
    return folder


@pytest.fixture
def ours(folder: Path) -> Borzoi:
    return build(512, BackboneConfig(name="borzoi", weights=str(folder))).eval()


def sequences(length: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(0, 5, (count, length), dtype=torch.uint8, generator=generator)


def library_tokens(codes: Tensor) -> Tensor:
    """Return what a library model that has seen no other sequence says, cropped by the library."""
    one_hot = torch.nn.functional.one_hot(codes.long(), 5)[..., :4].float().transpose(1, 2)
    model = small_borzoi(bins_to_return=10)
    return model.final_joined_convs(model.get_embs_after_crop(one_hot)).transpose(1, 2)


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(1024, 512), (512, 1024), (1024, 512, 1024)], ids=str)
def test_windows_of_several_lengths_one_after_the_other(ours: Borzoi, lengths: tuple[int, ...]) -> None:
    for length in lengths:
        codes = sequences(length)
        expected = library_tokens(codes)
        assert expected.std(dim=1).mean() > 1e-2  # bins differ: another crop would show
        torch.testing.assert_close(ours(codes), expected)


@torch.no_grad()
def test_a_window_that_is_no_multiple_of_a_bin(ours: Borzoi) -> None:
    codes = sequences(542)  # 16 bins and 30 bp
    torch.testing.assert_close(ours(codes), library_tokens(codes))


@torch.no_grad()
def test_64_kb(folder: Path) -> None:
    """2,000 bins: fewer than the 6,144 that the checkpoint's own crop asks for."""
    ours = build(64_000, BackboneConfig(name="borzoi", weights=str(folder))).eval()
    codes = sequences(64_000, count=1)
    torch.testing.assert_close(ours(codes), library_tokens(codes))


def test_gradients(ours: Borzoi) -> None:
    codes = sequences(512)
    weight = torch.linspace(-1, 1, 1920)
    (ours(codes) * weight).sum().backward()
    library = small_borzoi(bins_to_return=10)
    one_hot = torch.nn.functional.one_hot(codes.long(), 5)[..., :4].float().transpose(1, 2)
    tokens = library.final_joined_convs(library.get_embs_after_crop(one_hot)).transpose(1, 2)
    (tokens * weight).sum().backward()
    expected = {name: p.grad for name, p in library.named_parameters()}
    assert expected
    assert any(grad.abs().sum() > 0 for name, grad in expected.items() if "to_q" in name)
    for name, parameter in ours.model.named_parameters():
        # sums of the same terms in another order
        assert (parameter.grad - expected[name]).norm() <= 1e-5 * expected[name].norm(), name


@torch.no_grad()
def test_batchnorm_sees_what_it_sees_in_the_library(folder: Path) -> None:
    """In training: the last one the 10 bins that are left, all others whole windows."""
    codes = sequences(1024)
    ours = build(1024, BackboneConfig(name="borzoi", weights=str(folder))).train()
    library = small_borzoi(bins_to_return=10).train()
    for module in (*ours.modules(), *library.modules()):
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    one_hot = torch.nn.functional.one_hot(codes.long(), 5)[..., :4].float().transpose(1, 2)
    expected = library.final_joined_convs(library.get_embs_after_crop(one_hot)).transpose(1, 2)
    torch.testing.assert_close(ours(codes), expected)
    statistics = {name: buffer for name, buffer in library.named_buffers() if "running" in name}
    assert len(statistics) >= 20
    made = dict(ours.model.named_buffers())
    for name, buffer in statistics.items():
        torch.testing.assert_close(made[name], buffer, msg=name)
