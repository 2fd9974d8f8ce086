import numpy as np

from service.studies.flooding import flooding_levels

LEVELS = np.arange(10.0)
WEST, EAST = np.array([[1, 0]]), np.array([[1, 4]])


def test_two_basins_join_at_the_height_of_the_lowest_pass_between_them() -> None:
    heights = np.zeros((3, 5))
    heights[:, 2] = [7, 8, 4]
    assert flooding_levels(heights, WEST, EAST, LEVELS).tolist() == [4]


def test_a_wall_above_every_level_keeps_basins_apart() -> None:
    heights = np.zeros((3, 5))
    heights[:, 2] = 20
    assert flooding_levels(heights, WEST, EAST, LEVELS).tolist() == [np.inf]


def test_a_pair_cannot_join_below_its_higher_end() -> None:
    heights = np.zeros((3, 5))
    heights[1, 4] = 6
    assert flooding_levels(heights, WEST, EAST, LEVELS).tolist() == [6]


def test_water_passes_between_cells_that_touch_at_a_corner() -> None:
    heights = np.full((2, 2), 9.0)
    heights[0, 0] = heights[1, 1] = 1
    assert flooding_levels(heights, np.array([[0, 0]]), np.array([[1, 1]]), LEVELS).tolist() == [1]
