from typing import Any

import pytest

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings
from detector.calibration.recorded_settings import fitting_settings, stream_settings
from detector.types import BundleError


def test_what_was_written_is_read_back(bundle: Bundle, tiny_settings: CalibrationSettings) -> None:
    assert stream_settings(bundle.record) == tiny_settings.stream
    assert fitting_settings(bundle.record) == tiny_settings.fitting


@pytest.mark.parametrize("stream", [{"images": "many"}, {"proxies": {"largest_radius": "wide"}}, None])
def test_settings_of_another_version_are_refused(bundle: Bundle, stream: Any) -> None:
    record = bundle.record.model_copy(update={"settings": {"stream": stream, "fitting": {"batches": []}}})
    with pytest.raises(BundleError, match=r"does not say how its proxies were drawn .* calibrate again"):
        stream_settings(record)
    with pytest.raises(BundleError, match=r"does not say how its head was fitted .* calibrate again"):
        fitting_settings(record)


def test_a_bundle_that_says_nothing_of_it_is_refused(bundle: Bundle) -> None:
    record = bundle.record.model_copy(update={"settings": {}})
    for read in (stream_settings, fitting_settings):
        with pytest.raises(BundleError, match="does not say how"):
            read(record)
