from typing import Any

import pytest

from detector.calibration.settings import CalibrationSettings
from detector.types import CalibrationError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_prototypes": 0}, "0 prototypes of each label"),
        ({"mixing": (0.2, 1.0)}, r"mixing weights are \(0.2, 1.0\); each must lie between 0"),
        ({"mixing": (0.0,)}, "each must lie between 0"),
        ({"false_positive_rates": ()}, "no false-positive rate is given"),
        ({"false_positive_rates": (0.05, 0.0)}, "must lie between 0 and 1, not 0.0"),
        ({"false_positive_rates": (1.0,)}, "must lie between 0 and 1, not 1.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        CalibrationSettings(**changes)


def test_settings_are_equal_by_value() -> None:
    assert CalibrationSettings() == CalibrationSettings()
