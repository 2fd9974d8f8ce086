from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from models.errors import ModelError
from models.onnx_files.decompositions import SimplerForwards, backward_decompositions

OPERATIONS = {
    "a convolution whose stride leaves cells over": nn.Conv2d(4, 6, 3, stride=(2, 3), padding=(1, 0)),
    "a grouped, dilated convolution": nn.Conv2d(4, 8, (3, 2), padding=2, dilation=2, groups=2),
    "a transposed convolution": nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
    "a max pool whose windows overlap": nn.MaxPool2d(3, 2, padding=1),
    "a max pool that reaches over the edge": nn.MaxPool2d(3, (2, 3), ceil_mode=True),
    "an average pool over padding": nn.AvgPool2d(3, (2, 1), padding=1, ceil_mode=True),
    "an average pool that leaves padding out": nn.AvgPool2d((2, 3), padding=(1, 1), count_include_pad=False),
    "a sum pool": nn.AvgPool2d(2, 3, divisor_override=1),
    "an adaptive pool to one cell": nn.AdaptiveAvgPool2d(1),
    "an adaptive pool whose windows overlap": nn.AdaptiveAvgPool2d((4, 3)),
    "an adaptive pool to more cells than there are": nn.AdaptiveAvgPool2d((13, None)),
    "an adaptive pool that changes nothing": nn.AdaptiveAvgPool2d((None, 7)),
    "hard swish": nn.Hardswish(),
    "a linear layer of tokens, cut off in place": nn.Sequential(nn.Linear(7, 5), nn.ReLU(inplace=True)),
    "a linear layer of rows, cut off in place": nn.Sequential(
        nn.Flatten(), nn.Linear(252, 5), nn.Hardswish(inplace=True)
    ),
    "an adaptive pool cut off in place": nn.Sequential(nn.AdaptiveAvgPool2d((9, 7)), nn.ReLU(inplace=True)),
    "GELU of a normalised layer": nn.Sequential(nn.LayerNorm(7), nn.GELU()),
}


def images() -> Tensor:
    return torch.randn(2, 4, 9, 7, generator=torch.Generator().manual_seed(1))


def graph_of(operation: Callable[[Tensor], Tensor], pixels: Tensor, cotangent: Tensor) -> torch.fx.GraphModule:
    def product(pixels: Tensor, cotangent: Tensor) -> Tensor:
        _, backward = torch.func.vjp(operation, pixels)
        gradient: Tensor = backward(cotangent)[0]
        return gradient

    with SimplerForwards():
        return make_fx(product, backward_decompositions())(pixels, cotangent)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_backward_pass_is_that_of_torch_in_other_operations(name: str) -> None:
    operation, pixels = OPERATIONS[name].requires_grad_(False), images().requires_grad_(True)
    outputs = operation(pixels)
    cotangent = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad(outputs, pixels, cotangent)
    graph = graph_of(operation, pixels.detach(), cotangent)
    torch.testing.assert_close(graph(pixels.detach(), cotangent), expected)
    assert not [node.name for node in graph.graph.nodes if "backward" in node.name or "as_strided" in node.name]


@pytest.mark.parametrize("size", [1, 3, (2, None), (4, 4)])
def test_an_adaptive_pool_gives_what_torch_gives(size: object) -> None:
    pool = nn.AdaptiveAvgPool2d(size)
    with SimplerForwards():
        found = pool(images())
    torch.testing.assert_close(found, pool(images()))


@pytest.mark.parametrize("options", [{}, {"need_weights": False}, {"average_attn_weights": False}])
@pytest.mark.parametrize("is_masked", [False, True])
def test_attention_written_out_is_attention(options: dict[str, bool], is_masked: bool) -> None:
    attention = nn.MultiheadAttention(8, 2, bias=not options, batch_first=True).eval().requires_grad_(False)
    # Its bias starts at zero, where a wrong one would not show.
    with torch.no_grad():
        for weights in attention.parameters():
            weights.normal_(generator=torch.Generator().manual_seed(4))
    tokens = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(5))
    masks = {"attn_mask": torch.ones(5, 5).triu(1).bool()} if is_masked else {}
    with SimplerForwards():
        found = attention(tokens, tokens, tokens, **options, **masks)
    expected = attention(tokens.requires_grad_(True), tokens, tokens, **options, **masks)
    torch.testing.assert_close(found[0], expected[0].detach())
    assert (found[1] is None) == (expected[1] is None)
    if expected[1] is not None:
        torch.testing.assert_close(found[1], expected[1].detach())


def test_attention_to_other_tokens_is_left_to_torch() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    query, others = torch.randn(2, 3, 4, 8, generator=torch.Generator().manual_seed(6))
    with SimplerForwards():
        found, _ = attention(query, others, others)
    torch.testing.assert_close(found, attention(query, others, others)[0])


def test_weights_that_are_not_frozen_are_refused() -> None:
    convolution = nn.Conv2d(4, 6, 3)

    def with_weights(weights: Tensor) -> Tensor:
        return nn.functional.conv2d(images(), weights)

    cotangent = torch.ones_like(convolution(images()))
    with pytest.raises(ModelError, match="not frozen; freeze them"):
        graph_of(with_weights, convolution.weight.detach(), cotangent)
