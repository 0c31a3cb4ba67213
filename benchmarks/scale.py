"""A cohort far larger than memory should be: built, opened and read in children whose memory is measured.

    python benchmarks/scale.py [--people 20000] [--variants 100000] [--folder FOLDER]

A seeded generator writes a phased BCF: allele counts as neutral evolution has them (a count k as often as
1/k, so that most alleles are rare), alleles independent of each other, on one contig of random letters. A
cohort is built from it without and with the reference, each in a process of its own; then other processes
open them and read the windows of three genes. Printed are wall and CPU time, the peak of resident memory
(limit: 2 GB), and how much of the genotypes was touched beside what the windows hold.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pysam
from numpy.typing import NDArray

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.sources import CohortSources
from measuring import in_child

CONTIG = "1"
SPACING = 500  # bp a variant
WINDOW = 64_000
GENES = 20
READ = ("gene3", "gene10", "gene16")
LIMIT = 2_000_000_000
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
# a genotype is (allele + 1) * 2, and 1 more for the second allele of a phased pair
BOTH_REFERENCE = np.array([2, 3], dtype=np.uint8)


def generate(people: int, variants: int, folder: Path) -> None:
    """Write ``genotypes.bcf``, ``expression.bed`` and ``reference.fa``."""
    rng = np.random.default_rng(0)
    length = variants * SPACING + 2 * WINDOW
    letters = rng.integers(0, 4, length, dtype=np.uint8)
    names = [f"person{i}" for i in range(people)]
    with (folder / "reference.fa").open("wb") as handle:
        text = LETTERS[letters].tobytes()
        handle.write(f">{CONTIG}\n".encode())
        handle.writelines(text[i : i + 60] + b"\n" for i in range(0, length, 60))
    with (folder / "expression.bed").open("w") as handle:
        handle.write("\t".join(["#chr", "start", "end", "gene", "length", "strand", *names]) + "\n")
        for gene in range(GENES):
            site = WINDOW + gene * (length - 2 * WINDOW) // GENES
            place = [CONTIG, str(site), str(site + 1), f"gene{gene}", "1", "+-"[gene % 2]]
            handle.write("\t".join(place + [f"{x:.3f}" for x in rng.normal(size=people)]) + "\n")
    positions = np.sort(rng.choice(length, variants, replace=False))
    _write_bcf(folder / "genotypes.bcf", names, letters, positions, rng)
    pysam.tabix_index(str(folder / "genotypes.bcf"), preset="bcf")


def _write_bcf(
    path: Path,
    names: list[str],
    letters: NDArray[np.uint8],
    positions: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Write one biallelic SNP a position; memory holds one record."""
    header = (
        "##fileformat=VCFv4.2\n"
        '##FILTER=<ID=PASS,Description="All filters passed",IDX=0>\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype",IDX=1>\n'
        f"##contig=<ID={CONTIG},length={len(letters)},IDX=0>\n"
    )
    header += "\t".join(["#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT".replace(" ", "\t"), *names])
    text = header.encode() + b"\n\0"
    haplotypes = 2 * len(names)
    counts = np.exp(rng.random(len(positions)) * np.log(haplotypes)).astype(np.int64)
    reference = np.tile(BOTH_REFERENCE, len(names))
    with pysam.BGZFile(str(path), "wb1") as out:
        out.write(b"BCF\2\2" + struct.pack("<I", len(text)) + text)
        for position, count in zip(positions.tolist(), counts.tolist(), strict=True):
            genotypes = reference.copy()
            carriers = rng.integers(0, haplotypes, count)
            genotypes[carriers] = 4 + carriers % 2
            ref = int(letters[position])
            alt = (ref + 1 + position % 3) % 4
            # contig, POS, length of REF, no QUAL; two alleles, no INFO; one FORMAT field; no ID; no FILTER
            site = struct.pack("<iiiIII", 0, position, 1, 0x7F800001, 2 << 16, 1 << 24 | len(names))
            site += bytes([0x07, 0x17, LETTERS[ref], 0x17, LETTERS[alt], 0x00])
            # FORMAT field 1, of two int8 a person
            content = bytes([0x11, 0x01, 0x21]) + genotypes.tobytes()
            out.write(struct.pack("<II", len(site), len(content)) + site + content)


