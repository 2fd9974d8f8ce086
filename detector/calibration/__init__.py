"""Makes bundles: statistics, prototypes, head and p-values from clean images and the classifier's own gradients."""

from detector.calibration.calibrate import calibrate
from detector.calibration.recording import Provenance
from detector.calibration.settings import CalibrationSettings

__all__ = ["CalibrationSettings", "Provenance", "calibrate"]
