from typing import Any

import pytest

from detector.search import MethodName, SearchOutcome, SearchSettings, method_named
from detector.search.method import Method
from detector.types import DetectorError


@pytest.mark.parametrize(
    "change",
    [
        {"check_every": 0},
        {"patience": 0},
        {"paths_at_once": 0},
        {"pixels_per_pass": 0},
        {"resolution": 1},
        {"final_resolution": 3},
        {"budget": -1},
        {"flat": -0.1},
        {"improvement": -0.1},
    ],
)
def test_settings_that_make_no_search_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DetectorError, match=str(next(iter(change.values())))):
        SearchSettings(**change)


def test_every_outcome_has_its_own_advice() -> None:
    advice = {outcome.advice for outcome in SearchOutcome}
    assert len(advice) == len(SearchOutcome)


@pytest.mark.parametrize("name", MethodName)
def test_every_name_is_that_of_a_method(name: MethodName) -> None:
    method = method_named(name)
    assert isinstance(method, Method)
    assert method.n_nodes >= 3
