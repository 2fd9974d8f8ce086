"""One bundle's drift test in a running server."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from service.observability.drift import DriftTest

REMEMBERED_IMAGES = 10_000
"""An image that came again within so many others counts once: the test takes its images for independent, which those
of a probe, or of a client that tries again, are not."""

logger = logging.getLogger(__name__)


class DriftMonitor:
    """Takes in what a bundle answered, and says in the log when the alarm goes off and when it ends. Thread-safe.

    Args:
        bundle: its name.
        calibration_scores: of its calibration images, shape (image,).
        average_false_alarms: clean images before a false alarm, on average at least.
    """

    def __init__(self, bundle: str, calibration_scores: Tensor, average_false_alarms: float) -> None:
        largest_tie = int(np.unique(calibration_scores.numpy(), return_counts=True)[1].max())
        self._bundle = bundle
        self._test = DriftTest(len(calibration_scores), average_false_alarms, largest_tie)
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self.n_alarms = 0

    @property
    def evidence(self) -> float:
        """See `DriftTest.evidence`."""
        with self._lock:
            return self._test.evidence

    @property
    def is_alarmed(self) -> bool:
        """Whether the traffic differs from the calibration images."""
        return self._test.is_alarmed

    def update(self, images: Iterable[tuple[str, float | None]]) -> None:
        """Take in (digest of the pixels, p-value) of images in the order they came; one without p-value is left out."""
        for digest, p_value in images:
            if p_value is None:
                continue
            with self._lock:
                was_alarmed = self._test.is_alarmed
                if self._is_new(digest):
                    self._test.update((p_value,))
                is_alarmed = self._test.is_alarmed
                self.n_alarms += is_alarmed and not was_alarmed
            if is_alarmed != was_alarmed:
                self._tell(is_alarmed)

    def summary(self) -> dict[str, Any]:
        """What the live statistics say about it; evidence and threshold are logarithms to base 10."""
        with self._lock:
            return {
                "evidence": round(self._test.evidence, 3),
                "threshold": round(self._test.log_threshold, 3),
                "is_alarmed": self._test.is_alarmed,
                "n_alarms": self.n_alarms,
                "n_images": self._test.n_images,
            }

    def _is_new(self, digest: str) -> bool:
        is_new = digest not in self._recent
        self._recent[digest] = None
        self._recent.move_to_end(digest)
        if len(self._recent) > REMEMBERED_IMAGES:
            self._recent.popitem(last=False)
        return is_new

    def _tell(self, is_alarmed: bool) -> None:
        fields = {"bundle": self._bundle, "evidence": round(self.evidence, 3), "n_images": self._test.n_images}
        if is_alarmed:
            logger.warning("the p-values are not those of images like the calibration images", extra=fields)
        else:
            logger.info("the p-values are those of images like the calibration images again", extra=fields)
