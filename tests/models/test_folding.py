import pytest
import torch
from torch import Tensor, nn

from models.digits import digits_network
from models.folding import fold_batch_norm
from models.resnet import resnet20
from models.training import initialised


def with_lively_norms(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2, generator=generator)
                nn.init.normal_(module.bias, generator=generator)
    return network.eval()


def norms_in(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class Branch(nn.Module):
    """The convolution feeds its norm, and something else or itself again as well."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1, track_running_stats=kind != "no statistics")
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.convolution(images)
        match self.kind:
            case "sum":
                return self.norm(hidden) + hidden
            case "in place":
                return self.norm(hidden.relu_())
            case "twice":
                return self.norm(self.convolution(hidden))
            case "shape asked for":
                return self.norm(hidden).view(hidden.shape)
            case _:
                return self.norm(hidden)


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))

    def forward(self, _images: Tensor) -> Tensor:
        raise RuntimeError("not today")


@pytest.mark.parametrize(
    ("factory", "shape"), [(digits_network, (2, 1, 8, 8)), (resnet20, (2, 3, 32, 32))], ids=["digits", "resnet20"]
)
def test_no_norm_is_left_and_outputs_are_equal(factory: type[nn.Module], shape: tuple[int, ...]) -> None:
    network = with_lively_norms(initialised(factory, 0))
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    folded = fold_batch_norm(network, images[:1])
    assert norms_in(folded) == 0 < norms_in(network)
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images), atol=1e-5, rtol=1e-5)
    assert [name for name, _ in folded.named_modules()] == [name for name, _ in network.named_modules()]


@pytest.mark.parametrize(
    ("kind", "n_norms_left"),
    [("sum", 1), ("in place", 1), ("twice", 1), ("no statistics", 1), ("shape asked for", 0), ("plain", 0)],
)
def test_only_a_convolution_that_feeds_its_norm_alone_is_folded(kind: str, n_norms_left: int) -> None:
    network = with_lively_norms(Branch(kind))
    images = torch.randn(2, 1, 4, 4)
    folded = fold_batch_norm(network, images)
    assert norms_in(folded) == n_norms_left
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images))


def test_a_convolution_whose_output_somebody_watches_is_left_alone() -> None:
    network = with_lively_norms(Branch("plain"))
    seen: list[Tensor] = []
    network.convolution.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    folded = fold_batch_norm(network, torch.zeros(1, 1, 4, 4))
    assert norms_in(folded) == 1


def test_a_hook_on_a_norm_sees_the_normalised_output() -> None:
    network = with_lively_norms(Branch("plain"))
    seen: list[Tensor] = []
    network.norm.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    images = torch.randn(1, 1, 4, 4)
    folded = fold_batch_norm(network, images)
    seen.clear()
    with torch.no_grad():
        torch.testing.assert_close(folded(images), network(images))
    assert len(seen) == 2
    torch.testing.assert_close(seen[0], seen[1])


def test_a_network_that_fails_is_copied_unchanged() -> None:
    network = Failing().eval()
    folded = fold_batch_norm(network, torch.zeros(1, 1, 4, 4))
    assert folded is not network
    assert norms_in(folded) == 1


def test_the_original_is_untouched() -> None:
    network = with_lively_norms(Branch("plain"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fold_batch_norm(network, torch.zeros(1, 1, 4, 4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.convolution._forward_hooks
