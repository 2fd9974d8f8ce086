import dataclasses
from typing import Any

import pytest

from detector.calibration.settings import CalibrationSettings
from detector.prototypes.prototype_set import PrototypeKind
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
        ({"learning_start": PrototypeKind.LEARNED}, "cannot start from learned prototypes; give one of real, medoid"),
        ({"learning_start": PrototypeKind.LEARNED_FROM_IMAGES}, "cannot start from learned-from-images prototypes"),
        ({"learning_start": PrototypeKind.NONE}, "cannot start from none prototypes"),
        ({"learning_start": PrototypeKind.GREY}, "3 prototypes of each label that all start grey would learn the same"),
        ({"prototype_kind": PrototypeKind.LEARNED_FROM_IMAGES}, "ask for learned ones that start from real ones"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_any_work(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        CalibrationSettings(**changes)


def test_only_learned_prototypes_start_as_another_kind() -> None:
    settings = CalibrationSettings(learning_start=PrototypeKind.NOISE)
    assert settings.start_kind is PrototypeKind.NOISE
    assert dataclasses.replace(settings, prototype_kind=PrototypeKind.REAL).start_kind is PrototypeKind.REAL


def test_one_prototype_of_each_label_may_start_grey_and_unlearned_ones_may_all_be() -> None:
    CalibrationSettings(learning_start=PrototypeKind.GREY, n_prototypes=1)
    CalibrationSettings(prototype_kind=PrototypeKind.GREY, learning_start=PrototypeKind.GREY)


def test_settings_are_equal_by_value() -> None:
    assert CalibrationSettings() == CalibrationSettings()
