"""Blocks of a cohort's large arrays are compared when they are first read, and not before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError
from glm2x.files import read_json, write_json
from glm2x.genome.blocks import BLOCK, BLOCKS, read_blocks, write_blocks
from glm2x.genome.haplotypes.storage import map_array

VALUES = np.random.default_rng(0).integers(0, 256, size=4 * BLOCK, dtype=np.uint8)


def saved(folder: Path, values: np.ndarray) -> Path:
    path = folder / "x.npy"
    np.save(path, values)
    write_blocks(folder, ["x.npy"])
    return path


def opened(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    return map_array(path, shape, lambda file: read_blocks(file.parent, file.name))


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_whole_file_reads_as_it_is(tmp_path: Path) -> None:
    array = opened(saved(tmp_path, VALUES))
    assert len(array) == len(VALUES)
    for key in (slice(0, 9), slice(BLOCK - 200, BLOCK + 5), slice(-7, None), slice(9, 2, -3), slice(3, 3), 5):
        assert np.array_equal(array[key], VALUES[key])
        assert type(array[key]) is type(np.asarray(VALUES)[key])
    assert np.array_equal(array[np.array([1, 3 * BLOCK])], VALUES[[1, 3 * BLOCK]])


def test_only_what_is_read_is_compared(tmp_path: Path) -> None:
    path = saved(tmp_path, VALUES)
    flip(path, 2 * BLOCK + 300)  # of the file: in its third block
    array = opened(path)
    header = path.stat().st_size - len(VALUES)
    assert np.array_equal(array[: 2 * BLOCK - header], VALUES[: 2 * BLOCK - header])
    assert np.array_equal(array[3 * BLOCK :], VALUES[3 * BLOCK :])
    for key in (slice(2 * BLOCK - header, 2 * BLOCK - header + 1), slice(None), 7, slice(3 * BLOCK, 0, -1)):
        with pytest.raises(DataError, match="a file of the cohort is damaged") as error:
            array[key]
        assert error.value.where == f"block 2 of {path}, from byte {2 * BLOCK:,}"


def test_a_block_is_compared_once(tmp_path: Path) -> None:
    path = saved(tmp_path, VALUES)
    array = opened(path)
    array[:10]
    with path.open("r+b") as handle:  # the same pages
        handle.seek(200)
        handle.write(b"\0\0\0\0")
    array[:10]
    with pytest.raises(DataError):
        opened(path)[:10]


def test_what_says_how_bytes_are_laid_out_is_compared_when_it_is_opened(tmp_path: Path) -> None:
    """Fortran's order has the same shape, and other values in every row."""
    square = VALUES[: 400 * 400].reshape(400, 400)
    path = saved(tmp_path, square)
    assert np.array_equal(opened(path, square.shape)[3:5], square[3:5])
    content = path.read_bytes()
    assert b"'fortran_order': False, " in content
    path.write_bytes(content.replace(b"'fortran_order': False, ", b"'fortran_order': True , "))
    with pytest.raises(DataError, match="is damaged"):
        opened(path, square.shape)


@pytest.mark.parametrize("fault", ["gone", "none", "of another file", "of another type"])
def test_checksums_that_are_none(tmp_path: Path, fault: str) -> None:
    path = saved(tmp_path, VALUES)
    if fault == "gone":
        (tmp_path / BLOCKS).unlink()
    elif fault == "none":
        np.savez(tmp_path / BLOCKS, y=np.zeros(1))
    else:
        dtype = np.uint32 if fault == "of another file" else np.int64
        np.savez(tmp_path / BLOCKS, **{"x.npy": np.zeros(2 if dtype == np.uint32 else 5, dtype)})
    with pytest.raises(DataError, match="a file of the cohort is damaged"):
        opened(path)


def test_a_cohort_of_an_earlier_version_has_none_and_can_be_read(small) -> None:
    cohort = small.build()
    digest, manifest = cohort.digest, read_json(cohort.folder / "cohort.json")
    assert BLOCKS in manifest
    assert BLOCKS not in manifest["files"]  # so that the digest is the same as before there were any
    (cohort.folder / BLOCKS).unlink()
    with pytest.raises(DataError, match="missing or cut short"):
        Cohort.open(cohort.folder)
    del manifest[BLOCKS]
    write_json(cohort.folder / "cohort.json", manifest, force=True)
    again = Cohort.open(cohort.folder)
    assert again.digest == digest
    again.verify()
    assert len(again.reference("1")) == 32


def test_a_damaged_table_is_told_when_the_cohort_is_opened(small) -> None:
    cohort = small.build()
    flip(cohort.folder / "expression.parquet", 40)
    with pytest.raises(DataError, match="a file of the cohort is damaged") as error:
        Cohort.open(cohort.folder)
    assert error.value.where.endswith("expression.parquet")
