"""What several commands' options have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glm2x.errors import UsageError

if TYPE_CHECKING:
    from glm2x.cohort.split import Split


def comma_separated(text: str | None, option: str) -> tuple[str, ...]:
    """Return the contigs of an option such as ``--contigs 1,2,22``; none where it was not given.

    Raises
    ------
    UsageError
        It was given and names nothing.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{option} names no contig", got=repr(text), wanted="such as 1,2,22")
    return names


def listed_covariates(text: str | None, target: str) -> tuple[str, ...] | None:
    """Return the names of ``--covariates-keep``; None where it was not given.

    Raises
    ------
    UsageError
        It was given and names nothing, or the target is none of residuals.
    """
    from glm2x.config import RESIDUALS

    if text is None:
        return None
    if target not in RESIDUALS:
        raise UsageError("--covariates-keep goes with --target residual or residual-all")
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError("--covariates-keep names no covariate", got=repr(text), do="--target log keeps none")
    return names


def draws_of(base: Split, where: str, few_shot: str | None, draws: int | None) -> dict[str, Split]:
    """Return the splits that ``--few-shot`` and ``--draws`` ask for, by name; none without ``--few-shot``.

    Parameters
    ----------
    base
        The split that people are drawn from.
    where
        Its file.

    Raises
    ------
    UsageError
        The options do not go together, or the split is a draw itself or holds too few people.
    """
    from glm2x.cohort.few_shot import DRAWS, few_shot_splits, parse_counts

    if draws is not None and (few_shot is None or draws < 1):
        raise UsageError("--draws is a number of draws, 1 or more, and goes with --few-shot", got=str(draws))
    if few_shot is None:
        return {}
    counts = parse_counts(few_shot, "--few-shot")
    if base.draw is not None:
        raise UsageError(
            "--few-shot draws from a split that is no draw itself",
            where=where,
            got=f"draw {base.draw} of the split {base.family[:12]}",
            do="give that split, such as few-shot-all.json",
        )
    return few_shot_splits(base, counts, range(draws or DRAWS))


def require_positive(option: str, value: int | None) -> None:
    """Raise `UsageError` where an option that was given is below 1."""
    if value is not None and value < 1:
        raise UsageError(f"{option} is 1 or more", got=str(value))
