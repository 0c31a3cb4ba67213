"""Consensus files past the page cache: what goes straight to the disk, and what is done where nothing can."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import Any

import pytest

from glm2x.commands.consensus import consensus
from glm2x.genome.consensus import file as appending
from glm2x.genome.consensus import run as writing

LONG = {"1": 3 * appending.BLOCK + 7, "2": 50, "3": 4 * appending.BLOCK}  # letters


class Case:
    """A folder with contigs that begin anywhere in the file, and variants of two people."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        (folder / "ref.fa").write_text("".join(f">{name}\n{'A' * n}\n" for name, n in LONG.items()))
        (folder / "people.txt").write_text("ann\nbob\n")
        lines = ["##fileformat=VCFv4.2", *(f"##contig=<ID={name}>" for name in LONG)]
        lines.append('##FORMAT=<ID=GT,Number=1,Type=String,Description="x">')
        lines.append("#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT ann bob".replace(" ", "\t"))
        for record in ("1 1 G 1|0 0|0", f"1 {LONG['1']} C 1|1 0|0", "2 50 T 0|1 0|0", "3 9999 C 0|0 1|1"):
            contig, position, alt, ann, bob = record.split()
            lines.append("\t".join([contig, position, ".", "A", alt, ".", ".", ".", "GT", ann, bob]))
        (folder / "x.vcf").write_text("\n".join(lines) + "\n")

    def run(self) -> None:
        consensus(
            reference=self.folder / "ref.fa",
            variants=(self.folder / "x.vcf",),
            individuals=self.folder / "people.txt",
            out=self.out,
        )


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Every whole block goes straight."""
    monkeypatch.setattr(appending, "_LEAST", 1)
    return Case(tmp_path)


def expected(*changed: tuple[str, int, str]) -> bytes:
    """Return a file of the long contigs with some letters changed."""
    text = ""
    for name, length in LONG.items():
        letters = ["A"] * length
        for contig, position, letter in changed:
            if contig == name:
                letters[position - 1] = letter
        bases = "".join(letters)
        text += "\n".join([f">{name}", *(bases[i : i + 60] for i in range(0, length, 60)), ""])
    return text.encode()


def assert_files(case: Case) -> None:
    last = ("1", LONG["1"], "C")
    for name, changed in {
        "ann_allele_1": [("1", 1, "G"), last],
        "ann_allele_2": [last, ("2", 50, "T")],
        "bob_allele_1": [("3", 9999, "C")],
    }.items():
        assert (case.out / f"{name}_forward.fa").read_bytes() == expected(*changed)


def test_whole_blocks_go_past_the_page_cache(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = []
    plain = appending._write

    def look(file: Any, content: Any) -> None:
        if fcntl.fcntl(file, fcntl.F_GETFL) & appending._DIRECT:
            assert content.ctypes.data % appending.BLOCK == file.tell() % appending.BLOCK == 0
            straight.append(len(content) // appending.BLOCK)
        plain(file, content)

    monkeypatch.setattr(appending, "_write", look)
    case.run()
    assert_files(case)
    if not straight:
        pytest.skip("this file system knows no direct writing")
    assert straight == [3] * 8  # four files; contig 2 is shorter than a block, 3 begins within one


@pytest.mark.parametrize("refuses", ["the flag", "the write"])
def test_where_the_file_system_refuses_all_goes_the_usual_way(
    case: Case, monkeypatch: pytest.MonkeyPatch, refuses: str
) -> None:
    real, direct = fcntl.fcntl, 1 << 30  # a flag that no system has
    monkeypatch.setattr(appending, "_DIRECT", direct)
    state = {"direct": False}

    def control(file: Any, command: int, flags: int = 0) -> int:
        if command == fcntl.F_GETFL:
            return real(file, command) | (direct if state["direct"] else 0)
        if flags & direct and refuses == "the flag":
            raise OSError(errno.EINVAL, "Invalid argument")
        state["direct"] = bool(flags & direct)
        return 0

    class Refusing:
        """A file that refuses to be written to directly."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def tell(self) -> int:
            return self.file.tell()

        def write(self, view: memoryview) -> int:
            if state["direct"]:
                raise OSError(errno.EINVAL, "Invalid argument")
            return self.file.write(view)

        def fileno(self) -> int:
            return self.file.fileno()

    monkeypatch.setattr(appending.fcntl, "fcntl", control)
    monkeypatch.setattr(writing, "append", lambda file, content: appending.append(Refusing(file), content))
    case.run()
    assert_files(case)


def test_other_errors_of_writing_are_not_hidden(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    content = appending.aligned_bytes(2 * appending.BLOCK, 0)
    with path.open("rb", buffering=0) as file, pytest.raises(OSError, match=r"not open for writing|Bad file"):
        appending.append(file, content)
