"""What one haplotype costs, beside memcpy and beside other ways to it: all in one run, on the demo data.

    python benchmarks/haplotypes.py [--genvarloader PYTHON] [--genes 26]

Microseconds of CPU a haplotype, one thread, the median of five rounds, windows of 64 kb and of 11 kb. "Batch
of 8 people" is 16 haplotypes asked for together, of one gene or each person of any of the genes, into one
buffer that is used again, sorted by gene. Peers: pyfaidx where it is installed (`requirements.txt` beside
this file; glm2x does not need it), and GenVarLoader where PYTHON, of an environment of its own, has it (``pip
install genvarloader``). Whether it makes the same sequences is checked and said.

Ratios are to memcpy from memory that no cache holds. A window's reference is in a cache once a few
haplotypes of its gene have been made, which is why ours can cost less.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.dictionary import HaplotypeDictionary
from glm2x.cohort.sources import CohortSources
from glm2x.genome.sequence import one_hot
from measuring import microseconds
from peers import ConsensusFasta, GenVarLoader, published

WINDOWS = (64_000, 11_000)
BATCHES = (8, 64)
GOALS = {  # microseconds, by window and row
    (64_000, "1"): 20.0,
    (11_000, "1"): 8.0,
    (64_000, "one-hot"): 90.0,
    **{(64_000, f"{batch} {genes}"): 14.0 for batch in BATCHES for genes in ("one", "several")},
    **{(11_000, f"{batch} {genes}"): 8.0 for batch in BATCHES for genes in ("one", "several")},
}
SHAPES = {
    "1": "one at a time",
    **{
        f"{b} {g}": f"batch of {b} people, {g} gene{'s' * (g != 'one')}"
        for b in BATCHES
        for g in ("several", "one")
    },
}


@dataclass
class Table:
    """Rows of one window length, in the order they are printed."""

    window: int
    rows: list[tuple[str, str, float | None]] = field(default_factory=list)  # ours or not, shape; name; cost

    def add(self, name: str, cost: float | None, *, beside: str = "", ours: bool = False) -> None:
        """Add a row: `beside` names the row of ours that does the same work."""
        self.rows.append((f"{'=' if ours else ''}{beside}", name, cost))

    def print(self) -> None:
        """Print the rows with their ratios to memcpy and to ours."""
        limit = next(cost for _, name, cost in self.rows if name.startswith("memcpy") and cost)
        ours = {key[1:]: cost for key, _, cost in self.rows if key.startswith("=")}
        print(f"\n{f'{self.window:,} bp':<52}{'us':>9}{'x memcpy':>10}{'x ours':>9}{'goal':>7}")
        for key, name, cost in self.rows:
            if cost is None:
                print(f"{name:<52}  not installed")
                continue
            same = ours.get(key.removeprefix("="))
            beside = f"{cost / same:9.1f}" if same else f"{'':9}"
            goal = GOALS.get((self.window, key[1:])) if key.startswith("=") else None
            print(f"{name:<52}{cost:9.1f}{cost / limit:10.1f}{beside}{goal or '':>7}")


class Ours:
    """The windows of some genes, and what is asked of them."""

    def __init__(self, cohort: Cohort, genes: list[str], window: int) -> None:
        dictionary = HaplotypeDictionary(cohort, window)
        self.window = window
        self.windows = [dictionary.window_of(gene) for gene in genes]
        self.rows = 2 * len(cohort.individuals)
        self._rng = np.random.default_rng(0)

    def asked(self, count: int, batch: int, genes: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return genes and people asked for at once, int64 ``[count, batch]``: of one gene or of several."""
        gene = self._rng.integers(len(self.windows), size=(count, batch))
        if genes == "one":
            gene[:] = gene[:, :1]
        return gene, self._rng.integers(self.rows // 2, size=(count, batch))

    def one(self, as_one_hot: bool = False) -> float:
        """Return the cost of one haplotype, one call each, at random genes and people."""
        gene, person = self.asked(4_000, 1, "several")
        rows = 2 * person[:, 0] + self._rng.integers(2, size=len(person))
        jobs = [(self.windows[g], row) for g, row in zip(gene[:, 0].tolist(), rows.tolist(), strict=True)]
        out = np.empty(self.window, dtype=np.uint8)
        floats = np.empty((self.window, 4), dtype=np.float32)

        def work(i: int) -> None:
            window, row = jobs[i % len(jobs)]
            window.haplotype(row, out)

        def work_one_hot(i: int) -> None:
            window, row = jobs[i % len(jobs)]
            one_hot(window.haplotype(row, out), floats)

        return microseconds(work_one_hot, 500) if as_one_hot else microseconds(work, 2_000)

    def batch(self, batch: int, genes: str) -> float:
        """Return the cost of one haplotype of a batch, written gene by gene into ``[2 batch, window]``."""
        count = max(2_000 // (2 * batch), 16)
        gene, person = self.asked(count, batch, genes)
        out = np.empty((2 * batch, self.window), dtype=np.uint8)

        def work(i: int) -> None:
            order = np.argsort(gene[i % count], kind="stable")
            asked = gene[i % count][order]
            rows = (2 * person[i % count][order, None] + (0, 1)).reshape(-1)
            ends = 2 * np.append(np.flatnonzero(np.diff(asked)) + 1, batch)
            start = 0
            for end in ends.tolist():
                self.windows[asked[start // 2]].haplotypes(rows[start:end], out[start:end])
                start = end

        return microseconds(work, count) / (2 * batch)


def memcpy(window: int) -> tuple[float, float]:
    """Return the cost of copying a window's bytes, from memory that was not and that was just used."""
    out = np.empty(window, dtype=np.uint8)
    cold: NDArray[np.uint8] = np.ones(
        (256_000_000 // window, window), dtype=np.uint8
    )  # more than caches hold

    def copy_cold(i: int) -> None:
        out[:] = cold[i * 7 % len(cold)]

    def copy_warm(i: int) -> None:
        out[:] = cold[i % 8]

    return microseconds(copy_cold, 2_000), microseconds(copy_warm, 2_000)


def main(python: Path | None, count: int, folder: Path) -> None:
    """Measure everything and print a table for each window length."""
    data = Path(str(resources.files("glm2x.demo") / "data"))
    fasta, vcf = folder / "reference.fa", folder / "genotypes.vcf.gz"
    with gzip.open(data / "reference.fa.gz", "rb") as packed, fasta.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    shutil.copy(data / "genotypes.vcf.gz", vcf)
    pysam.faidx(str(fasta))
    pysam.tabix_index(str(vcf), preset="vcf")
    sources = CohortSources(variants=vcf, expression=data / "expression.bed.gz", reference=fasta)
    build_cohort(sources, folder / "cohort")
    cohort = Cohort.open(folder / "cohort")
    chosen = np.random.default_rng(0).choice(len(cohort.gene_ids), count, replace=False)
    genes = [cohort.genes[i] for i in chosen]
    people = list(cohort.individuals)

    peer = None
    if python is not None:
        peer = GenVarLoader(python, fasta, vcf, genes, people, WINDOWS, (1, *BATCHES), folder)
    files = ConsensusFasta(fasta, vcf, people[:4], folder)
    print(f"{len(genes)} genes, {2 * len(people)} haplotypes each")
    for window in WINDOWS:
        ours = Ours(cohort, [gene.gene for gene in genes], window)
        table = Table(window)
        cold, warm = memcpy(window)
        table.add("memcpy, cold", cold)
        table.add("memcpy, warm", warm)
        table.add("glm2x, one at a time", ours.one(), beside="1", ours=True)
        for shape in list(SHAPES)[1:]:
            batch, which = shape.split()
            table.add(f"glm2x, {SHAPES[shape]}", ours.batch(int(batch), which), beside=shape, ours=True)
        table.add(
            "glm2x, to float32 one-hot in a buffer", ours.one(as_one_hot=True), beside="one-hot", ours=True
        )
        for name, cost in files.costs(genes, window):
            table.add(name, cost, beside="1")
        table.add("the published way, string to float32 one-hot", published(ours.windows), beside="one-hot")
        for store in ("vcf", "svar2"):
            for shape, text in SHAPES.items():
                cost = peer.costs[f"{store} {window}"][shape] if peer else None
                table.add(f"GenVarLoader {store}, {text}", cost, beside=shape)
        table.print()
        snps = np.mean([w.columns.stop - w.columns.start for w in ours.windows])
        print(f"{snps:.0f} SNPs a window")
        for store in ("vcf", "svar2") if peer else ():
            differ, of = peer.differing(store, ours.windows, len(people))
            print(f"GenVarLoader {peer.version} {store}: {differ:,} of {of:,} sequences differ from ours")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--genvarloader", type=Path, metavar="PYTHON", help="a Python that has genvarloader")
    parser.add_argument("--genes", type=int, default=26, help="of the demo's 26")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(given.genvarloader, given.genes, Path(scratch))
