"""The command line: one verb a stage, file in, file out. Verbs are imported only when they are called.

Exit codes: 0 done; 1 something in the data or on the machine; 2 the command or the configuration
is wrong; 3 a leak check failed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from glm2x import __version__
from glm2x.errors import DataError, Glm2xError
from glm2x.files import FULL
from glm2x.place import require_local

_VERBS = "glm2x.commands"


def _require_local(_: object, value: object) -> None:
    """Refuse a URL where a path is meant, before a folder is made that is called as its scheme."""
    several = value if isinstance(value, tuple) else vars(value).values() if is_dataclass(value) else (value,)
    for one in several:
        if isinstance(one, Path):
            require_local(one)


app = App(
    name="glm2x",
    help="Predict a person's gene expression from that person's two haplotypes, and compare models that do.",
    version=__version__,
    help_format="markdown",
    # --force has no --no-force
    default_parameter=Parameter(negative="", validator=_require_local),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,  # it is ours to tell
)
app.command("glm2x.demo.run:demo", help="The whole pipeline on the real data in the package.")
cohort = App(name="cohort", help="Build or check a cohort: genotypes, expression and a reference.")
cohort.command(f"{_VERBS}.cohort:build", help="Build a cohort folder.")
cohort.command(f"{_VERBS}.cohort:check", help="Verify a cohort's checksums, and say what is in it.")
app.command(f"{_VERBS}.download:download", help="Fetch the public data: reference, genotypes, expression.")
app.command(cohort)
app.command(f"{_VERBS}.simulate:simulate", help="Simulate a cohort whose truth is known.")
app.command(f"{_VERBS}.consensus:consensus", help="Write people's consensus FASTA files, as bcftools would.")
app.command(f"{_VERBS}.study:plan", help="Say what a whole study takes, before anything runs.")
app.command(f"{_VERBS}.haplotypes:haplotypes", help="Print a person's two haplotypes of a gene as FASTA.")
app.command(f"{_VERBS}.split:split", help="Put people and genes into train, validation and test.")
app.command(f"{_VERBS}.backbones:backbones", help="List the backbones, or describe one.")
config = App(name="config", help="Shipped experiments.")
config.command(f"{_VERBS}.config:show", help="Print a shipped experiment, or list them all.")
config.command(f"{_VERBS}.config:convert", help="Turn a published YAML into one of ours.")
app.command(config)
embed = App(name="embed", help="Embeddings of genomic language models, computed once and stored.")
embed.command(f"{_VERBS}.embed:plan", help="Say what it takes in bytes and hours, and plan it.")
embed.command(f"{_VERBS}.embed:run", help="Compute what is planned; several processes may.")
embed.command(f"{_VERBS}.embed:finish", help="Say whether all is there, and what is not.")
embed.command(f"{_VERBS}.embed:status", help="Say what a store holds.")
embed.command(f"{_VERBS}.embed:verify", help="Compare a store with its checksums.")
embed.command(f"{_VERBS}.embed:gc", help="Remove what killed processes left.")
embed.command(f"{_VERBS}.exchange:import_", name="import", help="Take over the published layout.")
embed.command(f"{_VERBS}.exchange:export", help="Write embeddings in the published layout.")
app.command(embed)
app.command(f"{_VERBS}.train:train", help="Train a model as a configuration says.")
app.command(f"{_VERBS}.predict:predict", help="Predict any people's expression with a trained model.")
app.command(
    f"{_VERBS}.zero_shot:zero_shot", help="Predict with a published model's own output, without training."
)
app.command(f"{_VERBS}.baseline:baseline", help="Fit linear baselines and predict with them.")
weights = App(name="weights", help="Weights of linear models: show them, apply them, export them.")
weights.command(f"{_VERBS}.weights:show", help="Say what a file of weights holds, or print a gene's.")
weights.command(f"{_VERBS}.weights:apply", help="Predict any people's expression by weights.")
weights.command(f"{_VERBS}.weights:export", help="Write a PredictDB database, which PrediXcan reads.")
app.command(weights)
work = App(name="work", help="From a laptop to a cluster: plan in shards, run them anywhere, finish.")
plan = App(name="plan", help="Put baselines, predictions or many trainings into shards.")
plan.command(f"{_VERBS}.plan:baseline", help="Baselines by stretches of the genome.")
plan.command(f"{_VERBS}.plan:predict", help="A trained model's predictions.")
plan.command(f"{_VERBS}.plan:sweep", help="Trainings: configurations x splits x seeds.")
work.command(plan)
work.command(f"{_VERBS}.work:run", help="Make the shards: on this machine, by Ray, by SLURM, or one.")
work.command(f"{_VERBS}.work:status", help="Say how far it is, and what failed.")
work.command(f"{_VERBS}.work:finish", help="Put the parts together; name what is missing.")
app.command(work)
app.command(f"{_VERBS}.evaluate:evaluate", help="Measure and compare predictions, and check for leaks.")
app.command(f"{_VERBS}.report:report", help="Draw an evaluation as one HTML page.")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every expected error becomes one message.

    Parameters
    ----------
    arguments
        The words after ``glm2x`` (default: those of the process).
    """
    from glm2x.console import say, say_error
    from glm2x.provenance import command

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with command(words):
            code = app(words, result_action="return_value")
    except Glm2xError as error:
        say_error(error)
        return error.exit_code
    except CycloptsError as error:
        chain = " ".join(["glm2x", *(error.command_chain or [])])
        say(f"glm2x: {error}\n  do:     {chain} --help")
        return 2
    except MemoryError as error:
        todo = "take a smaller window or batch, or fewer genes"
        say(f"glm2x: there is not enough memory\n  got:    {error}\n  do:     {todo}")
        return 1
    except KeyboardInterrupt:
        say("glm2x: interrupted")
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (head, less); nothing more can reach it
        sys.stderr.close()
        return 1
    except OSError as error:
        say_error(_of_the_machine(error))
        return 1
    return code if isinstance(code, int) else 0  # the demo's is that of the command it ended with


def main() -> None:
    """Run the command of this process and exit."""
    # Threads that wait for work by spinning keep it from those that have some: where other programs
    # run too, training took 2 to 8 times as long. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # a scheduler ends a job by SIGTERM: as an exception it lets half-written files be removed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(run())


def _of_the_machine(error: OSError) -> DataError:
    """Return the one message of a file or disk problem that no part of the program expected."""
    if error.errno in FULL:
        return DataError(
            "the disk is full",
            where=str(error.filename or ""),
            do="free some room, and give the command again: what is finished stays",
        )
    return DataError(
        f"the system refused: {error.strerror or error}",
        where=str(error.filename or ""),
        do="check the path, its permissions and the room on the disk",
    )
