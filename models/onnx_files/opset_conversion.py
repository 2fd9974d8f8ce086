"""Graphs in a newer opset."""

from typing import Any

import numpy as np

from models.errors import ModelError, one_line
from models.onnx_files.graphs import input_sizes
from models.onnx_files.sessions import open_on_cpu
from models.onnx_files.walks import opset

_CLOSE = 1e-4


def in_opset(model: Any, version: int) -> Any:
    """The graph itself, or its translation to a newer opset.

    Raises:
        ModelError: it cannot be translated.
    """
    if opset(model) == version:
        return model
    import onnx.version_converter  # noqa: PLC0415

    try:
        return onnx.version_converter.convert_version(model, version)
    except Exception as error:
        raise ModelError(
            f"the graph of opset {opset(model)} cannot be brought to opset {version} ({one_line(error)}); export the "
            f"classifier with opset_version={version}"
        ) from error


def classifier_in_opset(model: Any, version: int) -> Any:
    """A classifier's graph, or its translation to a newer opset that was seen to compute the same.

    Args:
        model: with one float32 input, of which only the axis of the images is free.
        version: not older than the graph's own.

    Raises:
        ModelError: it cannot be translated, or computes something else then.
    """
    translated = in_opset(model, version)
    if translated is not model:
        sizes = [size or 1 for size in input_sizes(model.graph.input[0])[1:]]
        images = np.random.default_rng(0).random((2, *sizes), np.float32)
        before, after = (_outputs(graph, images) for graph in (model, translated))
        if not all(np.allclose(old, new, _CLOSE, _CLOSE) for old, new in zip(before, after, strict=True)):
            raise ModelError(
                f"the graph of opset {opset(model)} computes something else in opset {version}; export the classifier "
                f"with opset_version={version}"
            )
    return translated


def _outputs(model: Any, images: Any) -> list[Any]:
    outputs: list[Any] = open_on_cpu(model).run(None, {model.graph.input[0].name: images})
    return outputs
