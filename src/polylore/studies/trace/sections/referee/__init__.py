"""The referee's page: what labels and rates claim, and what the truth says."""

from polylore.studies.trace.sections.referee.findings import referee_findings
from polylore.studies.trace.sections.referee.page import referee_page

__all__ = ["referee_findings", "referee_page"]