def build(folder: Path, with_reference: bool) -> dict[str, Any]:
    """Build a cohort; say its size on disk."""
    sources = CohortSources(
        variants=folder / "genotypes.bcf",
        expression=folder / "expression.bed",
        reference=folder / "reference.fa" if with_reference else None,
    )
    out = folder / f"cohort{'-with-reference' * with_reference}"
    build_cohort(sources, out, expression_scale="normalised")
    return {"size": sum(path.stat().st_size for path in out.rglob("*") if path.is_file())}


def read(folder: Path, with_reference: bool) -> dict[str, Any]:
    """Open a cohort and read three genes: dosages or haplotypes; say what was touched of the genotypes."""
    cohort = Cohort.open(folder / f"cohort{'-with-reference' * with_reference}")
    cohort.variants(CONTIG)  # the table of sites, which is small; the bits are only mapped
    before, started = _read_calls(), time.perf_counter()
    columns = 0
    for gene in READ:
        columns += cohort.dosages(gene, WINDOW).dosage.shape[1]
        if with_reference:
            window = HaplotypeDictionary(cohort, WINDOW).window_of(gene)
            for row in range(0, 2 * len(cohort.individuals), 97):
                window.haplotype(row)
    needed = columns * -(-2 * len(cohort.individuals) // 8)
    touched = _mapped(f"/variants/{CONTIG}.npy") + _read_calls() - before
    bits = (cohort.folder / "variants" / f"{CONTIG}.npy").stat().st_size
    return {"seconds": time.perf_counter() - started, "needed": needed, "touched": touched, "bits": bits}


def _read_calls() -> int:
    """Return the bytes that this process has read by system calls."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _mapped(ending: str) -> int:
    """Return the resident bytes of this process's mappings of a file; a page fault brings 64 kB with it."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = line.endswith(ending)
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def _peak() -> int:
    """Return the largest resident memory of this process in bytes; `getrusage` counts its parent's too."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


def main(people: int, variants: int, folder: Path) -> None:
    """Generate, build and read, and print the table."""
    print(
        f"{people:,} people, {variants:,} variants; {len(READ)} genes are read, {WINDOW:,} bp each",
        flush=True,
    )
    made = in_child(__file__, "generate", folder, people, variants)
    size = (folder / "genotypes.bcf").stat().st_size
    print(f"{'':<38}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    _row("generate the BCF", made, f"{size / 1e6:,.0f} MB")
    for name, option in (("without reference", 0), ("with reference", 1)):
        built = in_child(__file__, "build", folder, option)
        _row(f"cohort build, {name}", built, f"{built['size'] / 1e6:,.0f} MB on disk")
        seen = in_child(__file__, "read", folder, option)
        share = f"{seen['touched'] / 1e6:.1f} MB touched of {seen['bits'] / 1e6:,.0f}, the windows hold"
        what = "dosages and haplotypes" if option else "dosages"
        _row(
            f"open, read {what}", seen, f"{seen['seconds']:.2f} s to read; {share} {seen['needed'] / 1e6:.1f}"
        )


def _row(name: str, seen: dict[str, Any], more: str) -> None:
    over = "" if seen["peak"] <= LIMIT else "  OVER THE LIMIT"
    numbers = f"{seen['wall']:>8.1f}{seen['cpu']:>8.1f}{seen['peak'] / 1e6:>9,.0f}"
    print(f"{name:<38}{numbers}  {more}{over}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("generate", "build", "read"):
        work, place, *numbers = sys.argv[1:]
        values = [int(number) for number in numbers]
        if work == "generate":
            generate(values[0], values[1], Path(place))
            answer: dict[str, Any] = {}
        else:
            answer = {"build": build, "read": read}[work](Path(place), bool(values[0]))
        print(json.dumps(answer | {"peak": _peak()}))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
        parser.add_argument("--people", type=int, default=20_000)
        parser.add_argument("--variants", type=int, default=100_000)
        parser.add_argument(
            "--folder", type=Path, help="where to work (default: the system's temporary folder)"
        )
        given = parser.parse_args()
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            main(given.people, given.variants, Path(scratch))
