import pytest
import torch

from detector.types import no_progress
from service.bench import scaling
from service.bench.scaling import Axis, Measured, Point, Sweep, fitted_exponent, made_up_detector, sweep
from service.bench.timing import Lasting, Timing


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, -0.5])
def test_a_power_law_has_its_power_for_exponent(power):
    assert fitted_exponent([1, 2, 8, 64], [3 * x**power for x in (1, 2, 8, 64)]) == pytest.approx(power, abs=1e-12)


def test_one_place_has_no_slope():
    with pytest.raises(ValueError, match="two different x"):
        fitted_exponent([4, 4], [1, 2])


def measured(point, seconds, n_images, forward_equivalents=4):
    return Measured(
        point=point,
        timing=Timing(seconds=(seconds, seconds), n_images=n_images),
        forward_equivalents=forward_equivalents,
    )


def test_a_call_that_takes_as_long_as_it_has_images_is_linear_however_often_it_is_repeated():
    points = (measured(Point(images=16), 2.0, 32), measured(Point(images=64), 4.0, 64))
    found = Sweep(axis=Axis.IMAGES, measured=points)
    assert found.exponent == pytest.approx(1)
    assert (found.ratio, found.growth) == (4, 4)


def test_images_that_take_the_same_with_a_hundred_times_the_labels_are_flat():
    points = (measured(Point(labels=10), 3.0, 64), measured(Point(labels=1000), 6.0, 128))
    found = Sweep(axis=Axis.LABELS, measured=points)
    assert (found.exponent, found.ratio, found.growth) == (pytest.approx(0), 1, 100)


def test_prototypes_are_held_against_the_passes_that_they_cost():
    points = (measured(Point(prototypes=1), 4.0, 8, 4), measured(Point(prototypes=4), 10.0, 8, 10))
    found = Sweep(axis=Axis.PROTOTYPES, measured=points)
    assert (found.exponent, found.ratio, found.growth) == (pytest.approx(1), 2.5, 2.5)


def test_the_size_of_an_image_is_held_against_its_pixels():
    points = (measured(Point(size=8), 1.0, 8), measured(Point(size=16), 4.0, 8))
    assert Sweep(axis=Axis.IMAGE_SIZE, measured=points).exponent == pytest.approx(1)


def test_a_sweep_measures_every_point_in_every_round(monkeypatch):
    monkeypatch.setattr(scaling, "lasting", lambda act: Lasting(act=act, n_repeats=3))
    points = (Point(images=1, size=4), Point(images=2, size=4))
    found = sweep(Axis.IMAGES, points, torch.device("cpu"), 2, no_progress)
    assert [len(one.timing.seconds) for one in found.measured] == [2, 2]
    assert [one.timing.n_images for one in found.measured] == [3, 6]


def test_a_made_up_detector_has_the_shapes_that_are_varied():
    detector = made_up_detector(Point(prototypes=3, labels=300, size=16), torch.device("cpu"))
    assert detector.bundle.prototypes.images.shape == (300, 3, 3, 16, 16)
    # An image, two waypoints of each path and the median.
    assert detector.bundle.forward_equivalents == 1 + 3 * 2 + 1
    assert len(detector.inspect(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)))) == 2
