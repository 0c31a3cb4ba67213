"""Build a cohort folder: one pass over the genotypes, all joined by name, written aside and renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.cohort.cohort import FORMAT_VERSION, manifest_digest
from glm2x.cohort.expression import ExpressionScale, ExpressionTable, read_expression
from glm2x.cohort.layout import (
    describe_files,
    describe_source,
    write_genes,
    write_matrix,
    write_reference,
)
from glm2x.cohort.sources import (
    CohortSources,
    VariantFiles,
    chosen_contigs,
    find_variant_files,
    genotyped_people,
    require_common,
    require_outside,
)
from glm2x.cohort.tables import known_of, read_covariates, read_individuals
from glm2x.errors import DataError, UsageError
from glm2x.files import refuse_existing, write_aside, write_json
from glm2x.genome.blocks import BLOCKS, write_blocks
from glm2x.genome.counts import Counts
from glm2x.genome.genes import Gene, contig_key
from glm2x.genome.haplotypes.storage import VariantsWriter
from glm2x.genome.haplotypes.variants import PhasedVariants
from glm2x.genome.vcf.alleles import VariantKind
from glm2x.genome.vcf.columns import Unphased
from glm2x.genome.vcf.read import read_variants
from glm2x.progress import Progress, silent


def build_cohort(
    sources: CohortSources,
    out: Path | str,
    *,
    expression_scale: ExpressionScale | None = None,
    variant_kind: VariantKind = "snp",
    unphased: Unphased = "mask",
    contigs: Sequence[str] | None = None,
    without_variants: Sequence[str] = (),
    force: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Build a cohort folder and return its manifest, with what was counted and skipped.

    The cohort's individuals are those of all variant files, in the order of the first; expression,
    populations and covariates are joined to them by name. Contigs `22` and `chr22` are the same.

    Parameters
    ----------
    expression_scale
        What the values are (default: what the format says, else `rpkm`).
    variant_kind
        `snp`, or `all` for indels and MNPs too.
    unphased
        What an unphased heterozygote becomes: N (`mask`) or an error.
    contigs
        Take the genes of these contigs (default: all).
    without_variants
        Contigs that are wanted although no variant file has any of them: everybody has the reference.
    progress
        Counts megabases of the genotypes.

    Raises
    ------
    UsageError
        `out` exists and `force` is not set, or an option does not fit the files.
    DataError
        A file is missing or damaged, nobody is in both genotypes and expression, a gene's contig has no
        variants or no reference, a REF differs from the reference.
    """
    refuse_existing(out, force=force)
    require_outside(sources, Path(out))
    genotyped = genotyped_people(sources)
    expression = read_expression(sources.expression, annotation=sources.genes, genotyped=genotyped)
    scale = _scale(expression, expression_scale)
    expression = _on_contigs(expression, contigs)
    named = sorted({gene.contig for gene in expression.genes})
    files = find_variant_files(sources, named, without_variants)
    individuals = files.individuals
    require_common(expression.individuals, individuals, sources.expression, files.files[0])
    genes = tuple(replace(gene, contig=files.contigs[gene.contig]) for gene in expression.genes)
    tables = _Tables.read(sources, files)

    with write_aside(out, force=force) as folder:
        (folder / "variants").mkdir(parents=True)
        (folder / "reference").mkdir()
        codes: dict[str, NDArray[np.uint8] | None] = dict.fromkeys(files.contigs.values())
        if sources.reference is not None:
            codes |= write_reference(folder / "reference", sources.reference, genes)
        variants, counts = read_variants(
            files.files,
            folder / "variants",
            individuals=individuals,
            contigs=codes,
            kind=variant_kind,
            unphased=unphased,
            ends=_ends(genes, codes),
            progress=progress,
        )
        variants |= _plain_contigs(folder / "variants", genes, variants, without_variants, files, counts)
        write_genes(folder / "genes.parquet", genes, expression)
        tables.people.write_parquet(folder / "individuals.parquet")
        values = _columns(expression.individuals, expression.values, individuals)
        write_matrix(folder / "expression.parquet", "gene", [g.gene for g in genes], individuals, values)
        if tables.covariates is not None:
            names, people, numbers = tables.covariates
            joined = _columns(people, numbers, individuals)
            write_matrix(folder / "covariates.parquet", "covariate", names, individuals, joined)
        manifest: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "sources": {
                "variants": [describe_source(path) for path in files.files],
                **{name: describe_source(path) for name, path in sources.tables().items()},
            },
            "reference_contigs": sorted(name for name, found in codes.items() if found is not None),
            "counts": _counts(genes, expression, tables.people, variants, counts),
            "first": dict(sorted({**expression.first, **counts.first}.items())),
            "absent": _absent(expression, tables, files),
            "expression_scale": scale,
            "variant_kind": variant_kind,
            "unphased": unphased,
            "covariates": list(tables.covariates[0]) if tables.covariates else [],
            "files": describe_files(folder),
        }
        manifest["digest"] = manifest_digest(manifest)
        write_blocks(folder, sorted(name for name in manifest["files"] if name.endswith(".npy")))
        manifest[BLOCKS] = describe_source(folder / BLOCKS)  # not of the digest: it follows from the files
        write_json(folder / "cohort.json", manifest)
    return manifest


