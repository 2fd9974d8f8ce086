import pytest

from detector.passes import images_per_pass, waypoints_per_pass


@pytest.mark.parametrize(("side", "expected"), [(32, 256), (224, 5), (512, 1), (1024, 1)])
def test_a_pass_holds_as_many_images_as_its_pixels_allow(side: int, expected: int) -> None:
    assert waypoints_per_pass((3, side, side)) == expected


@pytest.mark.parametrize(("n_waypoints", "expected"), [(0, 256), (1, 256), (6, 42), (256, 1), (1000, 1)])
def test_a_pass_holds_the_paths_of_at_least_one_image(n_waypoints: int, expected: int) -> None:
    assert images_per_pass((3, 32, 32), n_waypoints) == expected
