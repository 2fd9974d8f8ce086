from typing import Any

import pytest
import torch
from torch import Tensor

from detector import detector as module
from detector.bundle import Bundle
from detector.transfers import CudaLane, DirectLane, Lane, Prefetched, lane_to

IMAGES = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1)
CPU = torch.device("cpu")


class Recorder:
    """A lane that notes what is asked of it, by the first image."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, int]] = []

    def begin(self, images: Tensor) -> Tensor:
        self.events.append(("begin", int(images.flatten()[0]), len(images)))
        return images.float()

    def finish(self, copy: Tensor) -> Tensor:
        self.events.append(("finish", int(copy.flatten()[0]), len(copy)))
        return copy


def test_the_next_part_is_under_way_before_this_one_is_worked_on() -> None:
    lane = Recorder()
    parts = Prefetched(IMAGES, lane)
    taken = [parts.take(rows).flatten().tolist() for rows in (range(4), range(4, 8), range(8, 10))]
    assert taken == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    expected = [("begin", 0, 4), ("finish", 0, 4), ("begin", 4, 4), ("finish", 4, 4), ("begin", 8, 2), ("finish", 8, 2)]
    assert lane.events == expected


def test_a_part_that_was_not_foreseen_is_fetched_when_it_is_taken() -> None:
    lane = Recorder()
    parts = Prefetched(IMAGES, lane)
    parts.take(range(4))
    assert parts.take(range(4, 6)).flatten().tolist() == [4, 5]
    assert parts.take(range(6, 8)).flatten().tolist() == [6, 7]
    assert [event[1:] for event in lane.events if event[0] == "begin"] == [(0, 4), (4, 4), (4, 2), (6, 2), (8, 2)]


def test_a_detector_sends_for_the_images_of_its_next_step_before_it_measures_this_one(
    bundle: Bundle, corners: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Recorder()
    monkeypatch.setattr(module, "lane_to", lambda _device: lane)
    n_waypoints = bundle.prototypes.n_prototypes * len(bundle.mixing)
    detector = module.Detector(corners, bundle, pixels_per_pass=16 * 5 * n_waypoints)
    assert len(detector.inspect(torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0)))) == 12
    found = [(what, n_images) for what, _, n_images in lane.events]
    assert found == [("begin", 5), ("finish", 5), ("begin", 5), ("finish", 5), ("begin", 2), ("finish", 2)]


def test_on_the_cpu_parts_of_float_images_are_no_copies() -> None:
    images = torch.rand(6, 1, 2, 2)
    parts = Prefetched(images, lane_to(CPU))
    assert parts.take(range(2, 4)).data_ptr() == images[2:].data_ptr()


def test_bytes_arrive_as_numbers() -> None:
    assert DirectLane(CPU).begin(torch.tensor([255], dtype=torch.uint8)).dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device to copy to")
def test_a_gpu_gets_every_part_as_it_is() -> None:
    lane: Lane = lane_to(torch.device("cuda"))
    assert isinstance(lane, CudaLane)
    images = torch.rand(4096, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = Prefetched(images, lane)
    for start in range(0, 4096, 512):
        assert torch.equal(parts.take(range(start, start + 512)).cpu(), images[start : start + 512])
