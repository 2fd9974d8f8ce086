"""The operator through which torch calls a classifier's ONNX graph: eagerly, and traced by torch.export.

`torch.ops.isthmus.onnx_network(images, handle)` gives the logits, then the representations. The handle is a number,
since an operator takes no objects; it stands for the session in graphs that are traced, too.
"""

import dataclasses
import itertools
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from models.errors import ModelError
from models.onnx_files.sessions import run_session

DOMAIN, OPERATOR = "isthmus", "onnx_network"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class OnnxNetwork:
    """A classifier's graph, ready to run.

    Attributes:
        model: the onnx.ModelProto that is run; its one input and all its outputs are float32.
        session: the onnxruntime.InferenceSession that runs it.
        output_shapes: shape of each output for one image, without the axis of the images.
        gradient: what computes vector-Jacobian products with respect to the images; None where nothing does.
    """

    model: Any
    session: Any
    output_shapes: tuple[tuple[int, ...], ...]
    gradient: Any = None


# Who holds the entry keeps it here: a session goes when the last network that runs it goes.
_networks: WeakValueDictionary[int, OnnxNetwork] = WeakValueDictionary()
_handles = itertools.count(1)


def register_network(network: OnnxNetwork) -> int:
    """The handle under which the operator runs `network`, for as long as somebody else holds it."""
    handle = next(_handles)
    _networks[handle] = network
    return handle


def network_of(handle: int) -> OnnxNetwork:
    """What a handle stands for.

    Raises:
        ModelError: nobody holds the network any more.
    """
    network = _networks.get(handle)
    if network is None:
        raise ModelError(f"no ONNX classifier is open under the handle {handle}; keep the classifier while it is used")
    return network


@torch.library.custom_op(f"{DOMAIN}::{OPERATOR}", mutates_args=())
def onnx_network(images: Tensor, handle: int) -> list[Tensor]:
    """Run the graph that `handle` stands for on normalised images (image, channel, height, width), float32."""
    network = network_of(handle)
    return run_session(network.session, [images], network.output_shapes)


@onnx_network.register_fake
def _(images: Tensor, handle: int) -> list[Tensor]:
    return [images.new_empty((images.shape[0], *shape)) for shape in network_of(handle).output_shapes]
