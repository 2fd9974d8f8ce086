from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.classifier import Classifier
from models.errors import ModelError
from models.onnx_files import gradient
from models.onnx_files.gradient import export_gradient, part_of
from models.onnx_files.sessions import open_session

# The exports that they share take most of the time.
pytestmark = pytest.mark.slow

INPUT_SHAPE = (3, 19, 14)
CPU = torch.device("cpu")


class Pooled(nn.Module):
    """Strides that leave cells over, overlapping pools, a branch, a batch norm that folds, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.largest = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.left = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.right = nn.AvgPool2d(3, 1, padding=1)
        self.pool = nn.AdaptiveAvgPool2d((3, 1))
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.head = nn.Linear(36, 5)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.largest(self.stem(images))
        both = self.pool(torch.cat([self.left(hidden).relu(), self.right(hidden)], 1))
        tokens = both.flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        logits: Tensor = self.head((tokens + mixed).flatten(1))
        return logits


def classifier_of(network: nn.Module, representation: str, input_shape: tuple[int, int, int]) -> Classifier:
    return Classifier(
        network.eval(),
        mean=(0.4,) * input_shape[0],
        std=(0.2,) * input_shape[0],
        representations=(representation,),
        labels=tuple("abcde"),
        input_shape=input_shape,
    )


@pytest.fixture(scope="module")
def pooled() -> Classifier:
    torch.manual_seed(3)
    return classifier_of(Pooled(), "largest", INPUT_SHAPE)


@pytest.fixture(scope="module")
def model(pooled: Classifier) -> Any:
    return export_gradient(pooled)


def test_the_graph_names_its_inputs_and_outputs_and_leaves_the_number_of_images_free(model: Any) -> None:
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    (batch,) = {shape[0] for shape in shapes.values()}
    assert isinstance(batch, str)
    assert {name: shape[1:] for name, shape in shapes.items()} == {
        "pixels": [3, 19, 14],
        "cotangent.logits": [5],
        "cotangent.largest": [6, 4, 3],
        "logits": [5],
        "largest": [6, 4, 3],
        "gradient": [3, 19, 14],
    }
    assert [value.name for value in model.graph.input] == ["pixels", "cotangent.logits", "cotangent.largest"]
    assert model.opset_import[0].version == 20


@pytest.mark.parametrize("n_images", [1, 3, 8])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.5)])
def test_the_gradient_is_that_of_torch(
    pooled: Classifier, model: Any, n_images: int, weights: tuple[float, float]
) -> None:
    generator = torch.Generator().manual_seed(n_images)
    pixels = torch.rand(n_images, *INPUT_SHAPE, generator=generator).requires_grad_(True)
    outputs = pooled(pixels)
    values = [outputs.logits, outputs.representations["largest"]]
    cotangents = [
        weight * torch.randn(value.shape, generator=generator) for value, weight in zip(values, weights, strict=True)
    ]
    (expected,) = torch.autograd.grad(values, pixels, cotangents)
    session = open_session(model.SerializeToString(), CPU)
    names = [value.name for value in session.get_inputs()]
    given = {name: value.detach().numpy() for name, value in zip(names, (pixels, *cotangents), strict=True)}
    *found, product = map(torch.from_numpy, session.run(["logits", "largest", "gradient"], given))
    torch.testing.assert_close(found, [value.detach() for value in values], rtol=1e-5, atol=1e-6)
    assert (product - expected).norm() <= 1e-5 * expected.norm()
    assert (product.sign() == expected.sign()).float().mean() >= 0.9998


def test_the_forward_part_takes_no_cotangents_and_gives_the_same(pooled: Classifier, model: Any) -> None:
    part = part_of(model, ["logits", "largest"])
    assert [value.name for value in part.graph.input] == ["pixels"]
    assert [value.name for value in part.graph.output] == ["logits", "largest"]
    assert len(part.graph.node) < len(model.graph.node) / 2
    pixels = torch.rand(2, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0))
    (logits,) = open_session(part.SerializeToString(), CPU).run(["logits"], {"pixels": pixels.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), pooled(pixels).logits, rtol=1e-5, atol=1e-6)


def test_the_exported_classifier_is_left_as_it_is(pooled: Classifier, model: Any) -> None:
    norms = [module for module in pooled.network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1
    assert pooled.digest() == classifier_of(pooled.network, "largest", INPUT_SHAPE).digest()


def test_a_classifier_with_a_file_is_left_in_its_memory_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `folded()` is itself, and weights in channels_last would be put in another order."""
    network = nn.Conv2d(3, 5, 2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    one = Classifier(
        nn.Sequential(network, nn.Flatten()),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        representations=("0",),
        labels=tuple("abcde"),
        input_shape=(3, 2, 2),
        file_digest="0" * 64,
    )
    assert one.folded() is one
    given: list[Classifier] = []
    monkeypatch.setattr(gradient, "_traced", lambda plain, _: given.append(plain))
    monkeypatch.setattr(gradient, "_translated", lambda *_: None)
    export_gradient(one)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert not network.weight.is_contiguous()
    (plain,) = given
    assert all(weight.is_contiguous() for weight in plain.parameters())


def test_an_operation_without_a_derivative_in_onnx_is_named() -> None:
    class Gamma(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flatten = nn.Flatten()

        def forward(self, images: Tensor) -> Tensor:
            return torch.lgamma(self.flatten(images) + 9)

    with pytest.raises(ModelError, match=r"cannot be written as ONNX.*nothing for the operation \w+\.(lgamma|digamma)"):
        export_gradient(classifier_of(Gamma(), "flatten", (1, 1, 5)))


def test_a_network_whose_code_fixes_the_number_of_images_is_refused() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flatten = nn.Flatten()

        def forward(self, images: Tensor) -> Tensor:
            flat: Tensor = self.flatten(images).square()
            return flat.reshape(int(images.shape[0]), 5)

    with pytest.raises(ModelError, match="fixes how many images"):
        export_gradient(classifier_of(Fixed(), "flatten", (1, 1, 5)))
