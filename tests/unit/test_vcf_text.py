"""Lines that htslib would pass over, giving people the genotypes of others."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from glm2x import text
from glm2x.errors import DataError
from glm2x.genome.vcf.lines import refuse_uneven_lines

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n"
RECORD = "1\t2\t.\tA\tG\t.\t.\t.\tGT\t0|1\t1|1\n"


def refuse(folder: Path, content: str | bytes) -> None:
    path = folder / "x.vcf"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    refuse_uneven_lines(path)


@pytest.mark.parametrize("content", [HEADER, HEADER + RECORD * 3, (HEADER + RECORD).replace("\n", "\r\n")])
@pytest.mark.parametrize("size", [7, 100, 1 << 20])
def test_whole_files_pass_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, size: int
) -> None:
    monkeypatch.setattr(text.text_blocks, "__kwdefaults__", {"size": size})
    refuse(tmp_path, content)
    refuse(tmp_path, gzip.compress(content.encode()))


def test_a_bcf_is_let_be(tmp_path: Path) -> None:
    refuse(tmp_path, b"BCF\2\2\0\0")
    refuse(tmp_path, gzip.compress(b"BCF\2\2\0\0"))


@pytest.mark.parametrize(
    ("content", "message", "detail"),
    [
        (HEADER.replace("\tann", "") + RECORD, "another number of columns than its header", "11 columns"),
        (HEADER + RECORD + RECORD[:-5] + "\n", "another number of columns", "10 columns"),
        (HEADER + RECORD + HEADER + RECORD, "header line stands among the records", "bcftools concat"),
        (HEADER + HEADER, "header line stands among the records", "##fileformat"),
        (RECORD, "no #CHROM line", "header"),
        ("##fileformat=VCFv4.2\n", "no #CHROM line", "header"),
        ("", "no #CHROM line", "header"),
        (HEADER + RECORD + "\0\0\0", "is not text", "bytes of zero"),
        (HEADER.encode() + RECORD.encode().replace(b"G", b"\xe9"), "is not text", "UTF-8"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, message: str, detail: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        refuse(tmp_path, content)
    assert detail in str(caught.value)
    assert "x.vcf" in str(caught.value)
