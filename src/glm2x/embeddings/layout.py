"""The published layout of precomputed embeddings: a folder a person, a `.pt` file a haplotype.

``{sample}/{gene}_allele_1.pt`` and ``_2.pt`` of people, ``ref/{gene}_allele_.pt`` of the reference. The
published guide writes another word than ``allele``; the number behind it decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from glm2x.cohort.cohort import Cohort
from glm2x.errors import DataError
from glm2x.genome.counts import Counts
from glm2x.genome.genes import index_of_names, unversioned

REFERENCE_SAMPLE = "ref"
REFERENCE_HAPLOTYPE = 0

_NAME = re.compile(r"(?P<gene>.+)_[^_]+_(?P<haplotype>[12]?)\.pt")


@dataclass(frozen=True)
class Haplotype:
    """Whose embeddings a file holds; haplotype 1 or 2, or `REFERENCE_HAPLOTYPE` of `REFERENCE_SAMPLE`."""

    sample: str
    gene: str
    number: int

    def __str__(self) -> str:
        """Return it in words."""
        if self.number == REFERENCE_HAPLOTYPE:
            return f"the reference of {self.gene}"
        return f"haplotype {self.number} of {self.sample} of {self.gene}"

    def file(self, folder: Path) -> Path:
        """Return where it lies in the layout.

        Raises
        ------
        DataError
            A name cannot be one of a file, or is the reference's.
        """
        number = "" if self.number == REFERENCE_HAPLOTYPE else str(self.number)
        names = (self.sample, f"{self.gene}_allele_{number}.pt")
        wrong = [name for name in names if Path(name).name != name or name in ("", "..") or "\0" in name]
        if wrong or (self.sample == REFERENCE_SAMPLE) != (self.number == REFERENCE_HAPLOTYPE):
            raise DataError(
                "the published layout has no place for this name",
                where=str(folder),
                got=(wrong or [self.sample])[0],
                wanted=f"individuals and genes without a slash, and nobody called {REFERENCE_SAMPLE}",
            )
        return folder / names[0] / names[1]


def find_files(folder: Path, cohort: Cohort) -> tuple[dict[Haplotype, Path], Counts]:
    """Return the files of a cohort's people and genes, and what became of all others.

    Genes are the cohort's, found with or without version.

    Raises
    ------
    DataError
        There is no such folder, or one haplotype has two files.
    """
    if not folder.is_dir():
        raise DataError(
            "the folder of precomputed embeddings does not exist",
            where=str(folder),
            wanted="a folder that holds SAMPLE/GENE_allele_1.pt and SAMPLE/GENE_allele_2.pt",
        )
    genes, people = index_of_names(cohort.gene_ids), set(cohort.individuals)
    files: dict[Haplotype, Path] = {}
    counts = Counts()
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir() or entry.name not in people | {REFERENCE_SAMPLE}:
            counts.add("folders of nobody in the cohort" if entry.is_dir() else "other files", str(entry))
            continue
        for path in sorted(entry.iterdir()):
            match = _NAME.fullmatch(path.name)
            number = int(match["haplotype"] or REFERENCE_HAPLOTYPE) if match else -1
            if not match or (entry.name == REFERENCE_SAMPLE) != (number == REFERENCE_HAPLOTYPE):
                counts.add("other files", str(path))
                continue
            row = genes.get(match["gene"], genes.get(unversioned(match["gene"])))
            if row is None:
                counts.add("files of genes that are not in the cohort", str(path))
                continue
            haplotype = Haplotype(entry.name, cohort.gene_ids[row], number)
            if haplotype in files:
                raise DataError(
                    "a haplotype has two files",
                    where=str(folder),
                    got=f"{files[haplotype].name} and {path.name} of {entry.name}",
                    wanted="one",
                    do="move one of them away",
                )
            files[haplotype] = path
    return files, counts
