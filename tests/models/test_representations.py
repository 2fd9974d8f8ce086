import pytest
import torch
from torch import Tensor, nn

from models.digits import digits_network
from models.errors import ModelError
from models.representations import default_representations
from models.resnet import resnet20
from models.torchvision_support import import_torchvision


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ("layer1", "layer2", "layer3", "layer4", "avgpool")),
        ("squeezenet1_0", ("features.1", "features.5", "features.10", "features")),
        ("mobilenet_v3_small", ("features.1", "features.3", "features.8", "features", "classifier.1")),
    ],
)
def test_each_resolution_and_the_features_of_the_head_are_named(name: str, expected: tuple[str, ...]) -> None:
    with torch.device("meta"):
        network = import_torchvision().models.get_model(name, weights=None).eval()
        assert default_representations(network, torch.empty(1, 3, 224, 224)) == expected


def test_a_vision_transformer_is_divided_by_depth() -> None:
    with torch.device("meta"):
        network = import_torchvision().models.get_model("vit_b_16", weights=None).eval()
        found = default_representations(network, torch.empty(1, 3, 224, 224))
    assert found == tuple(f"encoder.layers.encoder_layer_{depth}" for depth in (2, 5, 8, 11))


@pytest.mark.parametrize(
    ("network", "shape"), [(digits_network(), (1, 1, 8, 8)), (resnet20(), (1, 3, 32, 32))], ids=["digits", "resnet20"]
)
def test_the_shipped_networks_get_the_stages_they_are_registered_with(
    network: nn.Module, shape: tuple[int, ...]
) -> None:
    expected = ("stages.0", "stages.1", "stages.2", "flatten")
    assert default_representations(network.eval(), torch.zeros(shape)) == expected


def test_a_stage_as_wide_as_there_are_labels_is_not_taken_for_the_head() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 5, 1), nn.AvgPool2d(2), nn.Conv2d(5, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 5)
    )
    assert default_representations(network.eval(), torch.zeros(1, 1, 4, 4)) == ("0", "2", "4")


def test_no_hook_is_left_behind() -> None:
    network = digits_network().eval()
    default_representations(network, torch.zeros(1, 1, 8, 8))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_of_its_head_alone_is_refused() -> None:
    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.flatten(1))

    with pytest.raises(ModelError, match="no module to take representations from was found"):
        default_representations(Linear().eval(), torch.zeros(1, 1, 2, 2))
