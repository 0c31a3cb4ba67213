"""The reference genome: an indexed FASTA, read as uint8 codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from glm2x.errors import DataError
from glm2x.files import require_file
from glm2x.genome.sequence import encode


class Reference:
    """A FASTA, plain or bgzipped, open for reading.

    Parameters
    ----------
    path
        The FASTA. Its index is made beside it when it is missing.

    Raises
    ------
    DataError
        The file is missing, is not a FASTA, or is compressed with plain gzip.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = require_file(path, kind="reference FASTA")
        self._refuse_plain_gzip()
        try:
            # htslib's own complaints would precede our one message
            verbosity = pysam.set_verbosity(0)
            self._fasta = pysam.FastaFile(str(self.path))
        except (OSError, ValueError) as error:
            raise DataError(
                "the reference FASTA cannot be opened",
                where=str(self.path),
                got=str(error),
                wanted="a FASTA, plain or bgzipped, with an index or in a folder where one can be made",
                do=f"samtools faidx {self.path.name}",
            ) from error
        finally:
            pysam.set_verbosity(verbosity)
        self.lengths: dict[str, int] = dict(zip(self._fasta.references, self._fasta.lengths, strict=True))

    def codes(self, contig: str) -> NDArray[np.uint8]:
        """Return a whole contig as uint8 codes ``[length]``; lower case is read as upper case.

        Raises
        ------
        DataError
            The file ends before the contig does.
        """
        try:
            sequence = self._fasta.fetch(contig)
        except (OSError, ValueError) as error:
            raise self._truncated(contig, str(error)) from error
        if len(sequence) != self.lengths[contig]:
            raise self._truncated(contig, f"{len(sequence):,} bases")
        return encode(sequence)

    def _truncated(self, contig: str, got: str) -> DataError:
        return DataError(
            f"contig {contig} of the reference FASTA is shorter than its index says",
            where=str(self.path),
            got=got,
            wanted=f"{self.lengths[contig]:,} bases",
            do="the file is truncated or the index is another file's: fetch it again, then samtools faidx",
        )

    def _refuse_plain_gzip(self) -> None:
        with self.path.open("rb") as handle:
            head = handle.read(18)
        if head[:2] == b"\x1f\x8b" and head[12:14] != b"BC":
            raise DataError(
                "the reference FASTA is compressed with plain gzip, which has no random access",
                where=str(self.path),
                wanted="bgzip, or no compression",
                do=f"gunzip -c {self.path.name} | bgzip > {self.path.stem}.bgz.fa.gz",
            )
