"""Types and shapes of a graph's tensors, seen by running it: inference of shapes knows less of what exporters write."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.errors import ModelError
from models.onnx_files.outputs import with_outputs
from models.onnx_files.sessions import open_on_cpu, runtime_line

N_IMAGES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """A tensor as it came out.

    Attributes:
        type: onnx.TensorProto.DataType.
        shape: for one image, without the axis of the images.
    """

    type: int
    shape: tuple[int, ...]


def see_tensors(model: Any, names: Sequence[str], input_shape: tuple[int, int, int]) -> dict[str, Seen]:
    """Those of the tensors called `names` that are floating point and have a row an image, in their order.

    Raises:
        ModelError: the graph does not run on several images, or on one.
    """
    from onnx import TensorProto  # noqa: PLC0415
    from onnx.helper import np_dtype_to_tensor_dtype  # noqa: PLC0415

    session = open_on_cpu(with_outputs(model, names))
    one, several = (_run(session, (n_images, *input_shape)) for n_images in (1, N_IMAGES))
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    seen = {}
    for name, single, values in zip(names, one, several, strict=True):
        # Sequences and optional values come as lists.
        if not isinstance(single, np.ndarray) or single.ndim < 2:
            continue
        kind = np_dtype_to_tensor_dtype(values.dtype)
        has_rows = single.shape[0] == 1 and values.shape[0] == N_IMAGES and single.shape[1:] == values.shape[1:]
        if kind in floats and has_rows:
            seen[name] = Seen(type=kind, shape=single.shape[1:])
    return seen


def _run(session: Any, shape: tuple[int, int, int, int]) -> list[Any]:
    value = session.get_inputs()[0]
    dtype = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(value.type, np.float32)
    try:
        outputs: list[Any] = session.run(None, {value.name: np.full(shape, 0.25, dtype)})
    except Exception as error:
        advice = "export it with a free batch axis throughout" if shape[0] > 1 else "check channels and input_size"
        raise ModelError(
            f"the graph fails on {shape[0]} images of shape {shape[1:]} (channel, height, width): "
            f"{runtime_line(error)}; {advice}"
        ) from error
    return outputs
