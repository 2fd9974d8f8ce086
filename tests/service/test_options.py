import json
import typing
from pathlib import Path

from detector.early_exit import Look
from detector.presets import Preset
from detector.prototypes.prototype_set import PrototypeKind
from service.options import FirstLook, PresetName, PrototypeName, RuntimeName
from service.settings import ServeSettings


def test_the_presets_offered_are_the_detectors():
    assert [name.value for name in PresetName] == [preset.value for preset in Preset]


def test_the_prototypes_offered_are_those_that_the_detector_makes_when_asked():
    made = [kind.value for kind in PrototypeKind if kind is not PrototypeKind.LEARNED_FROM_IMAGES]
    assert [name.value for name in PrototypeName] == made


def test_the_first_looks_offered_are_the_detectors():
    assert [name.value for name in FirstLook] == [look.value for look in Look]


def test_the_server_and_its_chart_offer_the_same_runtimes():
    names = [runtime.value for runtime in RuntimeName]
    assert list(typing.get_args(ServeSettings.model_fields["runtime"].annotation)) == names
    chart = Path(__file__).parents[2] / "deploy" / "helm" / "isthmus" / "values.schema.json"
    assert f'"runtime": {json.dumps({"enum": names})}' in chart.read_text()
