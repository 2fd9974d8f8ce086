from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import helper
from torch import nn

from models.adapters import onnx_conversion
from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.onnx_conversion import open_onnx_as_torch
from models.adapters.onnx_runtime import open_with_onnx_runtime
from models.digits import SmallConvNet
from models.errors import ModelError

Build = Callable[..., Any]
Save = Callable[[Any], Path]
DIGITS_SHAPE = (1, 8, 8)


def opened(path: Path, shape: tuple[int, int, int] = DIGITS_SHAPE, **wanted: Any) -> Adapted:
    return open_onnx_as_torch(path, **{"logits": None, "representations": None, "input_shape": shape} | wanted)


@pytest.mark.parametrize("fixture", ["digits_opset17", "digits_opset20"])
def test_logits_and_their_gradient_are_those_of_the_network_that_was_exported(
    fixture: str, request: pytest.FixtureRequest, digits_in_torch: SmallConvNet
) -> None:
    adapted = opened(request.getfixturevalue(fixture))
    assert adapted.kind is NetworkKind.ONNX_AS_TORCH
    assert adapted.is_differentiable
    images = torch.rand(5, *DIGITS_SHAPE, requires_grad=True)
    weights = torch.randn(5, 10)
    results = []
    for network in (adapted.network, digits_in_torch):
        logits = network(images)
        (gradient,) = torch.autograd.grad((logits * weights).sum(), images)
        results.append((logits.detach(), gradient))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_both_roads_have_one_digest_and_the_same_representations(digits_opset17: Path) -> None:
    converted = opened(digits_opset17)
    run = open_with_onnx_runtime(
        digits_opset17, logits=None, representations=None, input_shape=DIGITS_SHAPE, device=torch.device("cpu")
    )
    assert converted.file_digest == run.file_digest
    assert converted.representations == run.representations


def test_a_conversion_that_computes_something_else_is_not_believed(
    onnx_classifier: Build, saved_onnx: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Off(nn.Module):
        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            rows = 2 * images.flatten(1)
            return [rows @ torch.tensor([[0.25, 0.5, 0.76]] * 4), rows]

    monkeypatch.setattr(onnx_conversion, "convert", lambda *_arguments: Off())
    with pytest.raises(ModelError, match=r"'logits' that is 0\.\d+ from ONNX Runtime's"):
        opened(saved_onnx(onnx_classifier()), (1, 2, 2), representations=["features"])


def test_an_operation_without_counterpart_is_named(onnx_model: Build, saved_onnx: Save) -> None:
    nodes = [
        helper.make_node("Flatten", ["images"], ["features"]),
        helper.make_node("Hardmax", ["features"], ["hard"]),
        helper.make_node("Add", ["hard", "features"], ["logits"]),
    ]
    with pytest.raises(ModelError, match="cannot be converted to torch: onnx2torch has nothing for Hardmax"):
        opened(saved_onnx(onnx_model(nodes)), (1, 2, 2), representations=["features"])


def test_a_graph_without_gradient_is_told(onnx_model: Build, saved_onnx: Save) -> None:
    nodes = [
        helper.make_node("Flatten", ["images"], ["features"]),
        helper.make_node("Sign", ["features"], ["signs"]),
        helper.make_node("Neg", ["signs"], ["logits"]),
    ]
    with pytest.raises(ModelError, match="no gradient at its input"):
        opened(saved_onnx(onnx_model(nodes)), (1, 2, 2), representations=["signs"])


def test_a_converted_graph_is_traced_with_a_free_number_of_images(digits_opset17: Path) -> None:
    network = opened(digits_opset17).network
    batch = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(network, (torch.rand(3, *DIGITS_SHAPE),), dynamic_shapes=batch, strict=False)
    images = torch.rand(7, *DIGITS_SHAPE)
    torch.testing.assert_close(program.module()(images), network(images))
