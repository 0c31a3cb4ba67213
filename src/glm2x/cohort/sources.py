"""The files a cohort is built from, and how contigs and people are named in each."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from glm2x.errors import DataError, UsageError
from glm2x.genome.genes import contig_key, match_contigs
from glm2x.genome.vcf.file import CHROM_PLACEHOLDER, contigs_of, expand_variants, individuals_of


@dataclass(frozen=True)
class CohortSources:
    """The files a cohort is built from.

    Attributes
    ----------
    variants
        VCF, VCF.gz or BCF with phased genotypes: one file or several; a name may hold ``{chrom}``.
    expression
        Phenotype BED, matrix or published partition: see `read_expression`.
    reference
        FASTA, plain or compressed; None for a cohort without sequence.
    individuals, covariates
        Optional tables: population and family; covariates as rows.
    genes
        GTF, GFF3 or table of TSSs, for expression that does not say where its genes are.
    """

    variants: Path | tuple[Path, ...]
    expression: Path
    reference: Path | None = None
    individuals: Path | None = None
    covariates: Path | None = None
    genes: Path | None = None

    @property
    def given_variants(self) -> tuple[Path, ...]:
        """The variant files as they were given."""
        return (self.variants,) if isinstance(self.variants, Path) else self.variants

    def tables(self) -> dict[str, Path]:
        """Return the files beside the variants, by what they are."""
        return {name: path for name, path in vars(self).items() if name != "variants" and path is not None}


def genotyped_people(sources: CohortSources) -> frozenset[str]:
    """Return who is in a variant file, as far as can be told before contigs are known; names may lack.

    Raises
    ------
    DataError
        A file that is given by its name is missing or damaged.
    """
    people: set[str] = set()
    for given in sources.given_variants:
        if CHROM_PLACEHOLDER not in str(given):
            people.update(individuals_of(given))
            continue
        for path in _of_pattern(given):
            try:
                people.update(individuals_of(path))
                break
            except DataError:
                continue  # it may be a file that nobody asked for
    return frozenset(people)


def _of_pattern(given: Path) -> list[Path]:
    """Return the files whose name has the same text in each place of ``{chrom}``, sorted."""
    parts = [re.escape(part) for part in str(given).split(CHROM_PLACEHOLDER)]
    name = re.compile(parts[0] + "(?P<chrom>[^/]+)" + "(?P=chrom)".join(parts[1:]))
    found = glob.glob("*".join(glob.escape(part) for part in str(given).split(CHROM_PLACEHOLDER)))  # noqa: PTH207
    return [Path(path) for path in sorted(found) if name.fullmatch(path)]


@dataclass(frozen=True)
class VariantFiles:
    """The variant files that are read.

    Attributes
    ----------
    files
        In the order given.
    contigs
        The name in the cohort of each contig of the expression: the variant files', where one has it.
    individuals
        Who is in all of them, in the order of the first.
    partial
        Who is in some of them only, sorted.
    """

    files: tuple[Path, ...]
    contigs: dict[str, str]
    individuals: tuple[str, ...]
    partial: tuple[str, ...]


def find_variant_files(
    sources: CohortSources, named: Sequence[str], without_variants: Sequence[str] = ()
) -> VariantFiles:
    """Find the variant files of some contigs, how they name these, and who is in all of them.

    Parameters
    ----------
    named
        The contigs that have genes.
    without_variants
        Those that are wanted although no file has them.

    Raises
    ------
    DataError
        A file is missing or damaged, a contig is in none, or nobody is in all of them.
    UsageError
        A contig is wanted without variants that has no gene.
    """
    _require_genes(without_variants, named, "--without-variants")
    given = expand_variants(sources.given_variants, named)
    there = {path: contigs_of(path) for path in given}
    files = [path for path in given if match_contigs(named, there[path])]
    contigs = _name_contigs(named, [name for path in files for name in there[path]], given, without_variants)
    people = [individuals_of(path) for path in files or given]
    in_all = set(people[0]).intersection(*people[1:])
    if not in_all:
        raise DataError(
            "nobody is in all of the variant files",
            where=f"{files[0]} and {len(files) - 1} more",
            wanted="files of the same people",
            do="give the files of one cohort",
        )
    return VariantFiles(
        tuple(files or given),
        contigs,
        tuple(name for name in people[0] if name in in_all),
        tuple(sorted(set().union(*people) - in_all)),
    )


def _name_contigs(
    named: Sequence[str], available: Sequence[str], given: Sequence[Path], without_variants: Sequence[str]
) -> dict[str, str]:
    """Return the name that each contig of the expression has in the cohort: one for `1` and `chr1`."""
    found = match_contigs(named, dict.fromkeys(available))
    wanted = {contig_key(name) for name in without_variants}
    absent = [name for name in named if name not in found and contig_key(name) not in wanted]
    if absent:
        raise DataError(
            f"contig {absent[0]} has genes and is not in the variant files",
            where=", ".join(str(path) for path in given[:3]),
            got=f"{len(absent)} such contigs: {', '.join(absent[:5])}",
            wanted="every gene's contig in a header (22 and chr22 are the same)",
            do="give its file, leave those genes out (--contigs names the contigs to take), or take the "
            f"reference as it is (--without-variants {absent[0]})",
        )
    by_key: dict[str, str] = {}
    contigs = {name: by_key.setdefault(contig_key(name), found.get(name, name)) for name in named}
    odd = next((name for name in contigs.values() if set(name) & set("/\\\0") or name[0] == "."), None)
    if odd is not None:  # contigs name the files of the cohort
        raise DataError("a contig's name cannot be a file's", where=str(given[0]), got=repr(odd))
    return contigs


def require_outside(sources: CohortSources, out: Path) -> None:
    """Refuse a folder to write that holds a file to read: replacing it would remove that file."""
    for path in (*sources.given_variants, *sources.tables().values()):
        if path.resolve().is_relative_to(out.resolve()):
            raise UsageError(
                "--out holds a file that the cohort is built from", where=str(path), do="give another --out"
            )


def require_common(named: Sequence[str], genotyped: Sequence[str], table: Path, variants: Path) -> None:
    """Raise where a table and the genotypes have nobody in common."""
    if not set(named) & set(genotyped):
        raise DataError(
            f"nobody is in both {table.name} and the genotypes",
            where=f"{table} and {variants}",
            got=f"{len(named)} individuals such as {', '.join(named[:2])}, "
            f"and {len(genotyped)} such as {', '.join(genotyped[:2])}",
            wanted="the same names in both headers",
            do="rename one side (bcftools reheader --samples renames those of a VCF)",
        )


def chosen_contigs(named: Iterable[str], contigs: Sequence[str] | None) -> Iterator[str]:
    """Yield the contigs that are taken, of those that have genes (`UsageError` for one that has none)."""
    named = list(named)
    if contigs is None:
        yield from named
        return
    _require_genes(contigs, named, "--contigs")
    wanted = {contig_key(name) for name in contigs}
    yield from (name for name in named if contig_key(name) in wanted)


def _require_genes(contigs: Sequence[str], named: Sequence[str], option: str) -> None:
    """Raise `UsageError` for a contig of an option that is not among those that have genes."""
    keys = {contig_key(name) for name in named}
    unknown = [name for name in contigs if contig_key(name) not in keys]
    if unknown:
        raise UsageError(
            f"no gene is on contig {unknown[0]}",
            got=f"{option} {','.join(contigs)}",
            wanted=f"among {', '.join(sorted(named)[:8])}",
        )
