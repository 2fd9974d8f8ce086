"""Named settings: how much a verdict costs, and how long calibration takes."""

import enum
from collections.abc import Mapping

from detector.calibration.fitting import FittingSettings
from detector.calibration.settings import CalibrationSettings
from detector.prototypes.prototype_set import PrototypeKind


class Preset(enum.StrEnum):
    """FAST: 4 forward passes an image, nothing learned but the head. DEFAULT: 8, learned prototypes. THOROUGH: 26.

    One of them for a smoothed version; an auxiliary classifier adds its own. All on straight paths: `isthmus study
    search` finds no search that beats them at the same cost.
    """

    FAST = "fast"
    DEFAULT = "default"
    THOROUGH = "thorough"


_SETTINGS: Mapping[Preset, CalibrationSettings] = {
    Preset.FAST: CalibrationSettings(
        prototype_kind=PrototypeKind.FEATURE_VISUALISED,
        n_prototypes=1,
        fitting=FittingSettings(batches=60),
    ),
    Preset.DEFAULT: CalibrationSettings(),
    Preset.THOROUGH: CalibrationSettings(
        mixing=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        fitting=FittingSettings(batches=240),
    ),
}


def settings_for(preset: Preset) -> CalibrationSettings:
    """The settings behind a preset; change single ones with `dataclasses.replace`."""
    return _SETTINGS[preset]
