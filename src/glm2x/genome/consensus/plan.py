"""What a consensus run writes: which contigs, from which variant file each, and which files are missing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

from glm2x.errors import DataError, UsageError
from glm2x.genome.consensus.text import text_size
from glm2x.genome.genes import match_contigs
from glm2x.genome.reference.indexed import Reference
from glm2x.genome.vcf.file import (
    expand_variants,
    individuals_of,
    open_variants,
    read_records,
    row_order,
)

FILES_AT_ONCE = 16  # written together: a contig of the reference is read once for all of them


@dataclass(frozen=True)
class Source:
    """Where a contig's variants lie, the contig's name there, and whether that file has unwanted ones too."""

    path: Path
    contig: str
    among_others: bool


@dataclass(frozen=True)
class ConsensusPlan:
    """What is to be written.

    Attributes
    ----------
    contigs
        Names as in the reference, in the order written.
    sources
        By contig; a contig that is written as the reference has it is not there.
    missing
        The files to make: individual and haplotype (1 or 2), in the order of the individuals.
    size
        Bytes of one file.
    unknown
        Contigs of the variant files that the reference does not have, and that are left out.
    """

    contigs: tuple[str, ...]
    sources: dict[str, Source]
    missing: tuple[tuple[str, int], ...]
    size: int
    unknown: tuple[str, ...]


def allele_file(out: Path, individual: str, haplotype: int) -> Path:
    """Return the published name of a haplotype's file."""
    return out / f"{individual}_allele_{haplotype}_forward.fa"


def plan_consensus(
    reference: Reference,
    variants: Sequence[Path],
    individuals: Sequence[str],
    out: Path,
    *,
    contigs: Sequence[str] | None = None,
    without_variants: Sequence[str] = (),
    force: bool = False,
) -> ConsensusPlan:
    """Settle what a run writes, before anything long begins.

    Parameters
    ----------
    reference
        The genome.
    variants
        VCF, VCF.gz or BCF; a name may hold ``{chrom}``.
    individuals
        Whose files are wanted, each once.
    out
        The folder they go to.
    contigs
        Contigs to write, in this order (default: those with variants, in the reference's order).
    without_variants
        Contigs that are written as the reference has them where no variant file has any.
    force
        Also make the files that are there.

    Raises
    ------
    UsageError
        A contig is asked for that the reference has not; a file is there that this run would not have made.
    DataError
        A contig has no variants, or has them in two files; somebody is not in a file; the disk is too small.
    """
    assert len(set(individuals)) == len(individuals)
    _refuse_names(individuals)
    plain = _in_reference(without_variants, reference)
    asked = _in_reference(contigs, reference) if contigs is not None else None
    wanted = None if asked is None else list(dict.fromkeys([*asked, *plain]))
    sources, unknown = _find_sources(
        expand_variants(variants, wanted or reference.lengths), wanted, reference
    )
    if wanted is None:
        wanted = [name for name in reference.lengths if name in sources or name in plain]
    _refuse_contigs_without(wanted, sources, plain, variants, unknown)
    size, headers = 0, {}
    for name in wanted:
        headers[size] = f">{name}\n".encode()
        size += text_size(name, reference.lengths[name])
    inputs = [reference.path, *dict.fromkeys(source.path for source in sources.values())]
    for path in inputs[1:]:
        row_order(list(individuals_of(path)), individuals, path)
    files = [(person, haplotype) for person in individuals for haplotype in (1, 2)]
    missing = tuple(
        file for file in files if force or _is_missing(allele_file(out, *file), headers, size, inputs)
    )
    _refuse_small_disk(out, missing, size)
    return ConsensusPlan(tuple(wanted), sources, missing, size, tuple(unknown))


def contigs_with_records(path: Path) -> tuple[str, ...]:
    """Return the contigs of which a variant file has records: from its index, or by reading it."""
    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.VariantFile(str(path)) as file:
            names = None if file.index is None else tuple(str(name) for name in file.index)
            if names is not None and file.format == "VCF":
                return names
            if names is not None:  # a BCF's index names the contigs of its header
                return tuple(name for name in names if next(file.fetch(name), None) is not None)
    except (OSError, ValueError):
        pass  # what is wrong with the file is said in one message by the reader below
    finally:
        pysam.set_verbosity(verbosity)
    return tuple(dict.fromkeys(record.CHROM for record in read_records(open_variants(path, []), path)))


def _refuse_names(individuals: Sequence[str]) -> None:
    unfit = [name for name in individuals if "/" in name or name.startswith(".")]
    if unfit:
        raise DataError(
            "an individual's name cannot be part of a file name",
            got=", ".join(unfit[:3]),
            wanted="names without / that do not begin with a dot",
            do="bcftools reheader --samples gives other names",
        )


