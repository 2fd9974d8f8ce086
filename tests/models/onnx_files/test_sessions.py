from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from models.errors import ModelError
from models.onnx_files import sessions
from models.onnx_files.sessions import PROVIDERS_VARIABLE, open_session, run_session, runtime_line

Build = Callable[..., Any]
CPU = torch.device("cpu")


def test_a_session_gives_tensors_for_tensors(onnx_classifier: Build) -> None:
    session = open_session(onnx_classifier().SerializeToString(), CPU)
    images = torch.tensor([[1.0, 2], [3, 4]]).expand(2, 1, 2, 2)
    (logits,) = run_session(session, [images], [(3,)])
    assert logits.tolist() == [[5, 10, 15]] * 2
    assert run_session(session, [images[:0]], [(3,)])[0].shape == (0, 3)


def test_it_takes_as_many_threads_as_torch(onnx_classifier: Build) -> None:
    model = onnx_classifier().SerializeToString()
    assert open_session(model, CPU).get_session_options().intra_op_num_threads == torch.get_num_threads()
    assert open_session(model, CPU, n_threads=3).get_session_options().intra_op_num_threads == 3


def test_a_device_that_is_not_served_is_refused_whatever_the_runtime_lists(
    onnx_classifier: Build, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=r"does not serve CUDAExecutionProvider here \(only CPUExecutionProvider\)"):
        open_session(onnx_classifier().SerializeToString(), torch.device("cuda"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it may be served")
def test_providers_may_be_named_by_a_variable(onnx_classifier: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROVIDERS_VARIABLE, "TensorrtExecutionProvider, CUDAExecutionProvider")
    with pytest.raises(ModelError, match="does not serve TensorrtExecutionProvider here"):
        open_session(onnx_classifier().SerializeToString(), CPU)


def test_a_device_beyond_the_runtime_is_refused(onnx_classifier: Build) -> None:
    with pytest.raises(ModelError, match="runs on cpu and cuda, not on meta"):
        open_session(onnx_classifier().SerializeToString(), torch.device("meta"))


def test_what_the_runtime_says_of_a_foreign_operation_comes_in_one_line(onnx_model: Build) -> None:
    model = onnx_model([helper.make_node("Magic", ["images"], ["logits"], domain="acme")])
    model.opset_import.append(helper.make_opsetid("acme", 1))
    with pytest.raises(ModelError, match=r"^ONNX Runtime refuses the graph: [^\n]*acme:Magic[^\n]*$"):
        open_session(model.SerializeToString(), CPU)


def test_a_run_that_fails_is_told(onnx_classifier: Build) -> None:
    session = open_session(onnx_classifier().SerializeToString(), CPU)
    with pytest.raises(ModelError, match="fails on 5 images"):
        run_session(session, [torch.zeros(5, 1, 3, 3)], [(3,)])


def test_memory_that_is_lacking_is_told_as_torch_does() -> None:
    class Full:
        def get_inputs(self) -> list[Any]:
            return []

        def run(self, *_arguments: object) -> list[np.ndarray]:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested 9")

    class Fed(Full):
        def get_inputs(self) -> list[Any]:
            return [helper.make_empty_tensor_value_info("images")]

    with pytest.raises(torch.OutOfMemoryError, match=r"^Failed to allocate memory"):
        run_session(Fed(), [torch.zeros(1, 1)], [(1,)])


def test_places_in_the_runtimes_source_are_left_out() -> None:
    error = RuntimeError(
        "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/graph/model.cc:256 "
        "onnxruntime::Model::Model(onnx::ModelProto&&, const int&) Unsupported model IR version: 99\n"
    )
    assert runtime_line(error) == "Unsupported model IR version: 99"


@pytest.mark.parametrize(
    ("named", "device", "wanted"),
    [
        ("", "cpu", ["CPU"]),
        ("", "cuda", ["CUDA", "CPU"]),
        ("Tensorrt", "cuda", ["Tensorrt", "CUDA", "CPU"]),
        ("Tensorrt,CPU", "cuda", ["Tensorrt", "CUDA", "CPU"]),
        ("Tensorrt", "cpu", ["Tensorrt", "CPU"]),
        ("CPU", "cuda", ["CPU"]),
    ],
)
def test_cuda_comes_behind_other_providers_of_a_gpu(
    named: str, device: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [f"{name}ExecutionProvider" for name in named.split(",") if name]
    monkeypatch.setenv(PROVIDERS_VARIABLE, ",".join(whole))
    found = sessions._providers(torch.device(device), None)
    assert found == [f"{name}ExecutionProvider" for name in wanted]


def test_scores_are_not_rounded_as_tensor_float_does() -> None:
    device = torch.device("cuda", 1)
    assert sessions._provider_options("CUDAExecutionProvider", device) == {"device_id": 1, "use_tf32": 0}
    assert sessions._provider_options("TensorrtExecutionProvider", device) == {"device_id": 1}


@pytest.mark.parametrize(
    ("served", "device", "is_shared"), [("CUDA", "cuda", True), ("CPU", "cuda", False), ("CPU", "cpu", False)]
)
def test_a_session_on_the_cpu_gets_no_memory_of_the_gpu(served: str, device: str, is_shared: bool) -> None:
    session = SimpleNamespace(get_providers=lambda: [f"{served}ExecutionProvider", "CPUExecutionProvider"])
    assert sessions._shares_memory(session, torch.device(device)) is is_shared
