"""Reads back from a bundle the settings that a part of its calibration had."""

from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from detector.bundle_record import BundleRecord
from detector.calibration.fitting import FittingSettings
from detector.calibration.stream import StreamSettings
from detector.types import BundleError

T = TypeVar("T")


def stream_settings(record: BundleRecord) -> StreamSettings:
    """How the bundle drew clean images and proxies.

    Raises:
        BundleError: another version wrote settings that this one does not know.
    """
    return _read(record.settings.get("stream"), StreamSettings, "its proxies were drawn")


def fitting_settings(record: BundleRecord) -> FittingSettings:
    """How the bundle's own head was fitted.

    Raises:
        BundleError: another version wrote settings that this one does not know.
    """
    return _read(record.settings.get("fitting"), FittingSettings, "its head was fitted")


def _read(written: Any, kind: type[T], what: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(written)
    except ValidationError as error:
        raise BundleError(
            f"the bundle does not say how {what} in a way that this version understands; calibrate again, or leave out "
            "what needs to know it"
        ) from error
