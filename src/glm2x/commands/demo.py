"""`glm2x demo`: every stage in turn on the real data in the package, by the commands a user would type."""

from __future__ import annotations

import resource
import sys
import time
from importlib import resources
from pathlib import Path

from glm2x.commands.baseline import baseline
from glm2x.commands.cohort import build
from glm2x.commands.evaluate import evaluate
from glm2x.commands.options import FitOptions, PredictOptions
from glm2x.commands.predict import predict
from glm2x.commands.report import report
from glm2x.commands.split import split
from glm2x.commands.train import train
from glm2x.console import say
from glm2x.files import refuse_existing

EXPERIMENT = "onehot-reference-then-personal"


def demo(*, out: Path = Path("demo-out"), seed: int = 0, force: bool = False) -> None:
    """Run the whole pipeline: cohort, baselines, training, prediction, evaluation, report.

    Real people: 358 individuals of GEUVADIS and 1000 Genomes, 26 genes and 1,864 SNPs of
    chr22:20-21 Mb. A few minutes on two cores.

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
    data = Path(str(resources.files("glm2x.demo") / "data"))
    cohort, sides, run = out / "cohort", out / "split.json", out / "run"
    linear, model, reference = (
        out / "predictions" / f"{name}.parquet" for name in ("baselines", "model", "reference-only")
    )
    evaluation = out / "evaluation"

    say("1/6 glm2x cohort build: personal haplotypes of 358 people around 26 genes")
    build(
        variants=(data / "genotypes.vcf.gz",),
        expression=data / "expression.bed.gz",
        reference=data / "reference.fa.gz",
        individuals=data / "individuals.tsv",
        covariates=data / "covariates.txt.gz",
        out=cohort,
        force=force,
    )
    say("2/6 glm2x split --preset s250: 108 people are kept for the test")
    split(cohort, preset="s250", out=sides, force=force)
    say("3/6 glm2x baseline: linear models of the same variants")
    baseline(cohort, FitOptions(split=sides), out=linear, force=force)
    say(f"4/6 glm2x train {EXPERIMENT}: one model of all genes, from sequence")
    settings = (f"cohort={cohort}", f"split={sides}", f"out={run}", f"training.seed={seed}")
    train(EXPERIMENT, set_=settings, force=force)
    say("5/6 glm2x predict: everybody, by the model and by its reference-only first phase")
    predict(run / "checkpoint", PredictOptions(cohort=cohort), out=model, force=force)
    predict(run / "phases" / "reference" / "best", PredictOptions(cohort=cohort), out=reference, force=force)
    say("6/6 glm2x evaluate and glm2x report")
    evaluate(linear, reference, model, cohort=cohort, split=sides, out=evaluation, force=force)
    report(evaluation, run=(run,), force=force)
    say(f"done in {time.monotonic() - started:.0f} s, at most {_peak_gb():.1f} GB of memory in one process")
    say(f"look at {evaluation / 'report.html'}")


def _peak_gb() -> float:
    """Return the peak resident memory of this process or its largest child so far, GB."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kB elsewhere
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) * unit / 1e9
