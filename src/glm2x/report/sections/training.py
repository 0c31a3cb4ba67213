"""Training: the loss of each phase of the runs that were given."""

from __future__ import annotations

from typing import Any

from glm2x.report.runs import curve_plates
from glm2x.report.section import Subject


def context(subject: Subject) -> dict[str, Any]:
    """Return the training curves and what is missing."""
    plates, missing = curve_plates(list(subject.runs))
    return {"plates": plates, "missing_parts": missing}
