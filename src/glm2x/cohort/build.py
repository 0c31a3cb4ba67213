"""Build a cohort folder: one pass over the genotypes, all joined by name, written aside and renamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import FORMAT_VERSION
from glm2x.cohort.tables import ExpressionTable, read_covariates, read_individuals, read_phenotype_bed
from glm2x.errors import DataError, UsageError
from glm2x.files import refuse_existing, sha256, write_aside, write_json
from glm2x.genome.genes import Gene, match_contigs
from glm2x.genome.reference import Reference
from glm2x.genome.variants import PhasedVariants
from glm2x.genome.vcf import read_variants
from glm2x.genome.vcf_file import VariantCounts, contigs_of, individuals_of

ExpressionScale = Literal["rpkm", "tpm", "log2", "normalised"]


@dataclass(frozen=True)
class CohortSources:
    """The files a cohort is built from.

    Attributes
    ----------
    variants
        VCF, VCF.gz or BCF with phased genotypes.
    expression
        Phenotype BED.
    reference
        FASTA, plain or bgzipped.
    individuals, covariates
        Optional tables: population and family; covariates as rows.
    """

    variants: Path
    expression: Path
    reference: Path
    individuals: Path | None = None
    covariates: Path | None = None


def build_cohort(
    sources: CohortSources,
    out: Path | str,
    *,
    expression_scale: ExpressionScale = "rpkm",
    unphased: Literal["mask", "error"] = "mask",
    force: bool = False,
) -> dict[str, Any]:
    """Build a cohort folder and return its manifest, with what was counted and skipped.

    The cohort's individuals are those of the variant file, in its order; expression, populations and
    covariates are joined to them by name. Contigs `22` and `chr22` are the same.

    Raises
    ------
    UsageError
        `out` exists and `force` is not set.
    DataError
        A file is missing or damaged, nobody is in both genotypes and expression, a gene's contig has no
        variants or no reference, a REF differs from the reference.
    """
    refuse_existing(out, force=force)
    _require_outside(sources, Path(out))
    individuals = individuals_of(sources.variants)
    expression = read_phenotype_bed(sources.expression, genotyped=set(individuals))
    _require_common(expression.individuals, individuals, sources.expression, sources.variants)
    reference = Reference(sources.reference)
    genes, contigs = _place_genes(expression, sources, reference)
    codes = {contig: reference.codes(name) for contig, name in contigs.items()}
    variants, counts = read_variants(
        sources.variants, individuals=individuals, contigs=codes, unphased=unphased
    )
    _require_variants(genes, variants, sources)
    people, described = _people(sources, individuals)
    values = _columns(expression.individuals, expression.values, individuals)
    covariates = read_covariates(sources.covariates) if sources.covariates else None
    if covariates is not None and sources.covariates is not None:
        _require_common(covariates[1], individuals, sources.covariates, sources.variants)

    with write_aside(out, force=force) as folder:
        (folder / "variants").mkdir(parents=True)
        (folder / "reference").mkdir()
        _write_genes(folder, genes)
        people.write_parquet(folder / "individuals.parquet")
        _write_matrix(folder / "expression.parquet", "gene", [g.gene for g in genes], individuals, values)
        if covariates is not None:
            names, covariate_people, table = covariates
            joined = _columns(covariate_people, table, individuals)
            _write_matrix(folder / "covariates.parquet", "covariate", names, individuals, joined)
        for contig, found in variants.items():
            _write_variants(folder / "variants", found)
            np.save(folder / "reference" / f"{contig}.npy", codes[contig], allow_pickle=False)
        named = {"expression": expression.individuals, "individuals": described}
        if covariates is not None:
            named["covariates"] = covariates[1]
        manifest = _manifest(folder, sources, genes, individuals, named, variants, counts)
        manifest["expression_scale"] = expression_scale
        manifest["unphased"] = unphased
        if covariates is not None:
            manifest["covariates"] = list(covariates[0])
        write_json(folder / "cohort.json", manifest)
    return manifest


def _require_outside(sources: CohortSources, out: Path) -> None:
    """Refuse a folder to write that holds a file to read: replacing it would remove that file."""
    for path in vars(sources).values():
        if path is not None and Path(path).resolve().is_relative_to(out.resolve()):
            raise UsageError(
                "--out holds a file that the cohort is built from", where=str(path), do="give another --out"
            )


def _require_common(named: Sequence[str], genotyped: Sequence[str], table: Path, variants: Path) -> None:
    if not set(named) & set(genotyped):
        raise DataError(
            f"nobody is in both {table.name} and the genotypes",
            where=f"{table} and {variants}",
            got=f"{len(named)} individuals such as {', '.join(named[:2])}, "
            f"and {len(genotyped)} such as {', '.join(genotyped[:2])}",
            wanted="the same names in both headers",
            do="rename one side (bcftools reheader --samples renames those of a VCF)",
        )


def _place_genes(
    expression: ExpressionTable, sources: CohortSources, reference: Reference
) -> tuple[tuple[Gene, ...], dict[str, str]]:
    """Name each gene's contig as the variant file does; return the reference's name of each contig too."""
    named = sorted({gene.contig for gene in expression.genes})
    in_variants = match_contigs(named, contigs_of(sources.variants))
    in_reference = match_contigs(named, reference.lengths)
    for found, source, kind in (
        (in_variants, sources.variants, "variant file"),
        (in_reference, sources.reference, "reference"),
    ):
        absent = [name for name in named if name not in found]
        if absent:
            raise DataError(
                f"contig {absent[0]} has genes and is not in the {kind}",
                where=str(source),
                got=f"{len(absent)} such contigs: {', '.join(absent[:5])}",
                wanted="every gene's contig in its header (22 and chr22 are the same)",
                do="leave those genes out of the expression file, or give a file that has their contigs",
            )
    odd = next((name for name in in_variants.values() if set(name) & set("/\\\0") or name[0] == "."), None)
    if odd is not None:  # contigs name the files of the cohort
        raise DataError("a contig's name cannot be a file's", where=str(sources.variants), got=repr(odd))
    genes = tuple(replace(gene, contig=in_variants[gene.contig]) for gene in expression.genes)
    beyond = next(
        (
            g
            for g, e in zip(genes, expression.genes, strict=True)
            if not 0 <= g.tss < reference.lengths[in_reference[e.contig]]
        ),
        None,
    )
    if beyond is not None:
        raise DataError(
            "a gene's TSS lies outside its contig",
            where=f"{beyond.gene} in {sources.expression}",
            got=f"{beyond.contig}:{beyond.tss:,} (0-based)",
            do="check that expression and reference are of the same genome build",
        )
    return genes, {in_variants[name]: in_reference[name] for name in named}


def _require_variants(
    genes: Sequence[Gene], variants: dict[str, PhasedVariants], sources: CohortSources
) -> None:
    bare = sorted({gene.contig for gene in genes} - {c for c, v in variants.items() if len(v.position)})
    if bare:
        raise DataError(
            f"contig {bare[0]} has genes and not a single usable variant",
            where=str(sources.variants),
            got=f"{len(bare)} such contigs",
            wanted="phased SNPs that somebody carries on every contig that has genes",
            do="leave those genes out of the expression file, or give the contig's variants",
        )


def _people(sources: CohortSources, individuals: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the table of people in the genotypes' order, null for who is not in it, and who is in it."""
    people = pl.DataFrame({"individual": list(individuals)})
    if sources.individuals is None:
        return people, tuple(individuals)
    table = read_individuals(sources.individuals)
    described = tuple(table["individual"])
    _require_common(described, individuals, sources.individuals, sources.variants)
    return people.join(table, on="individual", how="left", maintain_order="left"), described


