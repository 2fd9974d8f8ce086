import math

import torch
from torch import Generator

from service.studies.random_networks import RandomNetwork, WeightScale, distant_pairs, label_losses, quantiles_of


def network(dimension: int, seed: int = 0, scale: WeightScale = WeightScale.ROUGH) -> RandomNetwork:
    return RandomNetwork(scale, dimension=dimension, width=32, generator=Generator().manual_seed(seed))


def test_weights_depend_on_the_seed_alone() -> None:
    assert network(4).digest() == network(4).digest() != network(4, seed=1).digest()


def test_logits_spread_alike_in_few_and_many_dimensions() -> None:
    spreads = []
    for dimension in (4, 256):
        inputs = torch.rand(500, 1, 1, dimension, generator=Generator().manual_seed(1))
        logits = [network(dimension, seed)(inputs).logits for seed in range(8)]
        spreads.append(torch.cat(logits, 1).std(0).mean().item())
    assert 0.8 < spreads[0] / spreads[1] < 1.25


def test_without_weights_every_label_costs_the_logarithm_of_ten() -> None:
    blank = network(3)
    blank.weights = [torch.zeros_like(weight) for weight in blank.weights]
    blank.biases = [torch.zeros_like(bias) for bias in blank.biases]
    assert torch.allclose(label_losses(blank, torch.rand(5, 1, 1, 3)), torch.tensor(math.log(10)))


def test_a_quantile_is_the_share_of_lower_losses() -> None:
    ranked = torch.tensor([1.0, 2, 3, 4])
    assert quantiles_of(torch.tensor([0.5, 2.5, 4, 5]), ranked).tolist() == [0, 0.5, 0.75, 1]


def test_pairs_are_as_far_apart_as_random_inputs_in_many_dimensions() -> None:
    apart = math.sqrt(1 / 6)
    inputs = torch.tensor([0.0, apart, 2 * apart, apart / 10]).view(4, 1, 1, 1)
    first, second = distant_pairs(inputs, torch.arange(4), 10, Generator().manual_seed(0))
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert found == {frozenset({0, 1}), frozenset({1, 2}), frozenset({1, 3})}
