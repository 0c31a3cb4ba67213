"""`glm2x plan`: what a whole study takes in windows, bytes and hours, before anything runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from glm2x.console import bytes_words, print_json, progress, say, show_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from glm2x.study.costs import Costs
    from glm2x.study.needs import Kept
    from glm2x.study.show import Planned
    from glm2x.study.size import Size

_PUBLISHED = "enformer,borzoi,nucleotide-transformer-v2,caduceus-ph,evo2"
_SHORT = {"nucleotide-transformer-v2": 11_000}  # the published window where it is not 64 kb


def plan(
    *,
    cohort: Path | None = None,
    split: Path | None = None,
    people: int | None = None,
    genes: int | None = None,
    train_people: int = 50,
    reference_genes: int | None = None,
    min_maf: float = 0.0,
    backbones: str = _PUBLISHED,
    window: int | None = None,
    keep: Literal["tokens", "bins", "mean"] = "tokens",
    bins: int | None = None,
    epochs: int = 40,
    gpu: str = "a100",
    gpus: int = 1,
    utilisation: float = 0.3,
    costs: Path | None = None,
    measure: Path | None = None,
    weights: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    out: Path = Path(),
    disk_gb: float | None = None,
    hours: float | None = None,
    json: bool = False,
    force: bool = False,
) -> None:
    """Say what a study takes in windows, bytes and hours; exit 1 where it cannot fit, and say what would.

    Parameters
    ----------
    cohort
        Count in this cohort; without one, --people and --genes are taken on paper.
    split
        Its genes and people, and how many of them are trained on.
    people
        How many are predicted, where there is no cohort.
    genes
        How many genes of the personal phase, where there is no cohort.
    train_people
        How many of them are trained on, without a split.
    reference_genes
        Genes of the reference phase (default: the same).
    min_maf
        Without variants whose minor allele is rarer, as if the genotypes had been filtered.
    backbones
        Names, with commas between them (glm2x backbones).
    window
        Base pairs around the TSS (default: 64,000; Nucleotide Transformer 11,000).
    keep
        What is stored of language models: all tokens, means in --bins bins, or one mean.
    bins
        How many.
    epochs
        Of each phase.
    gpu
        What times are reckoned for: a100, h100, l40s, a10, rtx4090, v100.
    gpus
        How many share the work.
    utilisation
        The share of the device's peak that is reached.
    costs
        JSON of seconds a window, instead of reckoned ones.
    measure
        Measure the one backbone on this machine, and write what a window costs to this file.
    weights
        The folder of its weights (default: the official ones).
    device
        Where to measure.
    out
        Where stores would lie: its free bytes are what there is.
    disk_gb
        Take so many gigabytes instead.
    hours
        Refuse what takes longer.
    json
        One JSON document on standard output.
    force
        Replace the file that is measured to.
    """
    from glm2x.errors import DataError
    from glm2x.study.show import as_json

    study = _study(cohort, split, people, genes, train_people, min_maf)
    work = _Work(keep, bins, epochs, gpu, gpus, utilisation, reference_genes)
    work.require_possible()
    room = _room(out) if disk_gb is None else int(disk_gb * 1e9)
    names = _names(backbones)
    if measure is not None:
        _measure(names, window, work, weights, device, measure, force)
        costs = measure
    given = _given(costs)
    planned = [_planned(name, window, study, work, given, room, hours) for name in names]
    if json:
        print_json(as_json(planned, room))
    else:
        _print(planned, room)
    refused = [one.needs.backbone for one in planned if not one.fits]
    if refused:
        raise DataError(
            f"{len(refused)} of {len(planned)} backbones do not fit: {', '.join(refused)}",
            got=f"{bytes_words(room)} of disk" + (f", {hours:g} hours" if hours is not None else ""),
            do="choose among what stands above, or give --out on a larger disk, more --gpus or --hours",
        )


@dataclass(frozen=True)
class _Study:
    """Whom and what a study is about; `size` counts by window and least minor allele frequency."""

    size: Callable[[int, float], Size]
    train: int
    thresholds: tuple[float, ...]
    min_maf: float


@dataclass(frozen=True)
class _Work:
    """What is done in a study."""

    keep: str
    bins: int | None
    epochs: int
    gpu: str
    gpus: int
    utilisation: float
    reference_genes: int | None

    def require_possible(self) -> None:
        from glm2x.errors import UsageError

        if self.gpus < 1 or not 0 < self.utilisation <= 1 or self.epochs < 1:
            raise UsageError(
                "--gpus and --epochs are 1 or more, --utilisation is above 0 and at most 1",
                got=f"{self.gpus}, {self.epochs} and {self.utilisation}",
            )
        if (self.keep == "bins") != (self.bins is not None) or (self.bins is not None and self.bins < 1):
            raise UsageError("--bins is how many bins --keep bins makes", do="give both, or neither")


def _study(
    cohort: Path | None,
    split: Path | None,
    people: int | None,
    genes: int | None,
    train: int,
    min_maf: float,
) -> _Study:
    from glm2x.errors import UsageError
    from glm2x.study.size import LAW_MAF, counted, on_paper

    if not 0 <= min_maf < 0.5:
        raise UsageError("--min-maf is a frequency below 0.5", got=str(min_maf))
    if cohort is None:
        if split is not None or people is None or genes is None:
            raise UsageError(
                "a study is a cohort, or a number of people and genes",
                do="give --cohort COHORT [--split split.json], or --people N --genes N",
            )
        if people < 1 or genes < 1 or not 0 < train <= people:
            raise UsageError(
                "--people and --genes are 1 or more, and --train-people not more than --people",
                got=f"{people}, {genes} and {train}",
            )
        return _Study(
            lambda window, maf: on_paper(genes, people, window, min_maf=maf), train, (LAW_MAF,), min_maf
        )
    if people is not None or genes is not None:
        raise UsageError("--people and --genes are the cohort's where there is one", do="leave them out")
    from glm2x.cohort.cohort import Cohort
    from glm2x.cohort.split import Split

    opened = Cohort.open(cohort)
    who, what = opened.individuals, opened.gene_ids
    if split is not None:
        sides = Split.load(split)
        sides.require_cohort(opened)
        who, what = sides.train + sides.validation + sides.test, sides.seen + sides.unseen
        train = len(sides.train)
    known: dict[tuple[int, float], Size] = {}

    def size(window: int, maf: float) -> Size:
        if (window, maf) not in known:
            known[window, maf] = counted(opened, window, what, who, progress, min_maf=maf)
        return known[window, maf]

    return _Study(size, min(train, len(who)), (LAW_MAF, 0.01, 0.05), min_maf)


def _planned(
    name: str,
    window: int | None,
    study: _Study,
    work: _Work,
    given: dict[str, Costs],
    room: int,
    hours: float | None,
) -> Planned:
    """Return what one backbone needs and, where that cannot be met, what would."""
    from glm2x.backbones.registry import get
    from glm2x.study.costs import reckoned
    from glm2x.study.needs import Needs, Training, alternatives, kept
    from glm2x.study.show import Planned

    info, at = get(name), _window(name, window)
    tokens = info.tokens_for(at) if info.kind == "frozen" else 0
    stored = kept(work.keep, tokens, info.width, work.bins) if tokens else None

    def cost(of: Kept | None) -> Costs:
        shape = None if of is None else (of.rows, of.width)
        return given.get(name) or reckoned(name, at, shape, work.gpu, work.utilisation)

    def fits(needs: Needs) -> bool:
        return needs.bytes <= room and (hours is None or needs.hours <= hours)

    size = study.size(at, study.min_maf)
    training = Training(study.train, size.genes, work.reference_genes or size.genes, work.epochs)
    needs = Needs(name, size, cost(stored), stored, training, work.gpus)
    if fits(needs):
        return Planned(needs, fits=True)
    smaller = [(f"only variants of MAF >= {t:g}", study.size(at, t)) for t in study.thresholds]
    others = alternatives(needs, tokens, smaller, cost, fits)
    return Planned(needs, fits=False, others=tuple((other, fits(other.needs)) for other in others))


def _window(name: str, window: int | None) -> int:
    from glm2x.errors import UsageError

    at = _SHORT.get(name, 64_000) if window is None else window
    if at <= 0 or at % 2:
        raise UsageError("--window is an even number of base pairs", got=str(at))
    return at


def _names(text: str) -> tuple[str, ...]:
    from glm2x.errors import UsageError

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--backbones names none", got=repr(text), wanted=_PUBLISHED)
    return names


def _given(costs: Path | None) -> dict[str, Costs]:
    from glm2x.study.costs import read_costs

    return {} if costs is None else read_costs(costs)


def _measure(
    names: tuple[str, ...],
    window: int | None,
    work: _Work,
    weights: Path | None,
    device: str,
    out: Path,
    force: bool,
) -> None:
    """Measure a backbone on this machine and write what a window costs."""
    from glm2x.backbones.registry import get
    from glm2x.config import BackboneConfig
    from glm2x.errors import UsageError
    from glm2x.files import refuse_existing
    from glm2x.study.costs import Costs, write_costs
    from glm2x.study.needs import kept

    if len(names) != 1:
        raise UsageError(
            "one backbone is measured at a time", got=", ".join(names), do="name it: --backbones NAME"
        )
    refuse_existing(out, force=force)
    info, at = get(names[0]), _window(names[0], window)
    rows = kept(work.keep, info.tokens_for(at), info.width, work.bins).rows
    from glm2x.training.cost import measure  # torch: only now, when all else is right

    found = measure(
        BackboneConfig(name=info.name, weights=None if weights is None else str(weights)), at, rows, device
    )
    write_costs(out, {info.name: Costs(found.forward, found.train, "measured")}, force=force)
    say(f"a window costs {info.name} {found.forward:.3g} s forward, {found.train:.3g} s of training")
    say(f"written to {out}")


def _room(out: Path) -> int:
    """Return the free bytes where a store would lie."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def _print(planned: list[Planned], room: int) -> None:
    from glm2x.study.show import COLUMNS, NOTE, refusal, rows, sources

    first = planned[0].needs
    say(f"{first.size.genes:,} genes in {first.size.people:,} people, {first.training.people:,} trained on")
    show_table(COLUMNS, rows(planned))
    for line in (NOTE, *sources(planned)):
        print(line)
    for one in planned:
        if not one.fits:
            print("\n".join(refusal(one, room)))
