import json

import pytest
import torch

from detector.presets import Preset
from models.errors import ModelError
from service.bench.contenders import Calibrated, Contender, MadeUp, open_bare, open_contender, require_devices
from service.options import RuntimeName

CALIBRATED = Contender(
    subject=Calibrated(bundle="digits", classifier="a.toml"), device="cpu", runtime=RuntimeName.ONNXRUNTIME
)
MADE_UP = Contender(subject=MadeUp(preset=Preset.FAST, classifier="digits"), device="cpu", runtime=RuntimeName.TORCH)


@pytest.mark.parametrize("contender", [CALIBRATED, MADE_UP])
def test_a_contender_survives_the_way_to_another_process(contender):
    assert Contender.from_record(json.loads(json.dumps(contender.to_record()))) == contender


def test_a_made_up_contender_judges():
    opened = open_contender(MADE_UP)
    assert len(opened.detector.inspect(torch.zeros(2, 1, 8, 8))) == 2
    assert opened.detector.bundle.forward_equivalents == 4


@pytest.mark.parametrize("subject", [MADE_UP.subject, Calibrated(bundle="digits")])
def test_half_precision_is_measured_beside_the_full_one(subject):
    opened = open_contender(Contender(subject=subject, device="cpu", runtime=RuntimeName.TORCH_BFLOAT16))
    pixels = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    halved, whole = (one.straight_paths(pixels).scores for one in (opened.detector, opened.in_torch))
    assert not torch.equal(halved, whole)


@pytest.mark.slow
def test_a_classifier_whose_weights_are_not_shipped_gets_random_ones():
    assert open_bare("cifar10-resnet18", "cpu").classifier.input_shape == (3, 32, 32)


def test_two_presets_of_one_classifier_share_a_roofline():
    other = Contender(subject=Calibrated(bundle="digits"), device="cpu", runtime=RuntimeName.TORCH)
    assert open_contender(MADE_UP).digest == open_contender(other).digest


@pytest.mark.parametrize("device", ["meta", "tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ModelError, match=device):
        require_devices([device])
