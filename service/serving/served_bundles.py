"""From the setting `bundles` to what is served."""

import re
from pathlib import Path

from service.bundles import ClassifierChoice, digest_of, open_detector, shipped_names
from service.errors import InputError
from service.options import RuntimeName
from service.runtime import ServedBundle
from service.settings import ServeSettings

NAME = re.compile(r"[A-Za-z0-9._-]+")


def open_served(settings: ServeSettings) -> dict[str, ServedBundle]:
    """Load every bundle that is to be served, by name, in order.

    Raises:
        InputError: a name is not one, or stands twice.
        InputError, BundleError, CalibrationError, ModelError: see `service.bundles.open_detector`.
    """
    if not settings.bundles:
        raise InputError("there is no bundle to serve; name one with --bundle")
    served: dict[str, ServedBundle] = {}
    for text in settings.bundles:
        name, source = parse_bundle(text)
        if name in served:
            raise InputError(f"two bundles are called {name!r}; call one of them otherwise with NAME=FOLDER")
        opened = open_detector(
            source,
            false_positive_rate=settings.false_positive_rate,
            choice=ClassifierChoice(device=settings.device, runtime=RuntimeName(settings.runtime)),
        )
        served[name] = ServedBundle(
            name=name,
            digest=digest_of(source),
            detector=opened.detector,
            preprocessing=opened.preprocessing,
            labels=opened.labels,
        )
    return served


def parse_bundle(text: str) -> tuple[str, str]:
    """What a bundle is called in requests, and what `open_bundle` finds it by.

    Raises:
        InputError: a name holds what does not belong into a path of an URL.
    """
    name, equals, folder = text.partition("=")
    if not equals:
        name, folder = (text if text in shipped_names() else Path(text).resolve().name), text
    if not NAME.fullmatch(name) or set(name) == {"."} or not folder:
        raise InputError(f"{text!r} is not a bundle to serve; write NAME=FOLDER, with a name of A-Z a-z 0-9 . _ -")
    return name, folder
