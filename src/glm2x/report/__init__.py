"""The report: an evaluation folder as one self-contained HTML page."""

from glm2x.report.page import write_report

__all__ = ["write_report"]
