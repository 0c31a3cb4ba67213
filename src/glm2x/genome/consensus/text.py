"""A contig as the bytes of its FASTA record: header and lines of 60 letters, as bcftools writes it."""

from __future__ import annotations

import numpy as np
import pysam

from glm2x.errors import DataError
from glm2x.genome.consensus.file import aligned_bytes
from glm2x.genome.reference.indexed import Reference

LINE = 60
_CHUNK = LINE << 16  # letters read at a time: a whole contig as text would cost three times its length


def text_size(contig: str, length: int) -> int:
    """Return the bytes of a contig's FASTA record."""
    return len(contig) + 2 + length + -(-length // LINE)


class ContigText:
    """One contig's FASTA record, letters and their case as the reference has them.

    Parameters
    ----------
    reference
        The genome.
    contig
        Its name there.
    place
        Where in a file the record will begin, in bytes: see `aligned_bytes`.

    Attributes
    ----------
    length
        In bp.
    bytes
        uint8 ``[text_size(contig, length)]``: the record, with its header and line ends.

    Raises
    ------
    DataError
        The FASTA ends before the contig does.
    """

    def __init__(self, reference: Reference, contig: str, place: int = 0) -> None:
        self.contig = contig
        self.length = reference.lengths[contig]
        header = f">{contig}\n".encode()
        self._start = len(header)
        self.bytes = aligned_bytes(text_size(contig, self.length), place)
        self.bytes[: self._start] = np.frombuffer(header, dtype=np.uint8)
        with reference.open() as fasta:
            for start in range(0, self.length, _CHUNK):
                self._fill(reference, fasta, start)

    def offset(self, position: int) -> int:
        """Return where a base lies in the bytes; `position` is 0-based."""
        return self._start + position + position // LINE

    def letters(self, start: int, end: int) -> str:
        """Return the letters ``[start, end)``, 0-based; the interval lies in the contig."""
        if end == start + 1:
            return chr(int(self.bytes[self.offset(start)]))
        place = np.arange(start, end)
        return str(self.bytes[self._start + place + place // LINE].tobytes(), "ascii")

    def _fill(self, reference: Reference, fasta: pysam.FastaFile, start: int) -> None:
        """Copy one stretch, whose start is a multiple of the line length."""
        end = min(start + _CHUNK, self.length)
        try:
            letters = np.frombuffer(fasta.fetch(self.contig, start, end).encode("ascii"), dtype=np.uint8)
        except (OSError, ValueError) as error:
            raise _truncated(reference, self.contig, str(error)) from error
        if len(letters) != end - start:
            raise _truncated(reference, self.contig, f"{start + len(letters):,} bases")
        lines = len(letters) // LINE
        first = self.offset(start)
        whole = self.bytes[first : first + lines * (LINE + 1)].reshape(lines, LINE + 1)
        whole[:, :LINE] = letters[: lines * LINE].reshape(lines, LINE)
        whole[:, LINE] = ord("\n")
        rest = letters[lines * LINE :]
        if len(rest):
            first += whole.size
            self.bytes[first : first + len(rest)] = rest
            self.bytes[first + len(rest)] = ord("\n")


def _truncated(reference: Reference, contig: str, got: str) -> DataError:
    return DataError(
        f"contig {contig} of the reference FASTA is shorter than its index says",
        where=str(reference.path),
        got=got,
        wanted=f"{reference.lengths[contig]:,} bases",
        do="the file is truncated or the index is another file's: fetch it again, then samtools faidx",
    )
