from pathlib import Path

import pytest

from detector.smoothing import Smoothing
from service.calibration_request import CalibrationRequest, families_of, settings_of
from service.errors import InputError
from service.options import PrototypeName, ProxyFamily, SmoothingName


def request(**changes):
    return CalibrationRequest(classifier="SPEC.toml", images="a", held_out="b", out=Path("c"), **changes)


@pytest.mark.parametrize("name", ["pgd-8", "cw-0", "DeepFool", "square", "fgsm8"])
def test_an_attack_of_the_evaluation_is_refused_as_a_proxy(name):
    with pytest.raises(InputError, match=f"{name} is an attack of the evaluation"):
        settings_of(request(proxies=("adaptive", name)))


def test_a_family_of_proxies_that_nobody_knows_is_answered_with_those_there_are():
    with pytest.raises(InputError, match="no family of proxies 'gradient'; give matched or adaptive"):
        families_of(["gradient"])


def test_adaptive_proxies_are_made_only_if_asked_for():
    assert settings_of(request()).adaptive is None
    assert settings_of(request(proxies=("matched",))).adaptive is None
    assert settings_of(request(proxies=("adaptive",))).adaptive is not None
    assert families_of(["adaptive", "matched"]) == set(ProxyFamily)


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