def _in_reference(names: Sequence[str], reference: Reference) -> list[str]:
    """Return the reference's names of contigs that were asked for, each once."""
    found = match_contigs(names, reference.lengths)
    absent = [name for name in names if name not in found]
    if absent:
        raise UsageError(
            "a contig that was asked for is not in the reference FASTA",
            where=str(reference.path),
            got=", ".join(absent),
            wanted=f"among {', '.join(list(reference.lengths)[:5])}, ...",
            do="check --contigs and --without-variants",
        )
    return list(dict.fromkeys(found[name] for name in names))


def _find_sources(
    files: Sequence[Path], wanted: Sequence[str] | None, reference: Reference
) -> tuple[dict[str, Source], list[str]]:
    """Return which file has which of the wanted contigs, and the contigs that the reference lacks."""
    sources: dict[str, Source] = {}
    unknown: list[str] = []
    for path in files:
        there_are = contigs_with_records(path)
        ours = match_contigs(there_are, reference.lengths)
        among_others = any(wanted is not None and ours.get(there) not in wanted for there in there_are)
        for there in there_are:
            name = ours.get(there)
            if name is None:
                unknown.append(there)
                continue
            if wanted is not None and name not in wanted:
                continue
            if name in sources:
                raise DataError(
                    f"contig {name} has variants twice",
                    where=f"{sources[name].path} ({sources[name].contig}) and {path} ({there})",
                    wanted="each contig in one file, under one name",
                    do="bcftools concat (parts of a contig), bcftools merge (people), or leave one file out",
                )
            sources[name] = Source(path, there, among_others)
    return sources, list(dict.fromkeys(unknown))


def _refuse_contigs_without(
    wanted: Sequence[str],
    sources: dict[str, Source],
    plain: Sequence[str],
    variants: Sequence[Path],
    unknown: Sequence[str],
) -> None:
    where = ", ".join(str(path) for path in variants[:3]) + (", ..." if len(variants) > 3 else "")
    without = [name for name in wanted if name not in sources and name not in plain]
    if without:
        raise DataError(
            f"{len(without)} of the contigs have no variants",
            where=where,
            got=f"no record of {', '.join(without[:5])}" + (", ..." if len(without) > 5 else ""),
            wanted="variants of every contig that is written",
            do=f"give their files, or --without-variants {','.join(without)} for the plain reference",
        )
    if not wanted:
        raise DataError(
            "the variant files have no contig of the reference",
            where=where,
            got=", ".join(unknown[:5]) or "no records",
            wanted="variants called against this reference",
            do="check --reference and --variants",
        )


def _is_missing(path: Path, headers: dict[int, bytes], size: int, inputs: Sequence[Path]) -> bool:
    """Whether a file is not there; one that this run would not have made is refused.

    Haplotypes of other contigs differ in size or in where their headers stand; other variants show in nothing
    but their age.
    """
    if not path.exists():
        return True
    younger = [source for source in inputs if source.stat().st_mtime > path.stat().st_mtime]
    if path.is_file() and path.stat().st_size == size and _has_headers(path, headers) and not younger:
        return False
    contigs = ", ".join(header.decode()[1:-1] for header in list(headers.values())[:5])
    got = f"{path.stat().st_size:,} bytes"
    raise UsageError(
        f"{path.name} is there already and is not what this command makes",
        where=str(path),
        got=f"{got}, older than {younger[0]}" if younger else got,
        wanted=f"{size:,} bytes, contigs {contigs}{', ...' if len(headers) > 5 else ''}",
        do="give --force to make all files anew, or another --out",
    )


def _has_headers(path: Path, headers: dict[int, bytes]) -> bool:
    with path.open("rb") as handle:
        for offset, header in headers.items():
            handle.seek(offset)
            if handle.read(len(header)) != header:
                return False
    return True


def _refuse_small_disk(out: Path, missing: Sequence[tuple[str, int]], size: int) -> None:
    """Raise where the files to make, and one part in a hundred for scratch, exceed the free disk."""
    paths = [allele_file(out, *file) for file in missing]
    there = [path.stat().st_size for path in paths if path.is_file()]
    # files are replaced a batch at a time, and the old ones of a batch go only when the new ones are whole
    gained = max(0, sum(there) - FILES_AT_ONCE * size)
    # what a killed run left half-written goes when its file is made
    names = {path.name for path in paths}
    left = (path for path in out.glob(".*.partial-*") if path.name[1:].rpartition(".partial-")[0] in names)
    gained += sum(path.stat().st_size for path in left)
    needed = int(size * len(paths) * 1.01) - gained
    folder = next(parent for parent in (out, *out.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the disk has no room for {len(paths):,} files of {size / 1e6:,.1f} MB",
            where=str(folder),
            got=f"{free / 1e9:,.1f} GB free",
            wanted=f"{needed / 1e9:,.1f} GB",
            do="give an --out on another disk, or fewer --individuals or --contigs; a cohort needs no FASTA",
        )
