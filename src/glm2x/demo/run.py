"""`glm2x demo`: every stage in turn on the real data in the package, by commands as a user types them."""

from __future__ import annotations

import shlex
import time
from importlib import resources
from pathlib import Path

from glm2x.cli import run
from glm2x.console import say
from glm2x.files import refuse_existing, write_aside
from glm2x.provenance import peak_memory

EXPERIMENT = "onehot-reference-then-personal"


def demo(*, out: Path = Path("demo-out"), seed: int = 0, force: bool = False) -> int:
    """Run the whole pipeline: cohort, baselines, training, prediction, evaluation, report.

    Real people: 358 individuals of GEUVADIS and 1000 Genomes, 26 genes and 1,864 SNPs of
    chr22:20-21 Mb. A few minutes on two cores. Each command is printed before it runs, and can be typed
    again as it stands.

    Parameters
    ----------
    out
        The folder to write.
    seed
        Of the training.
    force
        Replace what is there.
    """
    if not force:
        refuse_existing(out, force=False)  # with force each stage replaces what it wrote, and nothing else
    started = time.monotonic()
    replacing = ["--force"] if out.exists() else []
    _copy_data(out / "data")
    stages = _stages(out, seed)
    for number, (what, words) in enumerate(stages, start=1):
        say(f"{number}/{len(stages)} {what}\n$ {shlex.join(['glm2x', *words, *replacing])}")
        code = run([*words, *replacing])
        if code:
            return code  # it has said why
    own, child = peak_memory()
    most = max(own, child or 0) / 1e9
    say(f"done in {time.monotonic() - started:.0f} s, at most {most:.1f} GB of memory in one process")
    say(f"look at {out / 'evaluation' / 'report.html'}")
    return 0


def _copy_data(folder: Path) -> None:
    """Copy the data out of the package, so that the commands hold no path of an installation."""
    for file in (resources.files("glm2x.demo") / "data").iterdir():
        with write_aside(folder / file.name, force=True) as aside:
            aside.write_bytes(file.read_bytes())


def _stages(out: Path, seed: int) -> list[tuple[str, list[str]]]:
    """Return what is done, and by which words after ``glm2x``."""
    data, cohort, split, trained = (str(out / name) for name in ("data", "cohort", "split.json", "run"))
    linear, model, reference = (
        str(out / "predictions" / f"{name}.parquet") for name in ("baselines", "model", "reference-only")
    )
    evaluation = str(out / "evaluation")
    files = {
        "--variants": "genotypes.vcf.gz",
        "--expression": "expression.bed.gz",
        "--reference": "reference.fa.gz",
        "--individuals": "individuals.tsv",
        "--covariates": "covariates.txt.gz",
    }
    sources = [word for option, name in files.items() for word in (option, f"{data}/{name}")]
    settings = (f"cohort={cohort}", f"split={split}", f"out={trained}", f"training.seed={seed}")
    of_training = [word for setting in settings for word in ("--set", setting)]
    sides = ["--cohort", cohort, "--split", split]
    return [
        (
            "personal haplotypes of 358 people around 26 genes",
            ["cohort", "build", *sources, "--out", cohort],
        ),
        ("108 people are kept for the test", ["split", cohort, "--preset", "s250", "--out", split]),
        ("linear models of the same variants", ["baseline", cohort, "--split", split, "--out", linear]),
        ("one model of all genes, from sequence", ["train", EXPERIMENT, *of_training]),
        (
            "everybody's expression by the model",
            ["predict", f"{trained}/checkpoint", "--cohort", cohort, "--out", model],
        ),
        (
            "and by its first phase, which saw the reference alone",
            ["predict", f"{trained}/phases/reference/best", "--cohort", cohort, "--out", reference],
        ),
        (
            "measured, compared, checked for leaks",
            ["evaluate", linear, reference, model, *sides, "--out", evaluation],
        ),
        ("as one page", ["report", evaluation, "--run", trained]),
    ]
