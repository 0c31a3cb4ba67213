"""What many tests share: the demo cohort built once, small VCFs and FASTAs, and where larger data lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest
from hypothesis import settings

from glm2x.cohort.build import build_cohort
from glm2x.cohort.cohort import Cohort
from glm2x.cohort.freeze import make_split
from glm2x.cohort.presets import preset_people
from glm2x.cohort.sources import CohortSources
from glm2x.cohort.split import Split
from s3_server import S3, served, used

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

# The same cases at every run, so that a change is judged by what it changed; HYPOTHESIS_PROFILE=explore
# looks at new ones.
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src/glm2x/demo/data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The larger data beside the repository, which users do not have."""
    folder = ROOT.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip("needs the larger data that lies beside the repository (../shared/data)")
    return folder


@pytest.fixture(scope="session")
def demo_sources() -> CohortSources:
    return CohortSources(
        variants=DEMO / "genotypes.vcf.gz",
        expression=DEMO / "expression.bed.gz",
        reference=DEMO / "reference.fa.gz",
        individuals=DEMO / "individuals.tsv",
        covariates=DEMO / "covariates.txt.gz",
    )


@pytest.fixture(scope="session")
def demo_cohort(demo_sources: CohortSources, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("demo") / "cohort"
    build_cohort(demo_sources, folder)
    return Cohort.open(folder)


@pytest.fixture(scope="session")
def demo_split(demo_cohort: Cohort) -> Split:
    return make_split(demo_cohort, preset_people(demo_cohort, "s250"), window=64_000)


@pytest.fixture(scope="session")
def s3_served() -> Iterator[S3]:
    with served() as storage:
        yield storage


@pytest.fixture
def s3(s3_served: S3) -> Iterator[S3]:
    """An empty object storage on this machine, which the environment names."""
    s3_served.clear()
    with used(s3_served):
        yield s3_served


class SmallCohort:
    """Writes the three files of a cohort of two people and two genes, each of which a test may spoil."""

    reference = ">1\nAACCGGTTAACCGGTTAACCGGTTAACCGGTT\n"  # 32 bp
    header = (
        "##fileformat=VCFv4.2\n##contig=<ID=1,length=32>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tann\tbob\n"
    )
    records = ("1\t9\t.\tA\tG\t.\t.\t.\tGT\t0|1\t1|1\n", "1\t17\t.\tA\tC\t.\t.\t.\tGT\t1|0\t0|0\n")
    expression = (
        "#chr\tstart\tend\tgene\tstrand\tbob\tann\n"
        "1\t8\t9\tplus\t+\t3\t1\n1\t16\t17\tENSG00000000002.2\t-\t0\t7\n"
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "cohort"

    def write(self, *, bgzip: bool = False) -> CohortSources:
        fasta, vcf, bed = (self.folder / name for name in ("ref.fa", "people.vcf", "expression.bed"))
        fasta.write_text(self.reference)
        Path(f"{fasta}.fai").unlink(missing_ok=True)  # of an earlier, other reference
        vcf.write_text(self.header + "".join(self.records))
        bed.write_text(self.expression)
        if bgzip:
            pysam.tabix_compress(str(vcf), f"{vcf}.gz", force=True)
            vcf = Path(f"{vcf}.gz")
        return CohortSources(variants=vcf, expression=bed, reference=fasta)

    def build(self, **options: object) -> Cohort:
        build_cohort(self.write(), self.out, **options)  # type: ignore[arg-type]
        return Cohort.open(self.out)


@pytest.fixture
def small(tmp_path: Path) -> SmallCohort:
    return SmallCohort(tmp_path)
