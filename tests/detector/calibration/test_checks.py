import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.bundle_record import ProxySource
from detector.calibration import CalibrationSettings
from detector.calibration.adaptive import AdaptiveSettings
from detector.calibration.black_box import BlackBoxSettings
from detector.calibration.checks import check_gradients, following_gradients, gives_gradients
from detector.prototypes.prototype_set import PrototypeKind
from detector.second_opinion import EscalationSettings
from detector.types import CalibrationError


def _settings(proxies: BlackBoxSettings | None, **changes: Any) -> CalibrationSettings:
    settings = CalibrationSettings(**({"prototype_kind": PrototypeKind.REAL} | changes))
    return dataclasses.replace(settings, stream=dataclasses.replace(settings.stream, proxies=proxies))


def _raises(_pixels: Tensor) -> Tensor:
    raise RuntimeError("no autograd formula was registered")


@pytest.mark.parametrize(
    "breaks",
    [
        lambda logits: lambda pixels: logits(pixels).detach(),
        lambda logits: lambda pixels: torch.from_numpy(logits(pixels).numpy()),
        lambda logits: lambda pixels: logits(pixels).round() * 1.0,
        lambda logits: lambda pixels: logits(pixels).sign().nan_to_num() * pixels.mean() * torch.inf,
        lambda _: _raises,
    ],
    ids=["detached", "of another library", "flat", "not finite", "raising"],
)
def test_a_classifier_whose_gradient_does_not_reach_the_pixels_is_recognised(
    corners: Any, breaks: Callable[..., Any]
) -> None:
    assert gives_gradients(corners)
    corners.logits = breaks(corners.logits)
    assert not gives_gradients(corners)


def test_trying_costs_one_pass_and_no_global_random_numbers(corners: Any, untouched_randomness: None) -> None:
    with torch.no_grad():
        assert gives_gradients(corners)
    assert corners.batches == [2]


def test_what_follows_gradients_is_named() -> None:
    needing = following_gradients(
        CalibrationSettings(adaptive=AdaptiveSettings(), escalation=EscalationSettings()), start=None
    )
    assert needing == [
        "learned prototypes",
        "confidence-matched proxies",
        "adaptive proxies",
        "the searches of a second opinion",
    ]


@pytest.mark.parametrize("proxies", [BlackBoxSettings(), None])
def test_real_prototypes_and_proxies_without_gradients_follow_none(proxies: BlackBoxSettings | None) -> None:
    assert following_gradients(_settings(proxies), start=None) == []


@pytest.mark.parametrize("kind", [PrototypeKind.FEATURE_VISUALISED, PrototypeKind.STAR])
def test_synthesised_prototypes_are_refused_where_there_is_no_gradient(corners: Any, kind: PrototypeKind) -> None:
    settings = _settings(None, prototype_kind=kind)
    check_gradients(corners, settings, None)
    corners.logits = _raises
    with pytest.raises(
        CalibrationError, match=f"no gradient .* which {kind} prototypes follow; take prototypes .* real"
    ):
        check_gradients(corners, settings, None)


def test_prototypes_that_are_taken_over_need_no_gradient(bundle: Bundle, corners: Any) -> None:
    corners.logits = _raises
    check_gradients(corners, _settings(None, prototype_kind=PrototypeKind.LEARNED), bundle)


@pytest.mark.parametrize("proxies", [BlackBoxSettings(), None])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prototype_kind": PrototypeKind.LEARNED}, "learned from thousands of fresh proxies"),
        ({"adaptive": AdaptiveSettings()}, "adaptive proxies come on top"),
    ],
)
def test_what_needs_proxies_made_with_gradients_is_refused_without(
    corners: Any, proxies: BlackBoxSettings | None, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        check_gradients(corners, _settings(proxies, **changes), None)


def test_a_second_opinion_is_refused_without_proxies(corners: Any) -> None:
    with pytest.raises(CalibrationError, match="a second opinion is fitted to proxies"):
        check_gradients(corners, _settings(None, escalation=EscalationSettings()), None)


def test_settings_say_what_proxies_are_made_with() -> None:
    assert CalibrationSettings().proxy_source is ProxySource.GRADIENT
    assert _settings(BlackBoxSettings()).proxy_source is ProxySource.BLACK_BOX
    assert _settings(None).proxy_source is ProxySource.NONE
