from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from models.digits import digits_network
from models.errors import ModelError
from models.representations import default_representations
from models.resnet import resnet20
from models.soft_trees import SoftTrees
from models.torchvision_support import import_torchvision


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ("layer1", "layer2", "layer3", "layer4", "avgpool")),
        ("squeezenet1_0", ("features.1", "features.5", "features.10", "features")),
        ("mobilenet_v3_small", ("features.1", "features.3", "features.8", "features", "classifier.1")),
        # Pools to 7×7, which its last maps have already.
        ("vgg11", ("features.9", "features.14", "features.19", "features", "classifier.4")),
        # Its maps have their channels last, but for the end.
        ("swin_t", ("features.1", "features.3", "features.5", "permute", "flatten")),
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


def test_a_vision_transformer_of_few_blocks_gives_them_all() -> None:
    network = import_torchvision().models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=10
    )
    found = default_representations(network.eval(), torch.zeros(1, 3, 8, 8))
    assert found == tuple(f"encoder.layers.encoder_layer_{depth}" for depth in range(3))


def test_a_single_patch_is_not_what_the_head_sees() -> None:
    network = import_torchvision().models.VisionTransformer(
        image_size=8, patch_size=8, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=10
    )
    found = default_representations(network.eval(), torch.zeros(1, 3, 8, 8))
    assert found == ("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1")


def test_a_network_without_maps_gives_its_layers_each_with_its_norm_and_activation() -> None:
    layers = [nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)]
    assert default_representations(nn.Sequential(*layers).eval(), torch.zeros(1, 1, 2, 2)) == ("3", "5")


def test_of_many_layers_four_are_taken() -> None:
    widths = [4, 9, 8, 7, 6, 5, 9, 8, 7]
    layers = [nn.Linear(ins, outs) for ins, outs in pairwise(widths)]
    network = nn.Sequential(nn.Flatten(), *layers, nn.Linear(7, 3))
    assert default_representations(network.eval(), torch.zeros(1, 1, 2, 2)) == ("2", "4", "6", "8")


def test_soft_trees_give_their_decisions_and_their_leaves() -> None:
    assert default_representations(SoftTrees(4, n_trees=5, depth=2), torch.zeros(1, 1, 2, 2)) == (
        "decisions",
        "routing",
    )


def test_pooling_that_enlarges_maps_is_no_stage() -> None:
    layers = [nn.Conv2d(1, 3, 1), nn.AvgPool2d(2), nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(36, 2))
    assert default_representations(network.eval(), torch.zeros(1, 1, 4, 4)) == ("0", "2", "4")


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


def test_tables_that_are_no_image_s_are_not_taken() -> None:
    class Biased(nn.Module):
        """Adds what a table of positions gives, whatever the image."""

        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Conv2d(2, 4, 1)
            self.maps = nn.Conv2d(1, 4, 1)
            self.pool = nn.AvgPool2d(2)
            self.head = nn.Linear(16, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.pool(self.maps(images))
            return self.head((maps + self.table(torch.ones(1, 2, 3, 3)).mean()).flatten(1))

    assert default_representations(Biased().eval(), torch.zeros(1, 1, 4, 4)) == ("maps", "pool")


def test_a_network_that_takes_one_image_alone_is_watched_on_one() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 4, 1)
            self.head = nn.Linear(64, 3)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.maps(images).view(1, 64))

    assert default_representations(Single().eval(), torch.zeros(1, 1, 4, 4)) == ("maps",)


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
