"""Results whose figures are known on paper."""

from collections.abc import Callable
from typing import Any

import pytest

from detector.presets import Preset
from service.bench.contenders import Calibrated, Contender, MadeUp
from service.bench.forward_rate import ForwardRate
from service.bench.latency import Latency
from service.bench.measuring import Passes, Result
from service.bench.memory import Peak
from service.bench.timing import Timing
from service.options import RuntimeName

MADE_UP = MadeUp(preset=Preset.FAST, classifier="digits")


@pytest.fixture
def result() -> Callable[..., Result]:
    """100 images in 2 s of 9 passes each, beside a classifier that does 500 passes a second."""

    def make(**changes: Any) -> Result:
        fields: dict[str, Any] = {
            "contender": Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH),
            "images_per_step": 50,
            "timing": Timing(seconds=(2.0, 2.0, 2.0), n_images=100),
            "relative": 1.0,
            "passes": Passes(most=9, expected=4.5, counted=8.0),
            "forward": ForwardRate(n_images=32, layout="channels last", seconds=(0.002,) * 3, spread=0.0),
            "roofline": (0.8, 0.8, 0.8),
            "latency": Latency(p50=21.0, p99=42.0, n_images=100),
            "peak": Peak(peak_bytes=300 * 2**20, opened_bytes=200 * 2**20, gpu_bytes=None),
        }
        return Result(**(fields | changes))

    return make


@pytest.fixture
def made_up(result: Callable[..., Result]) -> Result:
    """The same of a made-up bundle."""
    return result(contender=Contender(subject=MADE_UP, device="cpu", runtime=RuntimeName.TORCH))
