"""What a user asks of a calibration, as the detector's settings."""

import dataclasses
from pathlib import Path
from typing import Any

from detector.bundle_record import ProxySource
from detector.calibration import CalibrationSettings
from detector.calibration.adaptive import AdaptiveSettings
from detector.calibration.black_box import BlackBoxSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.stream import StreamSettings
from detector.early_exit import EarlyExitSettings
from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind, PrototypeLabels
from detector.prototypes.synthesis import VisualisationSettings
from detector.search import MethodName
from detector.second_opinion import EscalationSettings
from detector.smoothing import Smoothing
from models.registry import names, registered
from service.errors import InputError
from service.options import LabelChoice, PresetName, PrototypeName, ProxyFamily, SearchMethod, SmoothingName
from service.proxy_families import families_of, source_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """What a user asks for; None leaves a setting to the preset.

    Attributes:
        classifier: a registered name, or the path of a SPEC.toml.
        weights: a weight file in place of the classifier's own.
        images, held_out: sources of image sets, the first of which the classifier was trained on.
        out: the folder that becomes the bundle.
        reserve: share of the held-out images that calibration leaves alone.
        start: how the prototypes are made that learned ones start from.
        per_label: prototypes of each label.
        prototype_labels: which labels get some.
        visualisation_steps: how many steps features are visualised in, in a hurry.
        mixing: where along a path the waypoints lie, or start, between 0, the image, and 1, the prototype.
        own_class_weight: what learned prototypes pay for leaving their class.
        steps, batches: how long prototypes are learned at most, and how much the head is fitted on.
        proxy_radius: smallest and largest L∞ size of the proxies, pixels in [0, 1].
        flip: whether mirrored images mean the same.
        prototypes_from: a bundle of the same classifier whose prototypes and waypoints are taken over.
        auxiliary: a second classifier that looks at the same paths: a registered name, or the path of a SPEC.toml.
        auxiliary_paths: how many of the paths it looks along.
        smoothing: smoothed versions of each image that are looked at too.
        noisy_share: share of the clean images that get harmless noise.
        proxies: families of proxies, by name; the confidence-matched ones if none is named.
        queries: how often the classifier is asked about one black-box proxy at most.
        early_exit: whether an exit for clear images is tried.
    """

    classifier: str
    images: str
    held_out: str
    out: Path
    weights: Path | None = None
    preset: PresetName = PresetName.DEFAULT
    prototypes: PrototypeName | None = None
    start: PrototypeName | None = None
    per_label: int | None = None
    prototype_labels: LabelChoice = LabelChoice.WITH_IMAGES
    visualisation_steps: int | None = None
    mixing: tuple[float, ...] = ()
    own_class_weight: float | None = None
    false_positive_rates: tuple[float, ...] = ()
    reserve: float | None = None
    steps: int | None = None
    batches: int | None = None
    proxy_radius: tuple[float, float] | None = None
    flip: bool | None = None
    escalate: SearchMethod | None = None
    prototypes_from: str | None = None
    auxiliary: str | None = None
    auxiliary_paths: int | None = None
    smoothing: tuple[SmoothingName, ...] = ()
    noisy_share: float | None = None
    proxies: tuple[str, ...] = ()
    queries: int | None = None
    early_exit: bool = False
    seed: int | None = None
    device: str | None = None
    download: bool = False


def settings_of(request: CalibrationRequest) -> CalibrationSettings:
    """Take the preset's settings, with what the user asked for in their place.

    Raises:
        InputError: something is said about learning or proxies, and nothing is to be learned, or none are to be made.
        CalibrationError: a value that makes no sense.
    """
    _refuse_contradictions(request)
    settings = settings_for(Preset(request.preset.value))
    asked: dict[str, Any] = {}
    if request.seed is not None:
        asked["seed"] = request.seed
    if request.false_positive_rates:
        asked["false_positive_rates"] = request.false_positive_rates
    if request.reserve is not None:
        asked["shares"] = dataclasses.replace(settings.shares, reserved=request.reserve)
    if request.batches is not None:
        asked["fitting"] = dataclasses.replace(settings.fitting, batches=request.batches)
    if request.escalate is not None:
        asked["escalation"] = EscalationSettings(method=MethodName(request.escalate.value))
    if request.early_exit:
        asked["early_exit"] = EarlyExitSettings()
    if request.smoothing:
        asked["smoothings"] = tuple(Smoothing(name) for name in request.smoothing if name is not SmoothingName.NONE)
    if request.auxiliary_paths is not None:
        asked["auxiliary_prototypes"] = request.auxiliary_paths
    if ProxyFamily.ADAPTIVE in families_of(request.proxies):
        asked["adaptive"] = _adaptive_of(request)
    asked["stream"] = _stream_of(request, settings.stream)
    asked |= _prototypes_of(request, settings) | _learning_of(request, settings)
    return dataclasses.replace(settings, **asked)


