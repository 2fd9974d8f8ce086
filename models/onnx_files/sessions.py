"""Sessions of ONNX Runtime: opened on the device that was asked for, or not at all, and fed with torch's tensors."""

import functools
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.errors import ModelError
from models.onnx_files.packages import require_onnx

PROVIDERS_VARIABLE = "ISTHMUS_ONNX_PROVIDERS"
"""Execution providers instead of the device's own, comma-separated, the first one first."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SILENT = 4
_FAR_OPSET, _OLD_IR = 1_000, 8
LONGEST_LINE = 400


def open_session(
    model: Path | bytes, device: torch.device, n_threads: int | None = None, providers: Sequence[str] | None = None
) -> Any:
    """Open a graph on a device.

    Args:
        model: a serialised onnx.ModelProto; or the file, if it is known to come from here, for the runtime reads
            whatever it names.
        device: "cpu" or "cuda".
        n_threads: of one call on the CPU; as many as torch takes if not given.
        providers: ONNX Runtime's execution providers, like "TensorrtExecutionProvider"; those of the variable
            ISTHMUS_ONNX_PROVIDERS if not given, else the device's own.

    Returns:
        The onnxruntime.InferenceSession; the first of the providers asked for serves it.

    Raises:
        ModelError: the packages are missing, the runtime refuses the graph, or does not serve the device.
    """
    onnxruntime = _runtime()
    wanted = _providers(device, providers)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    try:
        if torch.version.cuda is not None and wanted[0] != _CPU:
            # Those that came with torch serve, and are in no folder that the loader knows.
            onnxruntime.preload_dlls()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            session = onnxruntime.InferenceSession(
                str(model) if isinstance(model, Path) else model,
                options,
                providers=[name if name == _CPU else (name, _provider_options(name, device)) for name in wanted],
            )
    except Exception as error:
        raise ModelError(f"ONNX Runtime refuses the graph: {runtime_line(error)}") from error
    # It falls back without a word, and the list of what is available names what is not there.
    served = session.get_providers()
    if wanted[0] not in served:
        raise ModelError(
            f"ONNX Runtime does not serve {wanted[0]} here (only {', '.join(served)}): install onnxruntime-gpu beside "
            "the CUDA and cuDNN that it was built for, or take device cpu"
        )
    return session


def open_on_cpu(model: Any) -> Any:
    """A session for looking at what an onnx.ModelProto gives: on the CPU, whatever is to serve it later."""
    return open_session(model.SerializeToString(), torch.device("cpu"), providers=[_CPU])


@functools.cache
def newest_opset() -> int:
    """The newest opset of ONNX's own operators that the installed runtime takes, asked of itself."""
    onnxruntime = _runtime()
    from onnx import TensorProto, helper  # noqa: PLC0415

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "probe", ends[:1], ends[1:])
    probe = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _FAR_OPSET)], ir_version=_OLD_IR)
    try:
        onnxruntime.InferenceSession(probe.SerializeToString(), providers=[_CPU])
    except Exception as error:
        told = re.search(r"till opset (\d+)", str(error))
        return int(told.group(1)) if told else _FAR_OPSET
    return _FAR_OPSET


def _runtime() -> ModuleType:
    require_onnx()
    import onnxruntime  # noqa: PLC0415

    # What it says on the way of providers that it lacks is said by `open_session`, once.
    onnxruntime.set_default_logger_severity(_SILENT)
    return onnxruntime  # type: ignore[no-any-return]


def _providers(device: torch.device, providers: Sequence[str] | None) -> list[str]:
    if device.type not in ("cpu", "cuda"):
        raise ModelError(f"ONNX Runtime runs on cpu and cuda, not on {device}; take one of them")
    named = providers or [name.strip() for name in os.environ.get(PROVIDERS_VARIABLE, "").split(",") if name.strip()]
    if named and named[0] == _CPU:
        return list(named)
    # The last resorts of single operations that another provider does not know come behind.
    on_device = [_CUDA] if device.type == "cuda" else []
    return list(dict.fromkeys([*(name for name in named if name != _CPU), *on_device, _CPU]))


def _provider_options(name: str, device: torch.device) -> dict[str, int]:
    """Of a provider on a GPU; ten bits of products, as TensorFloat-32 has, would give other scores than torch's."""
    return {"device_id": device.index or 0} | ({"use_tf32": 0} if name == _CUDA else {})


def run_session(session: Any, inputs: Sequence[Tensor], output_shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Run a graph whose inputs and outputs are float32 and all have the axis of the images first.

    Args:
        session: from `open_session`, on the device of the inputs.
        inputs: one each of the graph's, in its order.
        output_shapes: of each output for one image.

    Raises:
        ModelError: the runtime fails, the message says at what.
        OutOfMemoryError: of torch, where the runtime found no memory.
    """
    n_images = inputs[0].shape[0]
    given = [tensor.detach().to(torch.float32).contiguous() for tensor in inputs]
    if n_images == 0:
        return [given[0].new_empty((0, *shape)) for shape in output_shapes]
    run = _run_in_place if _shares_memory(session, given[0].device) else _run_on_arrays
    try:
        return run(session, given, [(n_images, *shape) for shape in output_shapes])
    except Exception as error:
        line = runtime_line(error)
        if "allocate memory" in line or "out of memory" in line:
            raise torch.OutOfMemoryError(line) from error
        raise ModelError(f"ONNX Runtime fails on {n_images} images: {line}") from error


def _shares_memory(session: Any, device: torch.device) -> bool:
    """Whether the session reads tensors on this device where they lie; one on the CPU may be asked for on any."""
    return device.type == "cuda" and session.get_providers()[0] != _CPU


def _run_on_arrays(session: Any, inputs: list[Tensor], _shapes: list[tuple[int, ...]]) -> list[Tensor]:
    names = [value.name for value in session.get_inputs()]
    arrays = session.run(None, dict(zip(names, (tensor.cpu().numpy() for tensor in inputs), strict=True)))
    # Nothing is copied where all is on the CPU.
    return [torch.from_numpy(array).to(inputs[0].device) for array in arrays]


def _run_in_place(session: Any, inputs: list[Tensor], shapes: list[tuple[int, ...]]) -> list[Tensor]:
    """Let the runtime read and write torch's own memory on the GPU."""
    device = inputs[0].device
    outputs = [torch.empty(shape, dtype=torch.float32, device=device) for shape in shapes]
    binding = session.io_binding()
    for bind, values, tensors in (
        (binding.bind_input, session.get_inputs(), inputs),
        (binding.bind_output, session.get_outputs(), outputs),
    ):
        for value, tensor in zip(values, tensors, strict=True):
            bind(value.name, "cuda", device.index or 0, np.float32, tuple(tensor.shape), tensor.data_ptr())
    # The runtime works on a stream of its own.
    torch.cuda.current_stream(device).synchronize()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    return outputs


def runtime_line(error: Exception) -> str:
    """What ONNX Runtime says, in one line, without its own codes and places in its source."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", text)
    # "/path/file.cc:256 function(signature) what happened"
    text = re.sub(r"^/\S+:\d+ .*?\) (?=[A-Z])", "", text)
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"
