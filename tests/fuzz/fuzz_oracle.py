"""What the damaged files say, read by other means than the package's: text and strings, nothing else.

`NonsenseError` is raised where the files say nothing that could be a cohort: then only an error is right.
The rules are those of the published way for SNPs, with the stated differences (N for an unphased
heterozygote, a haploid call on the first haplotype, N of the FASTA opposite a called REF).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fuzz_bcf import bcf_to_text
from fuzz_oracle_tables import NA, NonsenseError, number, plain, read_expression, read_table, text_of, whole

COMPLEMENT = str.maketrans("ACGT", "TGCA")
STAND_INS = ("<NON_REF>", "<*>")


def read_fasta(data: bytes) -> dict[str, str]:
    """Return the sequences of a FASTA, upper case, anything but ACGT as N; the first of two equal names."""
    found: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in plain(data).split(b"\n"):
        line = line.rstrip(b"\r")
        if line.startswith(b">"):
            words = line[1:].split()
            name = words[0].decode("latin-1") if words and not line[1:2].isspace() else ""
            here = [] if name in found else found.setdefault(name, [])
        elif line.strip():
            if here is None:
                raise NonsenseError("sequence before any name")
            letters = line.decode("latin-1")
            if not re.fullmatch(r"[A-Za-z*.-]+", letters):
                raise NonsenseError(f"a line of sequence holds {letters!r}")
            here.append(re.sub("[^ACGT]", "N", letters.upper()))
    if not found:
        raise NonsenseError("no sequence")
    return {name: "".join(parts) for name, parts in found.items()}


class Variants:
    """The records of a VCF's text: people, and what each haplotype of each contig changes."""

    def __init__(self, data: bytes, reference: dict[str, str]) -> None:
        raw = plain(data)
        text = bcf_to_text(raw, NonsenseError) if raw[:3] == b"BCF" else text_of(raw)
        self.reference = reference
        self.contigs: list[str] = []
        self.people: list[str] = []
        self.changes: dict[str, list[dict[int, str]]] = {}
        self._settled: list[int] = []
        self._last: tuple[str, int] = ("", 0)
        if not text.startswith("##fileformat=VCF"):
            raise NonsenseError("no VCF")
        lines = [line.rstrip("\r") for line in text.split("\n")]
        for line in self._records(lines):
            self._add(line)

    def _records(self, lines: list[str]) -> Iterator[list[str]]:
        columns = 0
        for i, line in enumerate(lines):
            if line.startswith("##") and not columns:
                named = re.match(r"##contig=<(?:.*,)?ID=([^,>]+)", line)
                if named:
                    self.contigs.append(named[1])
            elif line.startswith("#") and not columns:
                fields = line.split("\t")
                columns, self.people = len(fields), fields[9:]
                if fields[0] != "#CHROM" or not self.people or len(set(self.people)) < len(self.people):
                    raise NonsenseError("the #CHROM line")
                if "" in self.people:
                    raise NonsenseError("an individual without a name")
            elif line or i < len(lines) - 1:
                fields = line.split("\t")
                if not columns or len(fields) != columns:
                    raise NonsenseError(f"{len(fields)} columns")
                yield fields
        if not columns:
            raise NonsenseError("no #CHROM line")

    def _add(self, fields: list[str]) -> None:
        contig, position, _, ref, alt, *_ = fields
        start = whole(position or "0") - 1  # htslib takes an empty one for 0
        last_contig, last = self._last
        if contig != last_contig:
            if contig in self.changes:
                raise NonsenseError("the contig came before")
            if contig not in self.contigs:
                self.contigs.append(contig)
            self.changes[contig] = [{} for _ in range(2 * len(self.people))]
            self._settled, last = [0] * (2 * len(self.people)), -1
        if start == -1:  # POS 0, the telomere: no base of the contig
            return
        if start < last or start < -1:
            raise NonsenseError("unsorted or before the contig")
        self._last = (contig, start)
        if contig not in self.reference:
            return
        ref = ref.upper()
        alts = alt.upper().split(",")
        real = [a for a in alts if a not in (*STAND_INS, ".")]
        if not real or any(not set(a) <= set("ACGT") or len(a) != len(ref) for a in [ref, *real]):
            return
        if any(sum(x != y for x, y in zip(ref, a, strict=True)) != 1 for a in real):
            return
        there = self.reference[contig][max(start, 0) : start + len(ref)] if start >= 0 else ""
        if len(there) == len(ref) and any(t == "N" for t in there):
            return
        if there != ref:
            raise NonsenseError(f"REF {ref} at {contig}:{position} where the FASTA has {there}")
        self._apply(contig, start, ref, alts, fields)

    def _apply(self, contig: str, start: int, ref: str, alts: list[str], fields: list[str]) -> None:
        keys = fields[8].split(":")
        if "GT" not in keys:
            raise NonsenseError("no GT")
        at = keys.index("GT")
        for person, sample in enumerate(fields[9:]):
            values = sample.split(":")
            call = values[at] if at < len(values) else "."
            match = re.fullmatch(r"(\.|\+?\d+)(?:([|/])(\.|\+?\d+))?", call)
            if not match:
                raise NonsenseError(f"genotype {call!r}")
            first, separator, second = match.groups()
            pair = [self._bases(ref, alts, allele) for allele in (first, second or ".")]
            if separator == "/" and first != second and any(allele is not None for allele in pair):
                pair = [self._mixed(ref, pair)] * 2
            for h, changed in enumerate(pair):
                row = 2 * person + h
                if changed is None or self._settled[row] > start:
                    continue
                for i, base in enumerate(changed):
                    if base != ref[i]:
                        self.changes[contig][row][start + i] = base
                self._settled[row] = start + len(ref)

    @staticmethod
    def _bases(ref: str, alts: list[str], allele: str) -> str | None:
        """Return the bases of an ALT that is carried, None for the reference and what is missing."""
        if allele == "." or int(allele) == 0:
            return None
        if int(allele) > len(alts):
            raise NonsenseError(f"allele {allele}")
        found = alts[int(allele) - 1]
        return None if found in (*STAND_INS, ".") else found

    @staticmethod
    def _mixed(ref: str, pair: list[str | None]) -> str:
        """Return the REF with N wherever one of two alleles of an unphased call differs from it."""
        alleles = [allele or ref for allele in pair]
        return "".join("N" if any(a[i] != base for a in alleles) else base for i, base in enumerate(ref))


