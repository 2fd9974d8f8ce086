import torch
from torch import nn

from models.adapters.traced_modules import TracedModule, default_traced
from models.representations import default_representations


def traced(network: nn.Sequential, images: torch.Tensor) -> list[TracedModule]:
    modules = []
    values = images
    for name, module in network.named_children():
        values = module(values)
        has_parameters = next(module.parameters(), None) is not None
        kind = f"torch.nn.{type(module).__name__}"
        modules.append(TracedModule(path=name, kind=kind, shape=tuple(values.shape), has_parameters=has_parameters))
    return modules


def test_maps_are_chosen_as_in_the_network_itself() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(4, 2),
    ).eval()  # fmt: skip
    images = torch.rand(1, 1, 8, 8)
    chosen = default_traced(traced(network, images), 2, 1.0)
    assert chosen == default_representations(network, images)
    assert chosen == ("1", "4", "6")


def test_layers_are_chosen_as_in_the_network_itself() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    images = torch.rand(1, 1, 8, 8)
    assert default_traced(traced(network, images), 2, 1.0) == default_representations(network, images)


def test_blocks_of_an_unknown_class_are_divided_by_depth() -> None:
    blocks = [
        TracedModule(path=f"blocks.{index}", kind="mine.Block", shape=(1, 5, 7), has_parameters=True)
        for index in range(8)
    ]
    assert default_traced(blocks, 2, 1.0) == ("blocks.1", "blocks.3", "blocks.5", "blocks.7")
