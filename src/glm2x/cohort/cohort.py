"""A cohort folder, opened for reading: genotypes, reference, genes, expression, covariates.

docs/formats/cohort.md is the authority on what lies in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from glm2x.errors import DataError, UsageError
from glm2x.files import give_back, read_json, sha256
from glm2x.genome.blocks import BLOCKS, damaged, file_of, read_blocks
from glm2x.genome.genes import Gene, GeneSide, index_of_names, unversioned, window_interval
from glm2x.genome.haplotypes.storage import Blocks, map_array, open_variants_of
from glm2x.genome.haplotypes.variants import Alleles, PhasedVariants
from glm2x.progress import Progress, silent
from glm2x.seal import digest, unsealed

FORMAT_VERSION = 2

_DIGESTED = (
    *("format_version", "files", "reference_contigs"),
    *("expression_scale", "variant_kind", "unphased", "covariates"),
)
_KEYS = {*_DIGESTED, "digest", "counts", "first", "absent", "sources"}


@dataclass(frozen=True)
class Dosages:
    """The variants of a gene's window, as linear models see them.

    Attributes
    ----------
    position
        int64 ``[variants]``, 0-based.
    distance
        int64 ``[variants]``, position - TSS in bp, on the forward strand.
    ref, alt
        The alleles, ``[variants]``, on the forward strand.
    dosage
        float32 ``[individuals, variants]``: alternative alleles over both haplotypes, 0, 1 or 2.
    """

    position: NDArray[np.int64]
    distance: NDArray[np.int64]
    ref: Alleles
    alt: Alleles
    dosage: NDArray[np.float32]


class Cohort:
    """A cohort, opened read-only with `Cohort.open`.

    Attributes
    ----------
    folder
        Where it lies.
    manifest
        What `cohort.json` holds.
    genes, individuals
        In the order of the rows and columns of `expression`.
    reference_target
        float64 ``[genes]``: what the reference sequence has, on `expression_scale`, NaN where the
        expression file does not say.
    gene_sides
        The side of each gene in the expression file's own split, None where it has none.
    people
        `individual` and, where given, `population` and `family`; rows as `individuals`.
    expression
        float64 ``[genes, individuals]`` on `expression_scale`, NaN where not measured.
    covariate_names, covariates
        float64 ``[covariates, individuals]``; empty where none were given.
    """

    def __init__(
        self,
        folder: Path,
        manifest: dict[str, Any],
        genes: tuple[Gene, ...],
        people: pl.DataFrame,
        expression: NDArray[np.float64],
        covariate_names: tuple[str, ...],
        covariates: NDArray[np.float64],
        reference_target: NDArray[np.float64] | None = None,
        gene_sides: tuple[GeneSide | None, ...] | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self._written = _written(folder)
        self.genes = genes
        self.gene_ids = tuple(gene.gene for gene in genes)
        nothing = np.full(len(genes), np.nan)
        self.reference_target = nothing if reference_target is None else reference_target
        self.gene_sides = gene_sides or (None,) * len(genes)
        self.people = people
        self.individuals: tuple[str, ...] = tuple(people["individual"])
        self.expression = expression
        self.expression_scale: str = manifest["expression_scale"]
        self.covariate_names = covariate_names
        self.covariates = covariates
        assert expression.shape == (len(genes), len(self.individuals))
        assert covariates.shape == (len(covariate_names), len(self.individuals))

    @classmethod
    def open(cls, folder: Path | str) -> Cohort:
        """Open a cohort folder.

        Raises
        ------
        DataError
            There is no cohort, its format version is another, or a file is missing or damaged.
        """
        folder = Path(folder)
        if not (folder / "cohort.json").is_file():
            raise DataError(
                "there is no cohort in this folder",
                where=str(folder),
                wanted="a folder made by glm2x cohort build",
                do="glm2x cohort build --variants VCF --expression BED --reference FASTA --out "
                + str(folder),
            )
        manifest = _manifest(folder / "cohort.json")
        for name, facts in {**manifest["files"], **_described_blocks(manifest)}.items():
            file = folder / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise DataError(
                    "a file of the cohort is missing or cut short",
                    where=str(file),
                    got=f"{file.stat().st_size:,} bytes" if file.is_file() else "nothing",
                    wanted=f"{facts['bytes']:,} bytes",
                    do="build the cohort again",
                )
        _require_tables(folder, manifest)
        table = _parquet(folder / "genes.parquet")
        genes = tuple(Gene(*row) for row in table.select("gene", "contig", "tss", "strand").iter_rows())
        people = _parquet(folder / "individuals.parquet")
        _, expression = _matrix(folder / "expression.parquet", len(people))
        names, covariates = (
            _matrix(folder / "covariates.parquet", len(people))
            if "covariates.parquet" in manifest["files"]
            else ((), np.zeros((0, len(people))))
        )
        return cls(
            folder,
            manifest,
            genes,
            people,
            expression,
            names,
            covariates,
            reference_target=table["reference_target"].fill_null(np.nan).to_numpy(),
            gene_sides=tuple(table["side"]),
        )

    def verify(self, progress: Progress = silent) -> None:
        """Compare every file with its checksum, and what `cohort.json` says of them all with its digest.

        Parameters
        ----------
        progress
            Counts megabytes.

        Raises
        ------
        DataError
            A file is not what was written, or the files do not belong together.
        """
        if self.manifest["digest"] != self.digest:
            raise DataError(
                "cohort.json is not what was written: its digest is another",
                where=str(self.folder / "cohort.json"),
                got=self.digest[:12],
                wanted=str(self.manifest["digest"])[:12],
                do="build the cohort again",
            )
        files = {**self.manifest["files"], **_described_blocks(self.manifest)}
        sizes = {name: -(-facts["bytes"] // 1_000_000) for name, facts in files.items()}
        with progress("verify", sum(sizes.values()), "MB") as bar:
            for name, facts in files.items():
                _require_checksum(self.folder / name, facts["sha256"])
                bar.advance(sizes[name], name)
        for contig in self.manifest["counts"]["columns"]:
            self.variants(contig)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of everything the cohort holds: its files' checksums, and how they are to be read."""
        return manifest_digest(self.manifest)

    def gene_index(self, genes: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each gene; versions (``.12``) may be left off. `DataError` for unknown ones."""
        return _index(genes, self._gene_rows, "gene", self.folder, unversioned)

    def individual_index(self, individuals: Iterable[str]) -> NDArray[np.int64]:
        """Return the column of each individual (`DataError` naming unknown ones)."""
        return _index(individuals, self._individual_rows, "individual", self.folder, str)

    def gene(self, gene: str) -> Gene:
        """Return a gene by its identifier, with or without its version."""
        return self.genes[int(self.gene_index([gene])[0])]

    @property
    def has_reference(self) -> bool:
        """Whether the cohort holds reference sequence."""
        return bool(self.manifest["reference_contigs"])

    def variants(self, contig: str) -> PhasedVariants:
        """Return the phased variants of a contig, the bits memory-mapped (`DataError` for an unknown one)."""
        self._require_contig(contig, self.manifest["counts"]["columns"])
        if contig not in self._variants:
            self._require_same()
            folder = self.folder / "variants"
            self._variants[contig] = open_variants_of(folder, contig, len(self.individuals), self._blocks)
        return self._variants[contig]

    def reference(self, contig: str) -> NDArray[np.uint8]:
        """Return a contig's uint8 codes, memory-mapped.

        Raises
        ------
        UsageError
            The cohort was built without a reference.
        """
        if not self.has_reference:
            raise UsageError(
                "this cohort was built without a reference, and sequences need one",
                where=str(self.folder),
                do="build it again with --reference FASTA",
            )
        self._require_contig(contig, self.manifest["reference_contigs"])
        if contig not in self._references:
            self._require_same()
            path = self.folder / "reference" / f"{contig}.npy"
            self._references[contig] = map_array(path, blocks=self._blocks)
        return self._references[contig]

    def dosages(self, gene: str, window: int) -> Dosages:
        """Return the variants whose position lies in ``[tss - window/2, tss + window/2)``."""
        place = self.gene(gene)
        variants = self.variants(place.contig)
        columns = variants.columns_between(*window_interval(place.tss, window))
        position = variants.position[columns]
        return Dosages(
            position=position,
            distance=position - place.tss,
            ref=variants.ref.between(columns),
            alt=variants.alt.between(columns),
            dosage=variants.dosage(columns),
        )

    def give_back(self) -> None:
        """Give back the memory of what was read of genotypes and reference; what is read again comes anew.

        They are mapped into memory, where all that was ever looked at stays as long as there is room. Who
        goes through many genes says so after each: then it is one gene's.
        """
        arrays = [*self._references.values()]
        for variants in self._variants.values():
            arrays += [variants.bits, variants.unphased_bits]
        for array in arrays:
            if (file := file_of(array)) is not None:
                give_back(file)

    def _require_contig(self, contig: str, known: Iterable[str]) -> None:
        if contig not in known:
            raise DataError(
                f"the cohort has no contig {contig}",
                where=str(self.folder),
                wanted=f"among {', '.join(list(known)[:8])}",
            )

    def _require_same(self) -> None:
        """Raise where the folder was built again since it was opened: other people may be in its rows."""
        if _written(self.folder) != self._written:
            raise DataError(
                "the cohort was built again since it was opened",
                where=str(self.folder),
                do="run the command again",
            )

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is mapped into memory: another process maps it itself."""
        return {name: value for name, value in vars(self).items() if name not in ("_variants", "_references")}

    @property
    def _blocks(self) -> Blocks | None:
        """What gives the checksums of a file's blocks; None in a cohort of an earlier version."""
        if BLOCKS not in self.manifest:
            return None
        return lambda path: read_blocks(self.folder, path.relative_to(self.folder).as_posix())

    @cached_property
    def _variants(self) -> dict[str, PhasedVariants]:
        return {}

    @cached_property
    def _references(self) -> dict[str, NDArray[np.uint8]]:
        return {}

    @cached_property
    def _gene_rows(self) -> dict[str, int]:
        return index_of_names(self.gene_ids)

    @cached_property
    def _individual_rows(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.individuals)}


