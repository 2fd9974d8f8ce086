"""Barriers within a class and their bypass, on small images: Vrabel et al. (ICLR 2025, arXiv 2409.05800)."""

from detector.search import SearchSettings
from detector.types import ProgressCallback
from service.studies.bypass_report import BypassDefaults, study_bypass
from service.studies.report import StudyReport, StudyRequest

DEFAULTS = BypassDefaults(
    name="barriers",
    title="Barriers within a class, and their bypass",
    classifier="cifar10-resnet20",
    n_pairs=128,
    # A path that waits for the level at which both legs bend has not stalled.
    search=SearchSettings(budget=800, patience=32),
)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Straight path, bypass and recursive bypass; `limit` counts pairs."""
    return study_bypass(request, progress, DEFAULTS)
