"""Barriers within a class and their bypass, on photographs, for a classifier that the user describes."""

from detector.search import SearchSettings
from detector.types import ProgressCallback
from service.studies.bypass_report import BypassDefaults, study_bypass
from service.studies.report import StudyReport, StudyRequest

DEFAULTS = BypassDefaults(
    name="photographs",
    title="Barriers within a class of photographs, and their bypass",
    classifier=None,
    n_pairs=12,
    search=SearchSettings(budget=400, patience=32),
)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Straight path, bypass and recursive bypass; `limit` counts pairs."""
    return study_bypass(request, progress, DEFAULTS)
