import pytest

from detector.presets import Preset
from detector.types import BundleError
from models.errors import ModelError
from models.onnx_files import packages
from service.bench import request as requests
from service.bench.contenders import Calibrated, MadeUp
from service.bench.request import BenchRequest, check, contenders, settle_threads
from service.bundles import shipped_names
from service.errors import InputError
from service.options import RuntimeName

CPU = ("cpu",)


def subjects(**options):
    return [contender.subject for contender in contenders(BenchRequest(devices=CPU, **options))]


def test_by_default_shipped_bundles_and_every_preset_for_the_default_classifier_are_compared():
    assert subjects() == [
        *(Calibrated(bundle=name) for name in shipped_names()),
        *(MadeUp(preset=preset, classifier="cifar10-resnet20") for preset in Preset),
    ]


def test_a_bundle_that_is_named_is_all_there_is():
    assert subjects(bundles=("digits",)) == [Calibrated(bundle="digits")]


def test_a_preset_is_made_up_for_each_classifier():
    assert subjects(presets=(Preset.FAST,), classifiers=("digits", "cifar10-resnet18")) == [
        MadeUp(preset=Preset.FAST, classifier="digits"),
        MadeUp(preset=Preset.FAST, classifier="cifar10-resnet18"),
    ]


def test_a_classifier_alone_gets_every_preset():
    assert [subject.preset for subject in subjects(classifiers=("digits",))] == list(Preset)


def test_bundles_and_presets_may_stand_side_by_side():
    assert subjects(bundles=("digits",), presets=(Preset.FAST,), classifiers=("digits",)) == [
        Calibrated(bundle="digits"),
        MadeUp(preset=Preset.FAST, classifier="digits"),
    ]


def test_every_device_meets_every_runtime_and_what_is_named_twice_comes_once():
    runtimes = (RuntimeName.TORCH, RuntimeName.ONNXRUNTIME)
    asked = BenchRequest(bundles=("digits", "digits"), devices=("cpu", "cuda", "cpu"), runtimes=runtimes)
    assert [(one.device, one.runtime) for one in contenders(asked)] == [
        (device, runtime) for device in ("cpu", "cuda") for runtime in runtimes
    ]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"rounds": 0}, InputError, "--rounds 1 or more"),
        ({"batch": 0}, InputError, "--batch 0 judges nothing"),
        ({"bundles": ("absent",)}, InputError, "there is no bundle 'absent'"),
        ({"classifiers": ("absent",)}, ModelError, "there is no classifier 'absent'"),
        ({"devices": ("tpu",)}, ModelError, "'tpu'"),
        ({"runtimes": (RuntimeName.TORCH, RuntimeName.TORCH_GRAPHS)}, InputError, "--runtime torch-graphs"),
    ],
)
def test_what_can_be_refused_at_once_is(options, error, words):
    with pytest.raises(error, match=words):
        check(BenchRequest(**({"devices": CPU} | options)))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is no bundle"):
        check(BenchRequest(devices=CPU, bundles=(str(tmp_path),)))


@pytest.mark.parametrize("name", [".", "file/below.json"])
def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        check(BenchRequest(devices=CPU, bundles=("digits",), out=tmp_path / name))


def test_a_runtime_that_is_not_installed_comes_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match=r"pip install 'isthmus\[onnx\]'"):
        check(BenchRequest(devices=CPU, bundles=("digits",), runtimes=(RuntimeName.ONNXRUNTIME,)))


@pytest.mark.parametrize(("variable", "threads"), [("", 1), ("4", 4)])
def test_one_thread_is_taken_unless_somebody_says_otherwise(monkeypatch, variable, threads):
    taken = [4]
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(requests.torch, "set_num_threads", taken.append)
    monkeypatch.setattr(requests.torch, "get_num_threads", lambda: taken[-1])
    assert settle_threads() == threads
