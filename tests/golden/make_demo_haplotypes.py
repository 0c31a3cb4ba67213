"""Make demo_haplotypes.json: digests of all haplotypes of the demo's genes, by samtools and bcftools alone.

    python tests/golden/make_demo_haplotypes.py

For each person and haplotype one stretch that holds every window is made by the published command
(the JSON quotes it, and the program's version); windows are cut, padded with N and reverse-complemented
here. Nothing of glm2x is imported: what comes out is what it is measured by.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "src/glm2x/demo/data"
FASTA, VCF, BED = (DATA / n for n in ("reference.fa.gz", "genotypes.vcf.gz", "expression.bed.gz"))
CONTIG = "22"
WINDOWS = (11_000, 64_000)
COMMAND = "samtools faidx {fasta} {region} | "
COMMAND += "bcftools consensus -s {person} -H {haplotype}pIu -i 'type=\"snp\"' {vcf}"
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def run(*words: object, given: bytes | None = None) -> bytes:
    """Return what a program prints."""
    return subprocess.run([str(w) for w in words], input=given, check=True, capture_output=True).stdout


def genes() -> list[tuple[str, int, str]]:
    """Return (gene, 0-based TSS, strand) of the phenotype BED."""
    text = gzip.decompress(BED.read_bytes()).decode()
    header, *rows = (line.split("\t") for line in text.splitlines())
    strand = header.index("strand")
    assert {row[0].removeprefix("chr") for row in rows} == {CONTIG}
    return [(row[3], int(row[1]), row[strand]) for row in rows]


def contig_length() -> int:
    """Return the contig's length as the FASTA's index has it."""
    lines = (line.split("\t") for line in Path(f"{FASTA}.fai").read_text().splitlines())
    return next(int(line[1]) for line in lines if line[0] == CONTIG)


def main() -> None:
    """Write the JSON beside this file."""
    places = genes()
    people = run("bcftools", "query", "-l", VCF).decode().split()
    half = max(WINDOWS) // 2
    first = max(min(tss for _, tss, _ in places) - half, 0)
    last = min(max(tss for _, tss, _ in places) + half, contig_length())
    region = f"{CONTIG}:{first + 1}-{last}"  # 1-based, inclusive: [first, last) 0-based
    stretch = run("samtools", "faidx", FASTA, region)

    def consensus(who: tuple[str, int]) -> str:
        words = ("bcftools", "consensus", "-s", who[0], "-H", f"{who[1]}pIu", "-i", 'type="snp"', VCF)
        return "".join(run(*words, given=stretch).decode().splitlines()[1:]).upper()

    digests = {(gene, window): hashlib.sha256() for gene, *_ in places for window in WINDOWS}
    with ThreadPoolExecutor(2) as pool:
        for sequence in pool.map(consensus, [(person, h) for person in people for h in (1, 2)]):
            assert len(sequence) == last - first
            assert not set(sequence) - set("ACGTN")
            for gene, tss, strand in places:
                for window in WINDOWS:
                    start, end = tss - window // 2 - first, tss + window // 2 - first
                    inside = sequence[max(start, 0) : min(end, len(sequence))]
                    cut = "N" * max(-start, 0) + inside + "N" * max(end - len(sequence), 0)
                    assert len(cut) == window
                    if strand == "-":
                        cut = cut[::-1].translate(COMPLEMENT)
                    digests[gene, window].update(cut.encode())
    content = {
        "about": "SHA-256 of the haplotypes of each gene and window, one after another: upper-case letters, "
        "the genotypes' order of people, haplotype 1 before 2, in the gene's direction, "
        "window [tss - window/2, tss + window/2)",
        "made_by": "tests/golden/make_demo_haplotypes.py",
        "command": COMMAND,
        "region": region,
        "version": " ".join(run("bcftools", "--version").decode().splitlines()[:2]),
        "haplotypes": 2 * len(people),
        "digests": {
            gene: {str(window): digests[gene, window].hexdigest() for window in WINDOWS}
            for gene, *_ in places
        },
    }
    (HERE / "demo_haplotypes.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
