import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.errors import ModelError
from models.onnx_files.operator import OnnxNetwork, network_of, onnx_network, register_network
from models.onnx_files.outputs import with_outputs
from models.onnx_files.sessions import open_session

Build = Callable[..., Any]


@pytest.fixture
def network(onnx_classifier: Build) -> OnnxNetwork:
    model = with_outputs(onnx_classifier(), ["logits", "features"])
    session = open_session(model.SerializeToString(), torch.device("cpu"))
    return OnnxNetwork(model=model, session=session, output_shapes=((3,), (4,)))


def test_the_operator_gives_logits_then_representations(network: OnnxNetwork) -> None:
    logits, features = onnx_network(torch.ones(2, 1, 2, 2), register_network(network))
    assert logits.tolist() == [[2, 4, 6]] * 2
    assert features.tolist() == [[2] * 4] * 2


def test_images_that_lie_otherwise_in_memory_give_the_same(network: OnnxNetwork) -> None:
    images = torch.arange(8.0).view(2, 2, 2, 1).permute(0, 3, 1, 2)
    handle = register_network(network)
    assert onnx_network(images, handle)[1].tolist() == (2 * images.flatten(1)).tolist()


def test_a_call_is_traced_with_a_free_number_of_images(network: OnnxNetwork) -> None:
    handle = register_network(network)

    class Around(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits, features = torch.ops.isthmus.onnx_network(images, handle)
            return logits.sum(1) + torch.ops.isthmus.onnx_network(-images, handle)[1].amax(1) + features.sum(1)

    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(Around(), (torch.ones(3, 1, 2, 2),), dynamic_shapes=(batch,), strict=False)
    images = torch.arange(20.0).view(5, 1, 2, 2)
    torch.testing.assert_close(program.module()(images), Around()(images), rtol=0, atol=0)


def test_a_network_goes_with_whoever_holds_it(onnx_classifier: Build) -> None:
    model = onnx_classifier()
    session = open_session(model.SerializeToString(), torch.device("cpu"))
    held = OnnxNetwork(model=model, session=session, output_shapes=((3,),))
    handle = register_network(held)
    assert network_of(handle) is held
    del held
    gc.collect()
    with pytest.raises(ModelError, match=f"no ONNX classifier is open under the handle {handle}"):
        onnx_network(torch.ones(2, 1, 2, 2), handle)
