"""One tensor in a file: read without running code, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glm2x.backbones.weights import read_tensor
from glm2x.errors import DataError


def test_a_tensor_is_read_without_its_gradient_and_mapped(tmp_path: Path) -> None:
    value = torch.randn(3, 2, requires_grad=True)
    torch.save(value, tmp_path / "new.pt")
    torch.save(value, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("new.pt", "old.pt"):
        tensor = read_tensor(tmp_path / name)
        assert torch.equal(tensor, value)
        assert not tensor.requires_grad


class _Runs:
    """What a hostile file would have run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code in a file was run",))


@pytest.mark.parametrize(
    ("content", "message", "got"),
    [
        (_Runs(), "the tensor cannot be read", "UnpicklingError"),
        ({"a": torch.ones(1)}, "holds something else", "dict"),
        (torch.ones(2).to_sparse(), "holds something else", "a tensor that is not dense"),
        (torch.ones(1, device="meta"), "holds something else", "a tensor that is not dense"),
        (torch.ones(1).expand(1_000_000), "larger than its file", "[1000000]"),
    ],
)
def test_what_is_no_tensor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, message: str, got: str
) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(DataError, match=message) as caught:
        read_tensor(tmp_path / "file.pt")
    assert got in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_damaged_tensor(tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    torch.save(torch.ones(100), path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="the tensor cannot be read"):
        read_tensor(path)
    with pytest.raises(DataError, match="does not exist"):
        read_tensor(tmp_path / "none.pt")


def test_a_value_that_is_another(tmp_path: Path) -> None:
    """The zip archive has checksums, which torch itself passes over."""
    path = tmp_path / "file.pt"
    torch.save(torch.full((100,), 2.0), path)
    content = bytearray(path.read_bytes())
    at = content.index(torch.full((100,), 2.0).numpy().tobytes()) + 203  # of the 51st value, the last byte
    content[at] ^= 1
    path.write_bytes(content)
    assert not torch.equal(torch.load(path, weights_only=True), torch.full((100,), 2.0))
    with pytest.raises(DataError, match="the tensor cannot be read") as caught:
        read_tensor(path)
    assert "CRC-32" in caught.value.got
