import pytest

from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind


@pytest.mark.parametrize(("preset", "passes"), [(Preset.FAST, 3), (Preset.DEFAULT, 7), (Preset.THOROUGH, 25)])
def test_a_verdict_costs_what_the_preset_says(preset: Preset, passes: int) -> None:
    settings = settings_for(preset)
    assert 1 + settings.n_prototypes * len(settings.mixing) == passes


def test_the_fast_preset_learns_no_prototypes() -> None:
    assert settings_for(Preset.FAST).prototype_kind is not PrototypeKind.LEARNED
    assert settings_for(Preset.DEFAULT).prototype_kind is PrototypeKind.LEARNED


@pytest.mark.parametrize("preset", Preset)
def test_no_preset_stores_pixels_of_anybodys_image(preset: Preset) -> None:
    assert settings_for(preset).prototype_kind.is_synthetic
