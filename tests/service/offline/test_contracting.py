from pathlib import Path

import pytest
import torch

from detector.types import DetectorError
from service.bundles import SHIPPED_BUNDLES, ClassifierChoice, open_bundle
from service.errors import InputError
from service.offline.audit_request import AuditRequest
from service.offline.contracting import contract_of, worker_settings
from service.options import AuditEngine, RuntimeName


def request(**changes) -> AuditRequest:
    choice = ClassifierChoice(device="cpu")
    return AuditRequest(**{"bundle": "digits", "images": "pictures", "out": Path("out"), "choice": choice, **changes})


def test_the_contract_says_what_verdicts_follow_from(source) -> None:
    bundle = open_bundle("digits")
    contract = contract_of(request(false_positive_rate=0.01, shard_size=64), bundle, source)
    assert (contract.bundle, contract.classifier) == ("digits", "digits")
    assert contract.classifier_digest == bundle.record.classifier_digest
    assert (contract.false_positive_rate, contract.shard_size, contract.device) == (0.01, 64, "cpu")
    # The smallest p-value of 144 calibration images is 1/145.
    assert contract.n_calibration == 144
    assert contract.source == source.description


def test_a_bundle_is_the_same_by_its_name_and_by_its_folder(source) -> None:
    bundle = open_bundle("digits")
    by_name, by_folder = (
        contract_of(request(bundle=name), bundle, source) for name in ("digits", str(SHIPPED_BUNDLES / "digits"))
    )
    assert by_name == by_folder


def test_a_rate_that_the_bundle_cannot_support_is_refused(source) -> None:
    with pytest.raises(DetectorError):
        contract_of(request(false_positive_rate=0.001), open_bundle("digits"), source)


def test_a_rate_that_would_flag_images_after_a_first_look_is_refused(source) -> None:
    with pytest.raises(DetectorError, match="whose paths nobody measured"):
        contract_of(request(false_positive_rate=0.5), open_bundle("cifar10-resnet20-early"), source)


def test_workers_are_told_where_things_are_wherever_they_run(source, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spec.toml").write_text("")
    choice = ClassifierChoice(
        name_or_spec="spec.toml",
        weights=Path("weights.safetensors"),
        device="cpu",
        auxiliary="cifar10-resnet20",
        runtime=RuntimeName.ONNXRUNTIME,
    )
    asked = request(choice=choice, n_readers=2, allow_urls=True)
    settings = worker_settings(asked, contract_of(asked, open_bundle("digits"), source), source)
    assert settings.chunk_images == contract_of(asked, open_bundle("digits"), source).chunk_images
    assert settings.choice == ClassifierChoice(
        name_or_spec=str(tmp_path / "spec.toml"),
        weights=tmp_path / "weights.safetensors",
        device="cpu",
        auxiliary="cifar10-resnet20",
        runtime=RuntimeName.ONNXRUNTIME,
    )
    assert (settings.bundle, settings.n_readers, settings.allow_urls) == ("digits", 2, True)


def test_the_folder_of_a_bundle_becomes_absolute(source, monkeypatch) -> None:
    monkeypatch.chdir(SHIPPED_BUNDLES)
    asked = request(bundle="./digits")
    settings = worker_settings(asked, contract_of(asked, open_bundle("./digits"), source), source)
    assert settings.bundle == str(SHIPPED_BUNDLES / "digits")


def test_one_thread_computes_unless_more_are_asked_for(source, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    bundle = open_bundle("digits")
    assert contract_of(request(), bundle, source).n_threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert contract_of(request(), bundle, source).n_threads == 3
    # Each worker of a cluster has one core.
    assert contract_of(request(engine=AuditEngine.RAY), bundle, source).n_threads == 1


def test_a_runtime_that_would_do_nothing_is_refused_before_anything_is_written(source) -> None:
    for engine in AuditEngine:
        choice = ClassifierChoice(device="cpu", runtime=RuntimeName.TORCH_GRAPHS)
        with pytest.raises(InputError, match="replays CUDA graphs, and this computes on cpu"):
            contract_of(request(engine=engine, choice=choice), open_bundle("digits"), source)
    choice = ClassifierChoice(device="cuda", runtime=RuntimeName.TORCH_GRAPHS)
    asked = request(engine=AuditEngine.RAY, choice=choice)
    assert contract_of(asked, open_bundle("digits"), source).runtime == "torch-graphs"


@pytest.mark.parametrize("device", ["tpu", "cuda:1"])
def test_a_device_that_a_cluster_does_not_deal_out_is_refused(source, device) -> None:
    asked = request(engine=AuditEngine.RAY, choice=ClassifierChoice(device=device))
    with pytest.raises(InputError, match=f"--device {device} was asked for, and Ray gives"):
        contract_of(asked, open_bundle("digits"), source)


def test_a_cluster_may_have_devices_that_this_machine_has_not(source) -> None:
    choice = ClassifierChoice(device="cuda")
    contract = contract_of(request(engine=AuditEngine.RAY, choice=choice), open_bundle("digits"), source)
    assert (contract.device, contract.n_threads) == ("cuda", None)
