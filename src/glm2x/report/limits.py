"""What the data of an evaluation cannot support, in sentences."""

from __future__ import annotations

from glm2x.report.format import clean
from glm2x.report.results import Results, cell_words


def limits(results: Results) -> list[str]:
    """Return what the data cannot support: the evaluation's notes, then what its own numbers imply."""
    found = [_in_words(clean(str(note)), results) for note in results.metrics.get("notes") or []]
    if not any(name.startswith("unseen_gene") for name in results.cells) and not any(
        "unseen" in note.lower() for note in found
    ):
        found.append(
            "No gene was held out: nothing here says how a model does on genes it was not trained on."
        )
    if results.transductive and not any("transductive" in n.lower() for n in found):
        found.append("The target is transductive: test people's expression went into it.")
    if results.target is None and not any("target" in note for note in found):
        found.append("The predictions do not say their target, so the unit of expression is not known.")
    return list(dict.fromkeys(found))


def _in_words(note: str, results: Results) -> str:
    """Return a note with the names of cells in words."""
    for cell in results.cells:
        note = note.replace(cell, cell_words(cell))
    return note[:1].upper() + note[1:]