def _index(
    names: Iterable[str], rows: dict[str, int], kind: str, folder: Path, relax: Any
) -> NDArray[np.int64]:
    names = list(names)
    found = [rows.get(name, rows.get(relax(name))) for name in names]
    absent = [name for name, row in zip(names, found, strict=True) if row is None]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(names)} {kind}s are not in the cohort",
            where=str(folder),
            got=f"first: {', '.join(absent[:3])}",
            wanted=f"{kind}s such as {', '.join(list(rows)[:2])}",
        )
    return np.asarray(found, dtype=np.int64)


def _manifest(path: Path) -> dict[str, Any]:
    """Read `cohort.json` and refuse another version, or one that lacks a key."""
    content = read_json(path, verify=False)
    manifest: dict[str, Any] = content if isinstance(content, dict) else {}
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(
            "the cohort has another format version",
            where=str(path),
            got=str(version),
            wanted=str(FORMAT_VERSION),
            do="build it again with this version of glm2x",
        )
    absent = _KEYS - manifest.keys()
    if absent:
        raise DataError(
            "cohort.json lacks a key",
            where=str(path),
            got=f"no {', '.join(sorted(absent))}",
            do="build it again",
        )
    whole: dict[str, Any] = unsealed(manifest, path)
    return whole


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Return the SHA-256 of what a manifest says a cohort holds: not of the names of its sources."""
    return digest({key: manifest.get(key) for key in _DIGESTED})


def _written(folder: Path) -> tuple[int, int] | None:
    """Return what tells one writing of a cohort from another."""
    try:
        status = (folder / "cohort.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _described_blocks(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what a manifest says of the file of the blocks' checksums, by name; nothing: it is older."""
    return {BLOCKS: manifest[BLOCKS]} if BLOCKS in manifest else {}


def _require_tables(folder: Path, manifest: dict[str, Any]) -> None:
    """Compare the files that are read whole when a cohort is opened with their checksums."""
    for name, facts in manifest["files"].items():
        if name.endswith(".parquet"):
            _require_checksum(folder / name, facts["sha256"])


def _require_checksum(path: Path, wanted: str) -> None:
    got = sha256(path)
    if got != wanted:
        raise damaged(path, f"SHA-256 {got[:12]}", f"SHA-256 {wanted[:12]}")


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            "a table of the cohort cannot be read",
            where=str(path),
            got=str(error),
            do="build the cohort again",
        ) from error


def _matrix(path: Path, columns: int) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read a table of a label column and one float64 column an individual; null is NaN."""
    table = _parquet(path)
    values = table.select(pl.all().exclude(table.columns[0]).cast(pl.Float64)).to_numpy()
    return tuple(table[table.columns[0]]), np.ascontiguousarray(values, dtype=np.float64).reshape(
        len(table), columns
    )
