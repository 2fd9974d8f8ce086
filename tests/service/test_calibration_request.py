from pathlib import Path

import pytest

from detector.bundle_record import ProxySource
from detector.calibration.black_box import BlackBoxSettings
from detector.prototypes.prototype_set import PrototypeKind, PrototypeLabels
from detector.prototypes.synthesis import VisualisationSettings
from detector.smoothing import Smoothing
from service.calibration_request import CalibrationRequest, settings_of
from service.errors import InputError
from service.options import LabelChoice, PresetName, PrototypeName, SearchMethod, SmoothingName


def request(**changes):
    return CalibrationRequest(classifier="SPEC.toml", images="a", held_out="b", out=Path("c"), **changes)


@pytest.mark.parametrize("name", ["pgd-8", "cw-0", "DeepFool", "square", "fgsm8"])
def test_an_attack_of_the_evaluation_is_refused_as_a_proxy(name):
    with pytest.raises(InputError, match=f"{name} is an attack of the evaluation"):
        settings_of(request(proxies=("adaptive", name)))


def test_adaptive_proxies_are_made_only_if_asked_for():
    assert settings_of(request()).adaptive is None
    assert settings_of(request(proxies=("matched",))).adaptive is None
    assert settings_of(request(proxies=("adaptive",))).adaptive is not None


def test_adaptive_proxies_are_as_large_as_the_others():
    adaptive = settings_of(request(proxies=("adaptive",), proxy_radius=(0.03, 0.25))).adaptive
    assert adaptive is not None
    assert (adaptive.smallest_radius, adaptive.largest_radius) == (0.03, 0.25)


def test_smoothed_versions_can_be_chosen_and_left_out():
    assert settings_of(request()).smoothings == (Smoothing.MEDIAN,)
    both = (SmoothingName.MEDIAN, SmoothingName.GAUSSIAN)
    assert settings_of(request(smoothing=both)).smoothings == (Smoothing.MEDIAN, Smoothing.GAUSSIAN)
    assert settings_of(request(smoothing=(SmoothingName.NONE,))).smoothings == ()


def test_noise_among_the_clean_images_can_be_left_out():
    assert settings_of(request(noisy_share=0.0)).stream.noisy_share == 0


def test_prototypes_are_taken_over_or_made_but_not_both():
    asked = request(prototypes_from="bundle", prototypes=PrototypeName.NOISE, per_label=2)
    with pytest.raises(InputError, match="--prototypes, --per-label say how prototypes are made"):
        settings_of(asked)


def test_paths_of_an_auxiliary_need_one():
    with pytest.raises(InputError, match="add --auxiliary"):
        settings_of(request(auxiliary_paths=1))
    assert settings_of(request(auxiliary="x", auxiliary_paths=1)).auxiliary_prototypes == 1


def test_black_box_proxies_have_their_own_size_and_queries():
    assert settings_of(request(proxies=("black-box",))).stream.proxies == BlackBoxSettings()
    asked = settings_of(request(proxies=("black-box",), proxy_radius=(0.1, 0.2), queries=50)).stream.proxies
    assert asked == BlackBoxSettings(smallest_radius=0.1, largest_radius=0.2, queries=50)


def test_without_proxies_none_are_made():
    settings = settings_of(request(proxies=("none",)))
    assert settings.stream.proxies is None
    assert settings.proxy_source is ProxySource.NONE


@pytest.mark.parametrize("family", ["black-box", "none"])
def test_prototypes_are_real_where_none_can_be_learned_and_no_others_are_asked_for(family):
    assert settings_of(request(proxies=(family,))).prototype_kind is PrototypeKind.REAL
    assert settings_of(request(proxies=(family,), preset=PresetName.FAST)).prototype_kind is (
        PrototypeKind.FEATURE_VISUALISED
    )
    assert settings_of(request(proxies=(family,), prototypes=PrototypeName.NOISE)).prototype_kind is PrototypeKind.NOISE
    settings_of(request(proxies=(family,), prototypes_from="bundle"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proxies": ("black-box",), "prototypes": PrototypeName.LEARNED}, "--proxies black-box makes none"),
        ({"proxies": ("none",), "prototypes": PrototypeName.LEARNED}, "--proxies none makes none"),
        ({"proxies": ("none",), "start": PrototypeName.NOISE}, "about learned prototypes, and these are real"),
        ({"proxies": ("none",), "proxy_radius": (0.1, 0.2)}, "--proxy-radius need proxies"),
        ({"proxies": ("none",), "escalate": SearchMethod.BYPASS}, "--escalate need proxies"),
        ({"queries": 50}, "--queries is about black-box proxies"),
        ({"proxies": ("none", "black-box")}, "stands alone"),
    ],
)
def test_what_contradicts_proxies_without_gradients_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings_of(request(**changes))


def test_all_labels_can_get_prototypes_in_few_steps():
    asked = request(
        prototypes=PrototypeName.FEATURE_VISUALISED, prototype_labels=LabelChoice.ALL, visualisation_steps=16
    )
    settings = settings_of(asked)
    assert settings.prototype_labels is PrototypeLabels.ALL
    assert settings.visualisation == VisualisationSettings.hurried(16)
    assert settings_of(request()).prototype_labels is PrototypeLabels.WITH_IMAGES
    assert settings_of(request()).visualisation == VisualisationSettings()


def test_choices_of_labels_are_called_as_the_detector_calls_them():
    assert [choice.value for choice in LabelChoice] == [choice.value for choice in PrototypeLabels]
