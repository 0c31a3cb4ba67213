"""In short: failed checks and controls, the result in words, and what the data cannot support."""

from __future__ import annotations

from typing import Any

from glm2x.report.headline import make_headline
from glm2x.report.section import Subject
from glm2x.report.sections.checks import checks, failed_controls


def context(subject: Subject) -> dict[str, Any]:
    """Return the headline, and before it the checks and the controls that failed."""
    found, _, _ = checks(subject.results)
    return {
        "alerts": [check for check in found if check.status == "fail"],
        "controls": failed_controls(subject.results),
        "headline": make_headline(subject.results, subject.follow),
    }
