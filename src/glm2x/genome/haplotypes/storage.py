"""The variants of a contig on disk: written as they come, read window by window.

``{contig}.columns.npz`` holds the alleles, ``{contig}.npy`` who carries them and ``{contig}.unphased.npy``
who does with unknown phase; docs/formats/cohort.md has their layout. The alleles of a contig are read
whole; the genotypes are mapped into memory, and a window is one stretch of consecutive bytes in them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from glm2x.genome.blocks import CheckedArray, damaged
from glm2x.genome.haplotypes.variants import Alleles, PhasedVariants

Blocks = Callable[[Path], NDArray[np.uint32]]

_COLUMNS_AT_ONCE = 65_536  # before they leave Python objects for arrays
_ARRAYS = {
    "position": np.int64,
    "ref": np.uint8,
    "ref_length": np.uint32,
    "alt": np.uint8,
    "alt_length": np.uint32,
    "unphased": np.int64,
}


class VariantsWriter:
    """Writes the columns of one contig in ascending order; little stays in memory but their alleles.

    Parameters
    ----------
    folder
        Where the three files go.
    contig
        Their name.
    individuals
        How many people there are.
    """

    def __init__(self, folder: Path, contig: str, individuals: int) -> None:
        self._folder = folder
        self._contig = contig
        self._individuals = individuals
        self._bits = _Rows(folder / f"{contig}.npy", -(-2 * individuals // 8))
        self._unphased_bits = _Rows(folder / f"{contig}.unphased.npy", -(-2 * individuals // 8))
        self._open: list[tuple[int, str, str]] = []
        self._unphased: list[int] = []
        self._parts: list[dict[str, NDArray[np.integer]]] = []
        self._count = 0

    def add(
        self,
        position: int,
        ref: str,
        alt: str,
        carried: NDArray[np.bool_],
        unphased: NDArray[np.bool_] | None = None,
    ) -> None:
        """Append one column: who carries it, and who does unphased, bool ``[2 individuals]``."""
        self._open.append((position, ref, alt))
        self._bits.add(carried)
        if unphased is not None:
            self._unphased.append(self._count)
            self._unphased_bits.add(unphased)
        self._count += 1
        if len(self._open) == _COLUMNS_AT_ONCE:
            self._pack()

    def finish(self) -> PhasedVariants:
        """Close the files and return what they hold, mapped into memory."""
        self._pack()
        parts = {name: np.concatenate([part[name] for part in self._parts]) for name in _ARRAYS}
        np.savez_compressed(self._folder / f"{self._contig}.columns.npz", allow_pickle=False, **parts)
        self._bits.finish()
        self._unphased_bits.finish()
        self.close()
        return open_variants_of(self._folder, self._contig, self._individuals)

    def close(self) -> None:
        """Close the files as they are; without `finish` they say that they hold nothing."""
        self._bits.close()
        self._unphased_bits.close()

    def _pack(self) -> None:
        ref = Alleles.of([ref for _, ref, _ in self._open])
        alt = Alleles.of([alt for _, _, alt in self._open])
        part = {
            "position": np.asarray([column[0] for column in self._open]),
            "ref": ref.codes,
            "ref_length": ref.lengths,
            "alt": alt.codes,
            "alt_length": alt.lengths,
            "unphased": np.asarray(self._unphased),
        }
        self._parts.append({name: part[name].astype(kind) for name, kind in _ARRAYS.items()})
        self._open, self._unphased = [], []


class _Rows:
    """A two-dimensional `.npy` of bits that grows row by row."""

    def __init__(self, path: Path, width: int) -> None:
        self._width = width
        self._count = 0
        self._file: IO[bytes] = path.open("wb")
        self._header()

    def add(self, row: NDArray[np.bool_]) -> None:
        self._file.write(np.packbits(row).tobytes())
        self._count += 1

    def finish(self) -> None:
        self._file.seek(0)
        self._header()

    def close(self) -> None:
        self._file.close()

    def _header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so that it can be written over
        shape = {"descr": "|u1", "fortran_order": False, "shape": (self._count, self._width)}
        np.lib.format.write_array_header_1_0(self._file, shape)


def open_variants_of(
    folder: Path, contig: str, individuals: int, blocks: Blocks | None = None
) -> PhasedVariants:
    """Open what a `VariantsWriter` wrote.

    Parameters
    ----------
    blocks
        Gives the checksums of a file's blocks, which are compared when they are read.

    Raises
    ------
    DataError
        A file is missing or damaged, or they do not belong together.
    """
    arrays = _read_arrays(folder / f"{contig}.columns.npz")
    width = -(-2 * individuals // 8)
    count, unphased = len(arrays["position"]), arrays["unphased"]
    return PhasedVariants(
        contig,
        individuals,
        arrays["position"],
        _alleles(arrays["ref"], arrays["ref_length"]),
        _alleles(arrays["alt"], arrays["alt_length"]),
        map_array(folder / f"{contig}.npy", (count, width), blocks),
        unphased,
        map_array(folder / f"{contig}.unphased.npy", (len(unphased), width), blocks),
    )


def map_array(
    path: Path, shape: tuple[int, ...] | None = None, blocks: Blocks | None = None
) -> NDArray[np.uint8]:
    """Map a uint8 array of a cohort into memory; of one dimension where no shape is wanted of it.

    Parameters
    ----------
    blocks
        As of `open_variants_of`.

    Raises
    ------
    DataError
        It is missing, damaged, or of another shape.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise damaged(path, str(error), "an array of numpy's .npy format") from error
    if array.dtype != np.uint8 or (array.ndim != 1 if shape is None else array.shape != shape):
        wanted = "one dimension" if shape is None else f"shape {shape}"
        raise damaged(path, f"{array.dtype}, shape {array.shape}", f"uint8, {wanted}")
    if blocks is None or not array.size:
        return np.asarray(array)
    return CheckedArray.of(np.asarray(array), path, array.offset, blocks(path))


def _read_arrays(path: Path) -> dict[str, NDArray[np.int64]]:
    # read with numpy and not as a table with polars, which does not survive a fork, as a data loader's
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
    except Exception as error:
        raise damaged(path, str(error), f"arrays {', '.join(_ARRAYS)}") from error
    lengths = [len(arrays[name]) for name in ("position", "ref_length", "alt_length")]
    totals = [int(arrays[f"{name}_length"].sum()) for name in ("ref", "alt")]
    if any(arrays[name].dtype != kind for name, kind in _ARRAYS.items()) or len(set(lengths)) > 1:
        raise damaged(path, f"{lengths} positions and alleles", "as many of each")
    if totals != [len(arrays["ref"]), len(arrays["alt"])]:
        raise damaged(path, f"{totals} bases", "as many as the lengths of the alleles say")
    return arrays


def _alleles(codes: NDArray[np.integer], lengths: NDArray[np.integer]) -> Alleles:
    start = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=start[1:])
    return Alleles(codes.astype(np.uint8, copy=False), start)