@dataclass(frozen=True)
class _Tables:
    """The tables beside the expression.

    `people` has everybody of the genotypes, in their order, null for who is not in the table; `described`
    is who is in it. `covariates` are names, people and float64 ``[covariates, people]``.
    """

    people: pl.DataFrame
    described: tuple[str, ...]
    covariates: tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]] | None

    @classmethod
    def read(cls, sources: CohortSources, files: VariantFiles) -> _Tables:
        people = pl.DataFrame({"individual": list(files.individuals)})
        described = files.individuals
        if sources.individuals is not None:
            table = read_individuals(sources.individuals)
            described = tuple(table["individual"])
            require_common(described, files.individuals, sources.individuals, files.files[0])
            people = people.join(table, on="individual", how="left", maintain_order="left")
        covariates = None
        if sources.covariates is not None:
            covariates = read_covariates(sources.covariates)
            require_common(covariates[1], files.individuals, sources.covariates, files.files[0])
        return cls(people, described, covariates)


def _scale(expression: ExpressionTable, given: ExpressionScale | None) -> ExpressionScale:
    """Return the scale of the values: what their format says, else what the user says."""
    if expression.scale is not None and given not in (None, expression.scale):
        raise UsageError(
            "the expression file's format says what its values are",
            got=f"--expression-scale {given}",
            wanted=expression.scale,
            do="leave --expression-scale out",
        )
    return expression.scale or given or "rpkm"


def _on_contigs(expression: ExpressionTable, contigs: Sequence[str] | None) -> ExpressionTable:
    """Return the expression of the genes on some contigs; the others are counted."""
    taken = set(chosen_contigs(dict.fromkeys(g.contig for g in expression.genes), contigs))
    rows = [i for i, gene in enumerate(expression.genes) if gene.contig in taken]
    left = [gene for gene in expression.genes if gene.contig not in taken]
    if not left:
        return expression
    return replace(
        expression,
        genes=tuple(expression.genes[i] for i in rows),
        values=expression.values[rows],
        reference=None if expression.reference is None else expression.reference[rows],
        gene_sides=None if expression.gene_sides is None else tuple(expression.gene_sides[i] for i in rows),
        counts={**expression.counts, "genes_of_other_contigs": len(left)},
        first={**expression.first, "genes_of_other_contigs": f"{left[0].gene} on {left[0].contig}"},
    )


def _plain_contigs(
    folder: Path,
    genes: Sequence[Gene],
    variants: dict[str, PhasedVariants],
    without_variants: Sequence[str],
    files: VariantFiles,
    counts: Counts,
) -> dict[str, PhasedVariants]:
    """Return contigs that have genes and no variants: wanted so, or an error."""
    bare = sorted({g.contig for g in genes} - {c for c, v in variants.items() if len(v.position)})
    wanted = {contig_key(name) for name in without_variants}
    refused = [name for name in bare if contig_key(name) not in wanted]
    if refused:
        others = [f"{n:,} {fate}" for fate in ("indel", "mnp") if (n := counts.counts.get(fate))]
        raise DataError(
            f"contig {refused[0]} has genes and not a single usable variant",
            where=", ".join(str(path) for path in files.files[:3]),
            got=f"{len(refused)} such contigs: {', '.join(refused[:5])}"
            + (f"; records of other kinds: {', '.join(others)}" if others else ""),
            wanted="phased SNPs (with --variant-kind all also indels) that somebody carries",
            do="give its file, leave those genes out (--contigs names the contigs to take), or take the "
            f"reference as it is (--without-variants {refused[0]})",
        )
    return {name: VariantsWriter(folder, name, len(files.individuals)).finish() for name in bare}


def _ends(genes: Sequence[Gene], codes: Mapping[str, NDArray[np.uint8] | None]) -> dict[str, int]:
    """Return the length of each contig; without a reference, where its last gene starts."""
    ends = {contig: 0 if found is None else len(found) for contig, found in codes.items()}
    for gene in genes:
        if codes[gene.contig] is None:
            ends[gene.contig] = max(ends[gene.contig], gene.tss)
    return ends


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


def _counts(
    genes: Sequence[Gene],
    expression: ExpressionTable,
    people: pl.DataFrame,
    variants: dict[str, PhasedVariants],
    counts: Counts,
) -> dict[str, Any]:
    individuals = set(people["individual"])
    kinds = {"snp": 0, "mnp": 0, "indel": 0}
    for found in variants.values():
        ref, alt = found.ref.lengths, found.alt.lengths
        kinds["indel"] += int((ref != alt).sum())
        kinds["snp"] += int(((ref == 1) & (alt == 1)).sum())
        kinds["mnp"] += int(((ref == alt) & (ref > 1)).sum())
    return {
        "genes": len(genes),
        "individuals": len(individuals),
        "individuals_with_expression": len(individuals.intersection(expression.individuals)),
        **{
            f"individuals_with_{column}": len(known_of(people, column))
            for column in ("population", "family")
            if column in people.columns
        },
        "columns": {contig: len(found.position) for contig, found in sorted(variants.items())},
        "kinds": kinds,
        "records": dict(sorted(counts.counts.items())),
        "expression": dict(sorted(expression.counts.items())),
    }


def _absent(expression: ExpressionTable, tables: _Tables, files: VariantFiles) -> dict[str, list[str]]:
    """Return who is missing where."""
    named = {"expression": expression.individuals, "individuals": tables.described}
    if tables.covariates is not None:
        named["covariates"] = tables.covariates[1]
    here = set(files.individuals)
    absent = {"from_variants": sorted(set().union(*named.values()) - here - set(files.partial))}
    if files.partial:
        absent["from_some_of_the_variant_files"] = list(files.partial)
    return absent | {f"from_{table}": sorted(here - set(names)) for table, names in named.items()}
