from detector.presets import Preset
from detector.prototypes.prototype_set import PrototypeKind
from service.options import PresetName, PrototypeName


def test_the_presets_offered_are_the_detectors():
    assert [name.value for name in PresetName] == [preset.value for preset in Preset]


def test_the_prototypes_offered_are_the_detectors():
    assert [name.value for name in PrototypeName] == [kind.value for kind in PrototypeKind]
