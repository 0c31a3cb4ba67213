"""`glm2x predict`: a trained model predicts any people of any cohort."""

from __future__ import annotations

from pathlib import Path

from glm2x.commands.options import AnyPlace, PredictOptions
from glm2x.console import progress, say


def predict(
    checkpoint: Path,
    /,
    options: PredictOptions,
    *,
    out: AnyPlace,
    force: bool = False,
) -> None:
    """Predict people's expression, also of people without any, as a table that evaluate reads.

    On several GPUs: torchrun --standalone --nproc-per-node 4 -m glm2x predict CHECKPOINT ...

    Parameters
    ----------
    checkpoint
        A checkpoint folder, such as RUN/checkpoint.
    out
        The table to write: .parquet, or .csv; or its URL.
    force
        Replace what is there.
    """
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import of_checkpoint, of_cohort, of_split, of_store
    from glm2x.config import TrainingConfig
    from glm2x.files import read_list, refuse_existing
    from glm2x.predictions import write_predictions
    from glm2x.provenance import artefact, artefacts, record
    from glm2x.training.parallel import once_a_machine, started

    with once_a_machine():
        refuse_existing(out, force=force)
    with started(TrainingConfig(device=options.device)) as ranks:
        opened, sides, chosen_genes, chosen_people = ranks.together(
            lambda: (
                Cohort.open(options.cohort),
                Split.load(options.split) if options.split else None,
                read_list(options.genes) if options.genes else None,
                read_list(options.individuals) if options.individuals else None,
            )
        )
        from glm2x.backbones.device import require_device  # torch: only now, when all else is right
        from glm2x.training.tabulate import predictions_of

        table = predictions_of(
            checkpoint,
            opened,
            split=sides,
            genes=chosen_genes,
            individuals=chosen_people,
            embeddings=options.embeddings,
            device=options.device,
            progress=progress,
            ranks=ranks,
        )
        ranks.first(lambda: write_predictions(out, table, force=force))
        if ranks.is_first:
            lists = artefacts(individuals=options.individuals, genes=options.genes)
            record(
                out,
                outputs=[artefact("predictions", out)],
                inputs=[
                    *(
                        of_cohort(opened, options.cohort),
                        *of_split(sides, options.split),
                        *of_checkpoint(checkpoint),
                    ),
                    *(*of_store(options.embeddings), *lists),
                ],
                device=str(ranks.fabric.device) if ranks.fabric else require_device(options.device),
            )
            say(
                f"predicted {table.frame['gene'].n_unique()} genes in "
                f"{table.frame['individual'].n_unique()} people; written to {out}"
            )
