import torch

from detector.balls import within


def test_the_ball_and_the_pixel_range_are_kept() -> None:
    clean = torch.tensor([0.02, 0.5, 0.5, 0.99]).view(1, 1, 2, 2)
    moved = torch.tensor([-1.0, 0.55, 0.9, 1.2]).view(1, 1, 2, 2)
    torch.testing.assert_close(within(moved, clean, 0.1).flatten(), torch.tensor([0.0, 0.55, 0.6, 1.0]))
