"""Make consensus_cases.json: small random genomes and what ``bcftools consensus`` makes of them.

    python tests/golden/make_consensus_cases.py

The oracle for each person and haplotype, all records or only SNPs::

    samtools faidx ref.fa 1 | bcftools consensus -s PERSON -H {h}pIu vcf.gz
    samtools faidx ref.fa 1 | bcftools consensus -s PERSON -H {h}pIu -i 'type="snp"' vcf.gz

Everything is phased. Where glm2x differs from bcftools on purpose (see ``differences`` in the JSON), the
case also holds what bcftools makes of the same records written as glm2x reads them (``read_as``).
Nothing of glm2x is imported.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = 150
COMMAND = "samtools faidx ref.fa 1 | bcftools consensus -s PERSON -H {h}pIu"
PEOPLE = ("ann", "bob")
HEADER = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n"
    '##ALT=<ID=DEL,Description="x">\n##ALT=<ID=*,Description="x">\n'
    '##INFO=<ID=END,Number=1,Type=Integer,Description="x">\n'
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(PEOPLE) + "\n"
)
DIFFERENCES = {
    "haploid": "a haploid call is haplotype 1's (bcftools puts it on both): read_as has 1|. for 1",
    "symbolic": "<DEL> and * are skipped (bcftools deletes what a <DEL> spans): "
    "read_as has the reference allele for them",
    "reference_unknown": "a record whose REF reaches over an N of the FASTA is skipped (bcftools fails): "
    "read_as lacks it",
    "letter_case": "the reference is read in upper case (in lower case, bcftools undoes a SNP or a deletion "
    "before an insertion at the same base): all of read_as is made from the reference in upper case",
}

Record = tuple[int, str, str, str, list[str]]  # 1-based POS, REF, ALT, INFO, genotypes


class Genome:
    """Draws a reference and records that crowd and overlap."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.length = rng.randint(60, 200)
        letters = rng.choices("ACGTacgt", k=self.length)
        for _ in range(rng.choice([0, 0, 1, 2])):
            start = rng.randrange(self.length)
            run = rng.randint(1, 6)
            letters[start : start + run] = "N" * len(letters[start : start + run])
        self.contig = "".join(letters)
        self.haploid = seed % 10 == 3
        self.symbolic = seed % 10 == 6
        self.over_n = seed % 25 == 24
        self.records: list[Record] = []

    def draw(self) -> list[Record]:
        """Return the sorted records; half of the cases put several at each place."""
        rng = self.rng
        places = [rng.randrange(self.length) for _ in range(rng.randint(3, 9))]
        for place in sorted(places):
            motif = rng.choice(
                [
                    *(["snp"], ["snp"], ["mnp"], ["ins"], ["del"], ["complex"], ["mixed"], ["mixed"]),
                    *(["snp", "snp"], ["snp", "ins"], ["snp", "del"], ["ins", "snp"], ["del", "snp"]),
                    *(["ins", "ins"], ["ins", "del"], ["del", "ins"], ["del", "del"], ["mnp", "snp"]),
                    *(["del", "+1 del"], ["del", "+1 ins"], ["del", "+2 snp"], ["del", "+3 ins"]),
                    *(["ins", "+1 snp"], ["ins", "+1 del"], ["mnp", "+1 del"], ["complex", "+2 ins"]),
                ]
            )
            for step in motif:
                shift, _, kind = step.rpartition(" ")
                self._add(place + int(shift or 0), kind)
        if self.over_n and "N" in self.contig:
            at = self.contig.index("N")
            self.records.append((at + 1, "A", "C", ".", ["1|1", "0|0"]))
        if self.symbolic:
            at = rng.randrange(self.length - 5)
            ref = self.contig[at].upper()
            if ref != "N":
                other = "ACGT"["ACGT".index(ref) - 1]
                kind = rng.choice(["<DEL>", "*", f"{other},*", f"*,{other}", f"{ref}{other},*"])
                info = f"END={at + rng.randint(2, 5)}" if kind == "<DEL>" else "."
                alts = kind.count(",") + 1
                self.records.append((at + 1, ref, kind, info, self._genotypes(alts)))
        self.records.sort(key=lambda record: record[0])  # stable: as drawn where they share a place
        return self.records

    def _add(self, place: int, kind: str) -> None:
        rng = self.rng
        span = {"snp": 1, "ins": 1, "mnp": rng.randint(2, 3), "del": rng.randint(2, 6)}.get(kind)
        ref = self.contig[place : place + (span or rng.randint(1, 4))].upper()
        if not ref or "N" in ref:
            return
        kinds = (
            rng.choices(["snp", "ins", "del", "mnp", "complex"], k=rng.randint(2, 3))
            if kind == "mixed"
            else [kind]
        )
        alts: list[str] = []
        for one in kinds:
            alt = self._alternative(ref, one)
            if alt and alt != ref and alt not in alts:
                alts.append(alt)
        if alts:
            self.records.append((place + 1, ref, ",".join(alts), ".", self._genotypes(len(alts))))

    def _alternative(self, ref: str, kind: str) -> str:
        rng = self.rng
        letters = list(ref)
        if kind == "snp":
            at = rng.randrange(len(ref))
            letters[at] = rng.choice(sorted(set("ACGT") - {ref[at]}))
        elif kind == "mnp":
            letters = [rng.choice(sorted(set("ACGT") - {base})) for base in ref]
        elif kind == "ins":
            letters[1:1] = rng.choices("ACGT", k=rng.randint(1, 5))
        elif kind == "del":
            del letters[rng.randint(1, len(letters)) :]
        else:
            letters = rng.choices("ACGT", k=rng.randint(1, 5))
        return "".join(letters)

    def _genotypes(self, alts: int) -> list[str]:
        rng = self.rng
        made = []
        for _ in PEOPLE:
            first, second = (rng.choice([0, *range(1, alts + 1), *range(1, alts + 1)]) for _ in "12")
            shape = rng.random()
            if self.haploid and shape < 0.4:
                made.append(str(first))
            elif shape > 0.94:
                made.append(rng.choice([".|.", f".|{second}", f"{first}|."]))
            else:
                made.append(f"{first}|{second}")
        return made


