"""From the setting `bundles` to what is served."""

import re
from collections.abc import Sequence, Set
from pathlib import Path

from service.bundles import ClassifierChoice, digest_of, open_detector, shipped_names
from service.errors import InputError
from service.options import RuntimeName
from service.runtime import ServedBundle
from service.settings import ServeSettings

EVERY = ""
"""Stands for all bundles that are not named."""

NAME = re.compile(r"[A-Za-z0-9._-]+")


def open_served(settings: ServeSettings) -> dict[str, ServedBundle]:
    """Load every bundle that is to be served, by name, in order.

    Raises:
        InputError: a name is not one, or stands twice.
        InputError, BundleError, CalibrationError, ModelError: see `service.bundles.open_detector`.
    """
    if not settings.bundles:
        raise InputError("there is no bundle to serve; name one with --bundle")
    classifiers, auxiliaries = by_bundle(settings.classifiers), by_bundle(settings.auxiliary_classifiers)
    _refuse_unknown(classifiers.keys() | auxiliaries.keys(), [parse_bundle(text)[0] for text in settings.bundles])
    served: dict[str, ServedBundle] = {}
    for text in settings.bundles:
        name, source = parse_bundle(text)
        if name in served:
            raise InputError(f"two bundles are called {name!r}; call one of them otherwise with NAME=FOLDER")
        opened = open_detector(
            source,
            false_positive_rate=settings.false_positive_rate,
            choice=ClassifierChoice(
                name_or_spec=classifiers.get(name, classifiers.get(EVERY)),
                device=settings.device,
                auxiliary=auxiliaries.get(name, auxiliaries.get(EVERY)),
                runtime=RuntimeName(settings.runtime),
            ),
        )
        served[name] = ServedBundle(
            name=name,
            digest=digest_of(source),
            detector=opened.detector,
            preprocessing=opened.preprocessing,
            labels=opened.labels,
        )
    return served


def _refuse_unknown(named: Set[str], bundles: Sequence[str]) -> None:
    unknown = sorted(named - {*bundles, EVERY})
    if unknown:
        known = ", ".join(bundles)
        raise InputError(f"a classifier is given for {unknown[0]!r}, and no bundle is called so; there is {known}")


def by_bundle(texts: Sequence[str]) -> dict[str, str]:
    """Specs of classifiers by the bundle that they are for, or by `EVERY`.

    Raises:
        InputError: two are for the same.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, spec = text.partition("=")
        key, value = (name, spec) if equals else (EVERY, text)
        if key in found:
            raise InputError(
                f"two classifiers are given for {key or 'all bundles'}; give each bundle one: NAME=SPEC.toml"
            )
        found[key] = value
    return found


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