def _refuse_contradictions(request: CalibrationRequest) -> None:
    making = {
        "--prototypes": request.prototypes,
        "--start": request.start,
        "--per-label": request.per_label,
        "--visualisation-steps": request.visualisation_steps,
        "--mixing": request.mixing or None,
        "--own-class-weight": request.own_class_weight,
        "--steps": request.steps,
    }
    given = [option for option, value in making.items() if value is not None]
    if request.prototypes_from is not None and given:
        raise InputError(
            f"{', '.join(given)} say how prototypes are made, and --prototypes-from takes those of another bundle; "
            "leave one or the other out"
        )
    if request.auxiliary_paths is not None and request.auxiliary is None:
        raise InputError("--auxiliary-paths is about an auxiliary classifier, and none is given; add --auxiliary")
    _refuse_contradictions_of_proxies(request, source_of(request.proxies))


def _refuse_contradictions_of_proxies(request: CalibrationRequest, source: ProxySource) -> None:
    if request.queries is not None and source is not ProxySource.BLACK_BOX:
        raise InputError("--queries is about black-box proxies, and none are to be made; add --proxies black-box")
    if source is ProxySource.GRADIENT:
        return
    if request.prototypes is PrototypeName.LEARNED:
        raise InputError(
            f"prototypes are learned from thousands of proxies made with gradients, and --proxies {source} makes none; "
            "leave one or the other out"
        )
    if source is ProxySource.NONE:
        given = {
            "--proxy-radius": request.proxy_radius,
            "--escalate": request.escalate,
            "--early-exit": request.early_exit or None,
        }
        options = [option for option, value in given.items() if value is not None]
        if options:
            raise InputError(f"{', '.join(options)} need proxies, and --proxies none makes none; leave one out")


def _adaptive_of(request: CalibrationRequest) -> AdaptiveSettings:
    if request.proxy_radius is None:
        return AdaptiveSettings()
    smallest, largest = request.proxy_radius
    return AdaptiveSettings(smallest_radius=smallest, largest_radius=largest)


def _prototypes_of(request: CalibrationRequest, settings: CalibrationSettings) -> dict[str, Any]:
    asked: dict[str, Any] = {"prototype_kind": _kind_of(request, settings)}
    if request.prototype_labels is LabelChoice.ALL:
        asked["prototype_labels"] = PrototypeLabels.ALL
    if request.visualisation_steps is not None:
        asked["visualisation"] = VisualisationSettings.hurried(request.visualisation_steps)
    if request.per_label is not None:
        asked["n_prototypes"] = request.per_label
    if request.mixing:
        asked["mixing"] = request.mixing
    return asked


def _kind_of(request: CalibrationRequest, settings: CalibrationSettings) -> PrototypeKind:
    """The kind asked for, or the preset's; nothing can be learned without proxies made with gradients."""
    if request.prototypes is not None:
        return PrototypeKind(request.prototypes.value)
    has_matched = source_of(request.proxies) is ProxySource.GRADIENT
    if settings.prototype_kind is PrototypeKind.LEARNED and not has_matched and request.prototypes_from is None:
        return PrototypeKind.REAL
    return settings.prototype_kind


def _learning_of(request: CalibrationRequest, settings: CalibrationSettings) -> dict[str, Any]:
    kind = _kind_of(request, settings)
    if kind is not PrototypeKind.LEARNED:
        for option, value in (("--start", request.start), ("--own-class-weight", request.own_class_weight)):
            if value is not None:
                raise InputError(
                    f"{option} is about learned prototypes, and these are {kind}; leave it out, or add "
                    "--prototypes learned"
                )
    asked: dict[str, Any] = {}
    if request.start is not None:
        asked["learning_start"] = PrototypeKind(request.start.value)
    changes: dict[str, Any] = {"steps": request.steps, "own_class_weight": request.own_class_weight}
    changes = {name: value for name, value in changes.items() if value is not None}
    return asked | {"learning": dataclasses.replace(settings.learning, **changes)}


def _stream_of(request: CalibrationRequest, stream: StreamSettings) -> StreamSettings:
    """Vary images as the classifier's training did, unless the user says otherwise."""
    if request.classifier in names():
        training = registered(request.classifier).training
        stream = dataclasses.replace(stream, flip=training.flip, crop_padding=training.crop_padding)
    if request.noisy_share is not None:
        stream = dataclasses.replace(stream, noisy_share=request.noisy_share)
    if request.flip is not None:
        stream = dataclasses.replace(stream, flip=request.flip)
    return dataclasses.replace(stream, proxies=_proxies_of(request, stream.proxies))


def _proxies_of(
    request: CalibrationRequest, preset: ProxySettings | BlackBoxSettings | None
) -> ProxySettings | BlackBoxSettings | None:
    match source_of(request.proxies):
        case ProxySource.NONE:
            return None
        case ProxySource.GRADIENT:
            proxies = preset
        case ProxySource.BLACK_BOX:
            asked = {} if request.queries is None else {"queries": request.queries}
            proxies = BlackBoxSettings(**asked)
    if proxies is None or request.proxy_radius is None:
        return proxies
    smallest, largest = request.proxy_radius
    return dataclasses.replace(proxies, smallest_radius=smallest, largest_radius=largest)