def lines(records: list[Record]) -> list[str]:
    """Return the records as they stand in a VCF, POS to the last genotype (the rest is always the same)."""
    return [f"{pos}\t{ref}\t{alt}\t{info}\t" + "\t".join(gts) for pos, ref, alt, info, gts in records]


def vcf_text(short: list[str]) -> str:
    """Return the whole VCF of short lines; the JSON says the same as ``line``."""
    split = (line.split("\t", 4) for line in short)
    return HEADER + "".join(f"1\t{p}\t.\t{r}\t{a}\t.\t.\t{i}\tGT\t{g}\n" for p, r, a, i, g in split)


def read_as(contig: str, records: list[Record]) -> list[Record]:
    """Return the records as glm2x reads them, where that is another thing than they say."""
    kept = []
    for pos, ref, alt, info, gts in records:
        there = contig[pos - 1 : pos - 1 + len(ref)].upper()
        if "N" in there:
            continue
        skipped = {str(n) for n, a in enumerate(alt.split(","), 1) if a == "*" or a[0] == "<"}
        pairs = [gt.split("|") if "|" in gt else [gt, "."] for gt in gts]
        kept.append((pos, ref, alt, info, ["|".join("0" if a in skipped else a for a in p) for p in pairs]))
    return kept


def consensus(folder: Path, contig: str, short: list[str], snps: bool) -> dict[str, Any]:
    """Return what bcftools makes of each person's haplotypes, and what it says against it."""
    fasta, vcf = folder / "ref.fa", folder / "people.vcf"
    fasta.write_text(f">1\n{contig}\n")
    vcf.write_text(vcf_text(short))
    packed = Path(f"{vcf}.gz")
    packed.write_bytes(subprocess.run(["bgzip", "-c", vcf], check=True, capture_output=True).stdout)
    subprocess.run(["tabix", "-f", "-p", "vcf", packed], check=True, capture_output=True)
    stretch = subprocess.run(["samtools", "faidx", fasta, "1"], check=True, capture_output=True).stdout
    made: dict[str, Any] = {}
    for person in PEOPLE:
        for haplotype in (1, 2):
            words = ["bcftools", "consensus", "-s", person, "-H", f"{haplotype}pIu"]
            words += ["-i", 'type="snp"'] if snps else []
            done = subprocess.run([*words, packed], check=False, capture_output=True, input=stretch)
            said = done.stderr.decode()
            result: dict[str, Any] = {}
            if done.returncode:
                result["error"] = said.replace("\n", " ").strip()
            else:
                result["sequence"] = "".join(done.stdout.decode().splitlines()[1:])
                if result["sequence"] == contig:
                    result["sequence"] = "="
            skipped = re.findall(r"The site 1:(\d+) overlaps", said)
            if skipped:
                result["skipped"] = [int(position) for position in skipped]
            made[f"{person} {haplotype}"] = (
                result if len(result) > 1 or "error" in result else result["sequence"]
            )
    return made


