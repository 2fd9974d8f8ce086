"""What a graph computes from the shape of its input alone, computed once: exporters spell out much that is constant."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.errors import ModelError
from models.onnx_files.graphs import image_input
from models.onnx_files.outputs import needed_nodes, set_nodes, with_outputs
from models.onnx_files.sessions import open_on_cpu, runtime_line
from models.onnx_files.walks import captured_names, subgraphs, used_names

LARGEST_FOLDED = 2**20
"""Bytes of a tensor that is kept as a constant."""

_READS_SHAPE = frozenset({"Shape", "Size"})
_N_IMAGES = (1, 3)


def without_aliases(model: Any) -> Any:
    """A copy in which nothing but another name of a weight is made: exporters write Identity where two are equal."""
    import onnx  # noqa: PLC0415

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    weights = {tensor.name for tensor in changed.graph.initializer}
    outputs = {value.name for value in changed.graph.output}
    names: dict[str, str] = {}
    kept = []
    for node in changed.graph.node:
        source = node.input[0] if node.op_type == "Identity" else ""
        source = names.get(source, source)
        if source in weights and node.output[0] not in outputs and not _is_read_within(changed, node.output[0]):
            names[node.output[0]] = source
        else:
            kept.append(node)
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    set_nodes(changed.graph, kept)
    return changed


def _is_read_within(model: Any, name: str) -> bool:
    return any(name in captured_names(graph) for node in model.graph.node for graph in subgraphs(node))


def fold_shapes(model: Any, input_shape: tuple[int, int, int]) -> Any:
    """Make what follows from shapes and is the same for every number of images a weight; gives the same model back.

    Raises:
        ModelError: the graph does not run.
    """
    from onnx import numpy_helper  # noqa: PLC0415

    names = _derived_from_shapes(model)
    if not names:
        return model
    one, several = values_for_batches(model, names, input_shape)
    constants = {
        name: single
        for name, single, other in zip(names, one, several, strict=True)
        if _is_constant(single, other) and single.nbytes <= LARGEST_FOLDED
    }
    outputs = [value.name for value in model.graph.output]
    nodes = [node for node in model.graph.node if not set(node.output) <= constants.keys() - set(outputs)]
    set_nodes(model.graph, nodes)
    set_nodes(model.graph, needed_nodes(model.graph, outputs))
    made = {name for node in nodes for name in node.output}
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name not in made
    )
    return model


def _derived_from_shapes(model: Any) -> list[str]:
    """Names of tensors on which the images have no influence but by how many they are and how large."""
    known = {tensor.name for tensor in model.graph.initializer}
    derived = []
    for node in model.graph.node:
        if node.op_type in _READS_SHAPE or used_names(node) <= known:
            names = [name for name in node.output if name]
            known.update(names)
            derived += names
    return derived


def values_for_batches(model: Any, names: Sequence[str], input_shape: tuple[int, int, int]) -> tuple[list[Any], ...]:
    """Values of the tensors called `names` for one image, and for three: numpy arrays, or lists of sequences.

    Raises:
        ModelError: the graph does not run on them.
    """
    probed = with_outputs(model, names)
    session = open_on_cpu(probed)
    value = image_input(probed).name
    values = []
    for n_images in _N_IMAGES:
        # What depends on what is in the images, and not on their shape alone, shall differ.
        images = np.random.default_rng(n_images).random((n_images, *input_shape), np.float32)
        try:
            values.append(session.run(None, {value: images}))
        except Exception as error:
            raise ModelError(f"the graph fails on {n_images} images: {runtime_line(error)}") from error
    return tuple(values)


def _is_constant(single: Any, several: Any) -> bool:
    is_array = isinstance(single, np.ndarray) and isinstance(several, np.ndarray)
    return (
        is_array and single.shape == several.shape and single.dtype == several.dtype and np.array_equal(single, several)
    )
