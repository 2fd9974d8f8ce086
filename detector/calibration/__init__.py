"""Makes bundles from clean images and, where the classifier has them, its gradients."""

from detector.calibration.calibrate import calibrate
from detector.calibration.recording import Provenance
from detector.calibration.settings import CalibrationSettings

__all__ = ["CalibrationSettings", "Provenance", "calibrate"]