def make_case(seed: int) -> dict[str, Any]:
    """Return one case: reference, records and what bcftools makes of them."""
    genome = Genome(seed)
    records = genome.draw()
    short = lines(records)
    case: dict[str, Any] = {"seed": seed, "reference": genome.contig, "records": short}
    sides: list[tuple[dict[str, Any], list[str]]] = [(case, short)]
    ours = lines(read_as(genome.contig, records))
    plain: Callable[[str], bool] = lambda line: "<" not in line and "*" not in line  # noqa: E731
    if ours != short or not all(map(plain, short)):
        case["read_as"] = {"records": ours}
        sides.append((case["read_as"], ours))
    with tempfile.TemporaryDirectory() as folder:
        for side, text in sides:
            side["snps"] = consensus(Path(folder), genome.contig, text, snps=True)
            side["all"] = consensus(Path(folder), genome.contig, text, snps=False)
        upper = consensus(Path(folder), genome.contig.upper(), sides[-1][1], snps=False)
    if in_upper_case(upper) != in_upper_case(sides[-1][0]["all"]):
        case.setdefault("read_as", {"records": ours, "snps": case["snps"]})["all"] = upper
    return case


def in_upper_case(results: dict[str, Any]) -> list[str]:
    """Return what bcftools made, in upper case."""
    return [(one if isinstance(one, str) else one.get("sequence", "")).upper() for one in results.values()]


def main() -> None:
    """Write the JSON beside this file."""
    with ThreadPoolExecutor(2) as pool:
        cases = list(pool.map(make_case, range(CASES)))
    version = subprocess.run(["bcftools", "--version"], check=True, capture_output=True, text=True).stdout
    content = {
        "about": "by person and haplotype: the consensus ('=': the reference as it is), or an object where "
        "bcftools failed ('error') or left out a record that overlaps one it had applied ('skipped': POS)",
        "made_by": "tests/golden/make_consensus_cases.py",
        "commands": {
            "all": f"{COMMAND} people.vcf.gz",
            "snps": f"{COMMAND} -i 'type=\"snp\"' people.vcf.gz",
        },
        "version": " ".join(version.splitlines()[:2]),
        "differences": DIFFERENCES,
        "header": HEADER,
        "line": "POS REF ALT INFO GT GT, tab-separated; contig 1; ID, QUAL and FILTER are '.', FORMAT is GT",
        "people": PEOPLE,
        "cases": [],
    }
    text = json.dumps(content, indent=1)
    body = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "consensus_cases.json").write_text(text.removesuffix("[]\n}") + "[\n" + body + "\n]}\n")


if __name__ == "__main__":
    main()
