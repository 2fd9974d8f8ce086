import dataclasses
from pathlib import Path

import numpy as np
import pytest

from detector.types import no_progress
from service.errors import InputError
from service.studies.percolation import run, study_percolation
from service.studies.percolation_measuring import Cell, PercolationSettings, measure_cell
from service.studies.percolation_report import findings_of
from service.studies.percolation_statistics import rise, shares, slope, straight
from service.studies.random_networks import WeightScale
from service.studies.report import StudyRequest
from service.studies.serialised import as_document

TINY = PercolationSettings(
    dimensions=(2, 16), widths=(8, 32), usual_width=32, networks=3, pairs=3, random_inputs=1024, budget=200, steps=12
)


def cell(dimension: int, critical: float, straight_critical: float = 0.9, width: int = 64) -> Cell:
    """Four networks of five pairs, all alike but for a spread that is wider where the quantile is higher."""
    pairs = critical * np.array([0.5, 0.75, 1, 1.25, 1.5])
    return Cell(
        scale=WeightScale.ROUGH,
        width=width,
        dimension=dimension,
        straight=(np.full(5, straight_critical),) * 4,
        searched=(pairs,) * 4,
    )


def test_the_search_never_finds_a_path_below_the_flood_and_often_finds_one_near_it() -> None:
    settings = dataclasses.replace(PercolationSettings(), networks=4, pairs=8, random_inputs=4096, budget=800)
    found = measure_cell(WeightScale.ROUGH, 32, 2, settings, seed=3)
    searched, exact, chord = (np.concatenate(part) for part in (found.searched, found.exact, found.straight))
    assert len(exact) >= 10
    # The flood rises in steps of half a per cent, and its cells are of finite size.
    assert (searched >= exact - 0.02).all()
    assert (searched <= chord).all()
    assert (np.abs(searched - exact) <= 0.05).any()


def test_the_slope_is_what_a_doubling_adds() -> None:
    cells = [cell(2, 0.8), cell(4, 0.5), cell(8, 0.2)]
    found = slope(cells, lambda one: np.array([np.median(pairs) for pairs in one.searched]), seed=0)
    assert found is not None
    assert (found.value, found.lower, found.upper) == pytest.approx((-0.3, -0.3, -0.3))


def test_a_share_is_that_of_the_pairs_below_the_threshold() -> None:
    # Of .05, .075, .1, .125 and .15, three are no higher than .1.
    assert shares(cell(2, 0.1), lambda one: one.searched).tolist() == pytest.approx([0.6] * 4)
    assert shares(cell(2, 0.1), straight).tolist() == [0] * 4


def test_two_dimensions_count_as_the_flood_says_and_not_as_the_search_does() -> None:
    plane = dataclasses.replace(cell(2, 0.9), exact=(np.full(5, 0.01),) * 4)
    found = rise(plane, cell(16, 0.01), seed=0)
    assert found is not None
    assert found.value == 0


@pytest.mark.parametrize(("far", "expected"), [(0.02, True), (0.8, None)])
def test_a_rise_with_dimension_agrees_and_none_does_not(far: float, expected: bool | None) -> None:
    cells = [cell(2, 0.8), cell(16, far), cell(2, 0.8, width=8), cell(16, 0.8, width=8)]
    findings = findings_of(cells, seed=0)
    assert [finding.agrees for finding in findings[:2]] == [expected] * 2
    assert findings[3].agrees is expected


def test_a_threshold_that_rises_with_dimension_disagrees() -> None:
    assert findings_of([cell(2, 0.2), cell(16, 0.6)], seed=0)[2].agrees is False


@pytest.mark.usefixtures("few_resamples")
def test_the_smallest_study_says_everything_and_repeats_itself() -> None:
    report, again = (study_percolation(TINY, 0, no_progress) for _ in range(2))
    assert len(report.findings) == 5
    assert [plot.title for plot in report.plots] == [plot.title for plot in again.plots]
    assert as_document(report)["data"] == as_document(again)["data"]
    kinds = {(cell["weights"], cell["width"], cell["dimension"]) for cell in report.data["cells"]}
    assert len(kinds) == 6


@pytest.mark.parametrize("asked", [{"train": "digits:training"}, {"classifier": "digits"}, {"limit": 1}])
def test_what_the_study_has_no_use_for_is_refused(asked: dict[str, str | int]) -> None:
    with pytest.raises(InputError):
        run(StudyRequest(out=Path("unused"), **asked), no_progress)
