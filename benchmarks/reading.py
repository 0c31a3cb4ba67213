"""What reading a contig of real genotypes into a cohort costs, beside programs that only read it.

    python benchmarks/reading.py GENOTYPES EXPRESSION

For instance all of chr22 of 358 people, and their phenotype BED. The cohort is built without a reference. CPU
seconds of a process of its own, the median of three, and bytes on disk.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from measuring import in_child

TURNS = 3
GOALS = (4.0, 10_000_000)


def build(vcf: Path, expression: Path, out: Path) -> dict[str, Any]:
    """Build a cohort; say what it cost without the start of Python, and its size."""
    from glm2x.cohort.build import build_cohort
    from glm2x.cohort.sources import CohortSources

    started = time.process_time()
    build_cohort(CohortSources(variants=vcf, expression=expression, reference=None), out)
    seconds = time.process_time() - started
    return {"seconds": seconds, "size": sum(p.stat().st_size for p in out.rglob("*") if p.is_file())}


def iterate(path: Path, genotypes: bool) -> dict[str, Any]:
    """Pass over a file's records with cyvcf2 and do nothing with them."""
    from cyvcf2 import VCF

    started, records = time.process_time(), 0
    for record in VCF(str(path), lazy=True):
        records += 1
        if genotypes:
            record.genotype.array()
    return {"seconds": time.process_time() - started, "records": records}


def main(vcf: Path, expression: Path, folder: Path) -> None:
    """Print the table."""
    bcf = folder / "genotypes.bcf"
    _program("bcftools", "view", "-Ob", "-o", bcf, vcf)
    built = [in_child(__file__, "build", vcf, expression, folder / str(turn)) for turn in range(TURNS)]
    size = built[0]["size"]
    print(f"{vcf.name}, {vcf.stat().st_size / 1e6:.1f} MB; as BCF {bcf.stat().st_size / 1e6:.1f} MB")
    print(f"{'':<44}{'CPU s':>8}{'MB on disk':>12}")
    goal = f"   goal {GOALS[0]:.0f} s, {GOALS[1] / 1e6:.0f} MB"
    print(f"{'glm2x cohort build':<44}{median(b['seconds'] for b in built):>8.2f}{size / 1e6:>12.1f}{goal}")
    for path in (vcf, bcf):
        for name, genotypes in (("records", 0), ("genotypes", 1)):
            seen = [in_child(__file__, "iterate", path, genotypes)["seconds"] for _ in range(TURNS)]
            print(f"{f'cyvcf2, {name} of {path.name}':<44}{median(seen):>8.2f}")
    for path in (vcf, bcf):
        seen = [_program("bcftools", "view", "-Ou", "-o", "/dev/null", path) for _ in range(TURNS)]
        print(f"{f'bcftools view -Ou, {path.name}':<44}{median(seen):>8.2f}")


def _program(*command: str | Path) -> float:
    """Run a program and return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    work, *given = sys.argv[1:] or [""]
    if work == "build":
        print(json.dumps(build(*map(Path, given))))
    elif work == "iterate":
        print(json.dumps(iterate(Path(given[0]), given[1] == "1")))
    elif len(given) == 1:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(work), Path(given[0]), Path(scratch))
    else:
        sys.exit(__doc__)