def same_contig(name: str, names: list[str] | dict[str, Any]) -> str:
    """Return the one of `names` that means the same contig, with or without chr."""
    found = (
        name
        if name in names
        else next((n for n in names if n.removeprefix("chr") == name.removeprefix("chr")), "")
    )
    if not found:
        raise NonsenseError(f"contig {name} is nowhere")
    return found


def expected(files: dict[str, bytes], windows: list[int]) -> dict[str, Any]:
    """Return what a cohort of these files must hold, as the worker reads it back."""
    sequences = read_fasta(files["--reference"])
    placed, columns, more = read_expression(files)
    raw = plain(files["--variants"])
    names = Variants(raw, {}).contigs
    by_variant_name = {n: sequences[same_contig(n, sequences)] for n in names if _known(n, sequences)}
    variants = Variants(raw, by_variant_name)
    genes = [[gene, same_contig(contig, names), tss, strand] for gene, contig, tss, strand in placed]
    made: dict[str, list[str]] = {}
    for gene, contig, tss, strand in genes:
        sequence = by_variant_name.get(contig)
        if sequence is None or tss >= len(sequence):
            raise NonsenseError(f"{gene} lies nowhere")
        if not any(variants.changes.get(contig, [])):
            raise NonsenseError(f"contig {contig} has no variants")
        for window in windows:
            made[f"{gene} {window}"] = [
                _cut(sequence, changes, tss, window, strand) for changes in variants.changes[contig]
            ]
    if not set(columns) & set(variants.people):
        raise NonsenseError("nobody is in both")
    return {
        "genes": genes,
        "individuals": variants.people,
        "expression": _joined(columns, variants.people, len(genes)),
        "sequences": made,
        **more,
        **_covariates(files["--covariates"], variants.people),
        "people": _people(files["--individuals"], variants.people),
    }


def _known(name: str, sequences: dict[str, str]) -> bool:
    return any(n.removeprefix("chr") == name.removeprefix("chr") for n in sequences)


def _cut(sequence: str, changes: dict[int, str], tss: int, window: int, strand: str) -> str:
    start = tss - window // 2
    inside = range(start, start + window)
    letters = [changes.get(i, sequence[i]) if 0 <= i < len(sequence) else "N" for i in inside]
    cut = "".join(letters)
    return cut[::-1].translate(COMPLEMENT) if strand == "-" else cut


def _joined(columns: dict[str, list[Any]], people: list[str], rows: int) -> list[list[Any]]:
    return [[columns[p][i] if p in columns else None for p in people] for i in range(rows)]


def _covariates(data: bytes, people: list[str]) -> dict[str, Any]:
    header, rows = read_table(data)
    names = [row[0] for row in rows]
    if len(set(names)) < len(names) or not set(header[1:]) & set(people):
        raise NonsenseError("the covariates")
    columns = {name: [number(row[j]) for row in rows] for j, name in enumerate(header) if j}
    return {"covariate_names": names, "covariates": _joined(columns, people, len(names))}


def _people(data: bytes, people: list[str]) -> list[dict[str, Any]]:
    header, rows = read_table(data)
    called = [name.lstrip("#").strip().lower() for name in header]
    if "population" not in called:
        called = ["population" if name == "pop" else name for name in called]
    if "individual" not in called:
        raise NonsenseError("the individuals")
    kept = [name for name in ("population", "family") if name in called]
    # of columns of one name the first holds
    described = [dict(zip(reversed(called), reversed(row), strict=True)) for row in rows]
    by_name = {row["individual"]: row for row in described}
    if len(by_name) < len(rows) or not set(by_name) & set(people):
        raise NonsenseError("the individuals")
    unknown = {"population": NA, "family": (*NA, "0", "-9")}
    of = {name: {k: None if row[k] in unknown[k] else row[k] for k in kept} for name, row in by_name.items()}
    return [{"individual": p, **of.get(p, dict.fromkeys(kept))} for p in people]
