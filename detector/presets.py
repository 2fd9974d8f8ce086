"""Named settings: how much a verdict costs, and how long calibration takes."""

import enum
from collections.abc import Mapping

from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.settings import CalibrationSettings
from detector.prototypes.prototype_set import PrototypeKind


class Preset(enum.StrEnum):
    """FAST: 4 forward passes an image, nothing learned but the head. DEFAULT: 7, learned prototypes. THOROUGH: 13."""

    FAST = "fast"
    DEFAULT = "default"
    THOROUGH = "thorough"


_SETTINGS: Mapping[Preset, CalibrationSettings] = {
    Preset.FAST: CalibrationSettings(
        prototype_kind=PrototypeKind.FEATURE_VISUALISED,
        mixing=(0.3,),
        fitting=FittingSettings(batches=60),
    ),
    Preset.DEFAULT: CalibrationSettings(),
    Preset.THOROUGH: CalibrationSettings(
        n_prototypes=4,
        mixing=(0.1, 0.25, 0.4),
        learning=LearningSettings(steps=1_200),
        fitting=FittingSettings(batches=240),
    ),
}


def settings_for(preset: Preset) -> CalibrationSettings:
    """The settings behind a preset; change single ones with `dataclasses.replace`."""
    return _SETTINGS[preset]
