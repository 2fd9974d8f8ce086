"""From a spec to the network that it describes, whatever that is made of."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from models.adapters.adapted import Adapted
from models.adapters.factory import open_architecture
from models.adapters.tapped import Tapped
from models.errors import ModelError
from models.spec_file import EXPORTED_PROGRAM, ONNX, OnnxRunner, Spec

_NO_RESUMING = "It cannot be resumed at a representation, so that no layer-wise paths can be looked at."


def open_network(spec: Spec, folder: Path, device: torch.device) -> Adapted:
    """Open the network of a spec, ready to run on a device.

    Args:
        spec: with paths as `read_spec` gives them.
        folder: what the path of a factory's file is relative to.

    Raises:
        ModelError: a file is missing, damaged, unsafe or of something else, or what the spec says does not fit it.
    """
    adapted = _open(spec, folder, device)
    if not isinstance(adapted.network, Tapped):
        return adapted
    return dataclasses.replace(adapted, limits=(*adapted.limits, _NO_RESUMING))


def _open(spec: Spec, folder: Path, device: torch.device) -> Adapted:
    if spec.model is None:
        assert spec.architecture is not None
        assert spec.weights is not None
        return open_architecture(
            spec.architecture,
            spec.arguments,
            spec.weights,
            folder,
            input_shape=spec.input_shape,
            representations=spec.representations,
            device=device,
        )
    if spec.model.suffix == ONNX:
        return _open_onnx(spec, spec.model, device)
    opener = _opener_of_programs() if spec.model.suffix == EXPORTED_PROGRAM else _opener_of_scripts()
    return opener(spec.model, representations=spec.representations, input_shape=spec.input_shape, device=device)


# What reads them takes seconds to import, which registered classifiers and factories do without.
def _opener_of_programs() -> Callable[..., Adapted]:
    from models.adapters.exported_program import open_exported_program  # noqa: PLC0415

    return open_exported_program


def _opener_of_scripts() -> Callable[..., Adapted]:
    from models.adapters.torchscript import open_torchscript  # noqa: PLC0415

    return open_torchscript


def _open_onnx(spec: Spec, path: Path, device: torch.device) -> Adapted:
    """As torch operations if the graph converts and gives what ONNX Runtime gives; in ONNX Runtime otherwise."""
    wants_runtime = spec.runtime is OnnxRunner.ONNX_RUNTIME or spec.gradient is not None
    if wants_runtime:
        return _open_with_runtime(spec, path, device)
    try:
        return _open_as_torch(spec, path, device)
    except ModelError as error:
        if spec.runtime is OnnxRunner.TORCH:
            raise
        adapted = _open_with_runtime(spec, path, device)
        reason = f"The graph runs in ONNX Runtime, since as torch operations it does not: {error}."
        return dataclasses.replace(adapted, limits=(reason, *adapted.limits))


def _open_with_runtime(spec: Spec, path: Path, device: torch.device) -> Adapted:
    from models.adapters.onnx_runtime import open_with_onnx_runtime  # noqa: PLC0415

    return open_with_onnx_runtime(
        path,
        logits=spec.logits,
        representations=spec.representations,
        input_shape=spec.input_shape,
        device=device,
        gradient=spec.gradient,
    )


def _open_as_torch(spec: Spec, path: Path, device: torch.device) -> Adapted:
    from models.adapters.onnx_conversion import open_onnx_as_torch  # noqa: PLC0415

    adapted = open_onnx_as_torch(
        path, logits=spec.logits, representations=spec.representations, input_shape=spec.input_shape
    )
    return dataclasses.replace(adapted, network=adapted.network.to(device))