def _columns(
    given: Sequence[str], values: NDArray[np.float64], individuals: Sequence[str]
) -> NDArray[np.float64]:
    """Return the columns of `values` in the order of `individuals`, NaN for those it has not."""
    place = {name: j for j, name in enumerate(given)}
    joined = np.full((len(values), len(individuals)), np.nan)
    for j, name in enumerate(individuals):
        if name in place:
            joined[:, j] = values[:, place[name]]
    return joined


def _write_genes(folder: Path, genes: Sequence[Gene]) -> None:
    pl.DataFrame(
        {
            "gene": [g.gene for g in genes],
            "contig": [g.contig for g in genes],
            "tss": [g.tss for g in genes],
            "strand": [g.strand for g in genes],
        }
    ).write_parquet(folder / "genes.parquet")


def _write_matrix(
    path: Path, label: str, names: Sequence[str], individuals: Sequence[str], values: NDArray[np.float64]
) -> None:
    if label in individuals:
        raise DataError(
            f"an individual is called {label}, which is the name of a column of {path.name}",
            wanted="another name",
            do="rename the individual in all files",
        )
    columns = {name: values[:, j] for j, name in enumerate(individuals)}
    frame = pl.DataFrame({label: list(names), **columns})
    frame.with_columns(pl.col(pl.Float64).fill_nan(None)).write_parquet(path)


def _write_variants(folder: Path, variants: PhasedVariants) -> None:
    pl.DataFrame({"position": variants.position, "ref": variants.ref, "alt": variants.alt}).write_parquet(
        folder / f"{variants.contig}.parquet"
    )
    np.save(folder / f"{variants.contig}.npy", variants.bits, allow_pickle=False)


def _manifest(
    folder: Path,
    sources: CohortSources,
    genes: Sequence[Gene],
    individuals: Sequence[str],
    named: dict[str, tuple[str, ...]],
    variants: dict[str, PhasedVariants],
    counts: VariantCounts,
) -> dict[str, Any]:
    """Return what `cohort.json` says. No path and no time stands in it: equal inputs, equal bytes.

    `named` are the individuals of each table beside the genotypes.
    """
    measured = set(named["expression"])
    return {
        "format_version": FORMAT_VERSION,
        "sources": {
            name: {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
            for name, path in vars(sources).items()
            if path is not None
        },
        "reference_contigs": sorted(variants),
        "counts": {
            "genes": len(genes),
            "individuals": len(individuals),
            "individuals_with_expression": len(measured & set(individuals)),
            "columns": {contig: len(found.position) for contig, found in sorted(variants.items())},
            "records": dict(sorted(counts.counts.items())),
        },
        "first": dict(sorted(counts.first.items())),
        "absent": {
            "from_variants": sorted(set().union(*named.values()) - set(individuals)),
            **{f"from_{table}": sorted(set(individuals) - set(names)) for table, names in named.items()},
        },
        "files": {
            str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": sha256(file)}
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        },
    }
