import torch
from sklearn.datasets import load_digits

from models.digits import digits_network, load_digits_images


def test_every_scan_is_in_one_of_the_two_sets() -> None:
    training, held_out = load_digits_images()
    assert (len(training), len(held_out)) == (900, 897)
    pixels = torch.cat([training.images, held_out.images]).flatten(1)
    assert pixels.shape == (1797, 64)
    scans = torch.from_numpy(load_digits().images).flatten(1)
    expected = (scans * 255 / 16).round().to(torch.uint8)
    assert sorted(pixels.tolist()) == sorted(expected.tolist())


def test_the_split_is_always_the_same() -> None:
    assert [part.digest() for part in load_digits_images()] == [part.digest() for part in load_digits_images()]


def test_full_ink_is_255_and_paper_is_0() -> None:
    training, _ = load_digits_images()
    assert (int(training.images.min()), int(training.images.max())) == (0, 255)


def test_the_network_halves_the_resolution_twice() -> None:
    network = digits_network().eval()
    hidden = torch.zeros(2, 1, 8, 8)
    shapes = []
    for stage in network.stages:
        hidden = stage(hidden)
        shapes.append(tuple(hidden.shape))
    assert shapes == [(2, 32, 8, 8), (2, 64, 4, 4), (2, 64, 2, 2)]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
