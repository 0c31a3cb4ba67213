"""`glm2x embed`: what a genomic language model makes of a cohort's haplotypes, computed once and stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glm2x.commands.arguments import require_positive
from glm2x.commands.options import RUN_DEFAULTS, AnyPlace, RunOptions
from glm2x.console import bytes_words, print_json, progress, say, show_table

if TYPE_CHECKING:
    from glm2x.cohort.cohort import Cohort


def plan(
    *,
    backbone: str,
    cohort: Path,
    out: AnyPlace,
    window: int = 64_000,
    genes: Path | None = None,
    individuals: Path | None = None,
    split: Path | None = None,
    reference_only: bool = False,
    keep: Literal["tokens", "bins", "mean"] = "tokens",
    bins: int | None = None,
    dtype: Literal["bf16", "fp32"] | None = None,
    weights: Path | None = None,
    revision: str | None = None,
    layer: str | None = None,
    model: str | None = None,
    remote_code: bool = False,
    strand: Literal["gene", "both"] = "gene",
    tile: int | None = None,
    overlap: int | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    shard_mb: int = 128,
    shard_haplotypes: int = 1_024,
) -> None:
    """Say what embedding a cohort's haplotypes takes in bytes and hours, refuse what cannot fit, and plan it.

    Planning again, with more genes, people or another cohort, adds what is not stored or planned yet.

    Parameters
    ----------
    backbone
        A frozen one (glm2x backbones).
    cohort
        The cohort's folder.
    out
        The store's folder, or its URL (s3://BUCKET/NAME).
    window
        Base pairs around the TSS, even.
    genes
        Which, one a line (default: all, or the split's).
    individuals
        Who, one a line (default: everybody, or the split's). The reference is always embedded, too.
    split
        Take its genes and people.
    reference_only
        Nobody's haplotypes, only the reference's: what a reference phase needs of genes that no personal
        phase reads.
    keep
        All tokens; their means in --bins bins; or one mean.
    bins
        How many.
    dtype
        Of tokens (default bf16); what is reduced is always fp32.
    weights
        A folder with the weights (default: the official ones).
    revision
        Of the official weights.
    layer
        Whose output is taken (default: the published one).
    model
        For the backbone huggingface: the model's name on the Hub.
    remote_code
        For huggingface: let code that comes with the model run; asks for a pinned --revision.
    strand
        The gene's, or the mean of both.
    tile
        Cut longer windows into tiles of so many base pairs (default: what the model takes).
    overlap
        Base pairs that two tiles share (default: a quarter).
    device
        What will compute; it is part of what a store holds.
    batch_size
        Windows that go through the model together (default: by the model).
    threads
        Of a process on a CPU, whoever starts it (default: one a core of this machine).
    shard_mb
        Megabytes of a shard, the unit of work, at most: what a killed process loses.
    shard_haplotypes
        Haplotypes of a shard, at most.
    """
    from glm2x.backbones.registry import build_language_model, get
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split
    from glm2x.commands.recorded import of_cohort, of_split, of_store
    from glm2x.config import BackboneConfig
    from glm2x.errors import UsageError

    if window <= 0 or window % 2:
        raise UsageError("--window is an even number of base pairs", got=str(window))
    if batch_size is not None and batch_size >= 2**31:
        raise UsageError("--batch-size is not that large", got=f"{batch_size:,}")
    if reference_only and individuals is not None:
        raise UsageError(
            "--reference-only embeds nobody, and --individuals names some", do="give one of them"
        )
    for option, value in (
        ("--batch-size", batch_size),
        ("--threads", threads),
        ("--shard-mb", shard_mb),
        ("--shard-haplotypes", shard_haplotypes),
    ):
        require_positive(option, value)
    info = get(backbone)
    opened = Cohort.open(cohort)
    genes_chosen, people_chosen = _chosen(opened, genes, individuals, split)
    if reference_only:
        people_chosen = ()
    config = BackboneConfig(
        name=info.name,
        weights=None if weights is None else str(weights.absolute()),
        revision=revision,
        layer=int(layer) if layer is not None and layer.lstrip("-").isdecimal() else layer,
        model=model,
        remote_code=remote_code,
    )
    # torch: only now, when all else is right
    from glm2x.backbones.device import default_threads, require_device
    from glm2x.embeddings.describe import rows_of, seconds_a_window, spec_of
    from glm2x.embeddings.plan import require_room, unplanned, waiting, wanted_haplotypes, write_plan
    from glm2x.embeddings.spec import BYTES
    from glm2x.embeddings.store import Store
    from glm2x.provenance import artefacts, count_passes, record

    kind = require_device(device)
    wanted = wanted_haplotypes(opened, window, genes_chosen, people_chosen, progress)
    unique = len(wanted.table)
    print(
        f"{wanted.genes:,} genes in {wanted.individuals:,} people: {wanted.windows:,} windows with the "
        f"references, {unique:,} of them unique: {wanted.windows / unique:.1f} times fewer passes"
    )
    if info.width and model is None:  # known before the weights are looked for
        each = rows_of(info.tokens_for(window), keep, bins) * info.width
        each *= BYTES[dtype or ("bf16" if keep == "tokens" else "fp32")]
        room = require_room(out, each, 0 if out.exists() else unique)
        free = "" if room is None else f"; {bytes_words(room)} free"
        print(f"{bytes_words(each)} a haplotype, {bytes_words(each * unique)} in all{free}")
    built = build_language_model(config)
    spec = spec_of(
        info.name,
        built,
        window,
        keep=keep,
        bins=bins,
        dtype=dtype,
        strand=strand,
        tile=tile,
        overlap=overlap,
        device=kind,  # type: ignore[arg-type]
    )
    if not out.exists():
        require_room(out, spec.bytes_of_one, unique)
    store = Store.create(out, spec)
    todo = unplanned(store, wanted)
    if len(todo):
        require_room(out, spec.bytes_of_one, len(todo) + waiting(store))
    print(
        f"{spec.rows:,} x {spec.width:,} in {spec.dtype} a haplotype; {unique - len(todo):,} are stored or "
        f"planned already; {len(todo):,} to do, {bytes_words(len(todo) * spec.bytes_of_one)}"
    )
    if not len(todo):
        say(f"nothing is left to plan in {out}")
        return
    batch = batch_size or built.at_once(window)
    seconds = seconds_a_window(built, spec, kind, min(batch, len(todo), shard_haplotypes)) * len(todo)
    print(f"about {_duration(seconds)} for one process on this {kind}, from a short window's time")
    made = write_plan(
        store,
        opened,
        todo,
        config,
        batch=batch,
        threads=threads or default_threads(),
        shard_bytes=shard_mb * 1_000_000,
        shard_haplotypes=shard_haplotypes,
    )
    count_passes(wanted.windows, unique)
    record(
        out,
        outputs=of_store(out),
        inputs=[
            *(of_cohort(opened, cohort), *of_split(Split.load(split) if split else None, split)),
            *artefacts(genes=genes, individuals=individuals, backbone_weights=weights),
        ],
        device=kind,
        add=True,
    )
    say(f"planned {len(made.shards()):,} shards; glm2x embed run {out} computes them")


def run(store: AnyPlace, /, options: RunOptions = RUN_DEFAULTS) -> None:
    """Compute what is planned, shard by shard, until nothing is left; several may run at once.

    A process that was killed loses the shard it had in hand: run it again.

    Parameters
    ----------
    store
        The store's folder, or its URL (s3://BUCKET/NAME).
    """
    from glm2x.commands.recorded import of_store
    from glm2x.commands.work import run_planned, where_of
    from glm2x.provenance import record
    from glm2x.work.kinds.embed import EmbedWork

    opened = EmbedWork.of(store.absolute(), where_of(options))
    done = run_planned(opened, options)
    if done is not None:
        passes = opened.haplotypes(done)
        if passes:
            record(store, outputs=of_store(store), device=opened.device, add=True)
        say(f"{passes:,} windows went through the model, one for each unique haplotype; {len(done):,} shards")


def finish(store: AnyPlace, /) -> None:
    """Say whether everything planned is stored, and name what is missing; put the index together.

    Parameters
    ----------
    store
        The store's folder, or its URL (s3://BUCKET/NAME).
    """
    from glm2x.embeddings.status import require_complete
    from glm2x.embeddings.store import Store

    opened = Store.open(store)
    planned = require_complete(opened)
    opened.consolidate()
    if planned:
        say(f"all of the {planned:,} planned haplotypes are stored: {store} is complete")
    else:
        say(f"nothing is planned in {store}, which holds {len(opened):,} haplotypes")


def status(store: AnyPlace, /, *, json: bool = False) -> None:
    """Say what a store holds, and how far its plans are.

    Parameters
    ----------
    store
        The store's folder, or its URL (s3://BUCKET/NAME).
    json
        Print one JSON document on standard output: spec, digest, haplotypes, bytes, in_hand (shards that
        processes work on), and plans with name, cohort, planned, stored and lacking_genes.
    """
    from dataclasses import asdict

    from glm2x.embeddings.status import status as status_of
    from glm2x.embeddings.store import Store

    opened = Store.open(store)
    spec, found = opened.spec, status_of(opened)
    if json:
        print_json({"spec": spec.as_json(), "digest": spec.digest, **asdict(found)})
        return
    print(f"{spec.backbone}, layer {spec.model.get('layer')}, {spec.model.get('precision')} on {spec.device}")
    print(f"windows of {spec.window:,} bp: {spec.rows:,} x {spec.width:,} in {spec.dtype} ({spec.keep})")
    print(f"{found.haplotypes:,} haplotypes, {bytes_words(found.bytes)}")
    if found.plans:
        show_table(
            {
                "plan": "left",
                "planned": "right",
                "stored": "right",
                "genes lacking": "right",
                "cohort": "left",
            },
            [
                (
                    plan.name,
                    *(f"{n:,}" for n in (plan.planned, plan.stored, len(plan.lacking_genes))),
                    plan.cohort,
                )
                for plan in found.plans
            ],
        )
    if found.in_hand:
        print(f"{found.in_hand:,} shards are in the hands of processes")


def verify(store: AnyPlace, /) -> None:
    """Read everything in a store and compare it with its checksums; name what is damaged (exit 1).

    Parameters
    ----------
    store
        The store's folder, or its URL (s3://BUCKET/NAME).
    """
    from glm2x.embeddings.store import Store
    from glm2x.embeddings.verify import verify as verify_store
    from glm2x.errors import DataError

    found = verify_store(Store.open(store), progress)
    for problem in found.problems:
        row = "" if problem.row is None else f", row {problem.row}, haplotype {problem.key}"
        print(f"shard {problem.shard}{row}: {problem.what}")
    if found.problems:
        raise DataError(
            f"{len(found.problems):,} things in the store are damaged; they stand above",
            where=str(store),
            do="delete the shards that are named; glm2x embed gc then forgets them, and glm2x embed run (or "
            "import, where they were imported) makes them again",
        )
    say(f"{found.haplotypes:,} haplotypes in {found.shards:,} shards are as they were written")


def gc(store: AnyPlace, /) -> None:
    """Remove what killed processes left in a store, and what it holds twice.

    Parameters
    ----------
    store
        The store's folder, or its URL (s3://BUCKET/NAME).
    """
    from glm2x.embeddings.gc import collect
    from glm2x.embeddings.store import Store

    done = collect(Store.open(store))
    for name in done.removed:
        say(f"removed {name}")
    for name in done.forgotten:
        say(f"forgot shard {name}: its file is gone; glm2x embed run computes it again")
    if done.in_hand:
        say(f"left alone {len(done.in_hand):,} files that processes have in hand")
    say(f"{len(done.removed):,} files removed, {bytes_words(done.bytes)}")


def _duration(seconds: float) -> str:
    """Return a time for people to read."""
    for unit, length in (("days", 172_800), ("hours", 7_200), ("minutes", 120)):
        if seconds >= length:
            return f"{seconds / (length / 2):.1f} {unit}"
    return f"{seconds:.0f} s"


def _chosen(
    cohort: Cohort, genes: Path | None, individuals: Path | None, split: Path | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the genes and people that the options name."""
    from glm2x.cohort.split import Split
    from glm2x.files import read_list

    of_split: tuple[tuple[str, ...], tuple[str, ...]] = (cohort.gene_ids, cohort.individuals)
    if split is not None:
        sides = Split.load(split)
        sides.require_cohort(cohort)
        of_split = (sides.seen + sides.unseen, sides.train + sides.validation + sides.test)
    return (
        of_split[0] if genes is None else read_list(genes),
        of_split[1] if individuals is None else read_list(individuals),
    )
