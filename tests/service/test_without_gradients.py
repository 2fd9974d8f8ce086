from pathlib import Path

import pytest

from service.calibration_request import CalibrationRequest, settings_of
from service.errors import InputError
from service.options import LabelChoice, PresetName, PrototypeName, SearchMethod
from service.without_gradients import fitted_to


def request(**changes):
    return CalibrationRequest(classifier="mine.toml", images="a", held_out="b", out=Path("c"), **changes)


@pytest.fixture
def detached(corners):
    smooth = corners.logits
    corners.logits = lambda pixels: smooth(pixels).detach()
    return corners


def test_a_classifier_with_gradients_gets_what_was_asked_for(corners):
    for asked in (request(), request(preset=PresetName.THOROUGH, escalate=SearchMethod.BYPASS)):
        assert fitted_to(asked, corners) is asked


def test_where_nothing_special_is_asked_for_prototypes_are_real_and_proxies_from_a_black_box(detached):
    expected = request(prototypes=PrototypeName.REAL, proxies=("black-box",))
    assert fitted_to(request(), detached) == expected
    # The fast preset keeps what makes it fast.
    fast = settings_of(fitted_to(request(preset=PresetName.FAST), detached))
    assert (fast.n_prototypes, fast.fitting.batches) == (1, 60)


@pytest.mark.parametrize(
    "asked",
    [
        {"prototypes": PrototypeName.NOISE, "proxies": ("none",)},
        {"prototypes": PrototypeName.MEDOID, "proxies": ("black-box",)},
        {"prototypes_from": "bundle", "proxies": ("none",)},
    ],
)
def test_what_needs_no_gradient_is_left_as_it_was_asked_for(detached, asked):
    assert fitted_to(request(**asked), detached) == request(**asked)


def test_prototypes_that_are_taken_over_are_not_made(detached):
    assert fitted_to(request(prototypes_from="bundle"), detached).prototypes is None


def test_many_waypoints_to_real_prototypes_need_no_gradient(detached):
    asked = request(preset=PresetName.THOROUGH, prototypes=PrototypeName.REAL)
    assert fitted_to(asked, detached).proxies == ("black-box",)


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ({"preset": PresetName.THOROUGH}, "--preset thorough: it learns prototypes; add --prototypes real"),
        ({"prototypes": PrototypeName.LEARNED}, "--prototypes learned: give real, medoid"),
        ({"prototypes": PrototypeName.FEATURE_VISUALISED}, "--prototypes feature-visualised: give real"),
        ({"prototypes": PrototypeName.STAR}, "--prototypes star: give real"),
        ({"prototype_labels": LabelChoice.ALL}, "--prototype-labels all: it needs prototypes made without images"),
        ({"start": PrototypeName.NOISE}, "--start: it is about learned prototypes"),
        ({"steps": 5}, "--steps: it is about learned prototypes"),
        ({"proxies": ("matched",)}, "--proxies matched: give black-box or none"),
        ({"proxies": ("adaptive",)}, "--proxies adaptive: give black-box or none"),
        ({"escalate": SearchMethod.NEB}, "--escalate: searches go down gradients; leave it out"),
    ],
)
def test_what_follows_gradients_is_refused_with_what_to_give_instead(detached, asked, advice):
    with pytest.raises(InputError, match=r"mine\.toml gives no gradient .* Change ") as raised:
        fitted_to(request(**asked), detached)
    assert advice in str(raised.value)


def test_everything_that_follows_gradients_is_named_at_once(detached):
    with pytest.raises(InputError, match=r"--prototypes star: .*; --proxies adaptive: .*; --escalate: "):
        asked = request(prototypes=PrototypeName.STAR, proxies=("adaptive",), escalate=SearchMethod.NEB)
        fitted_to(asked, detached)
