"""Bringing images to the device part by part, the next part while the device works on this one."""

import dataclasses
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from detector.types import Images, StoredImages


@runtime_checkable
class Lane(Protocol):
    """One way to a device."""

    def begin(self, images: Tensor, /) -> Tensor:
        """Start a copy as float32; it may be read only once `finish` was called."""
        ...

    def finish(self, copy: Tensor, /) -> Tensor:
        """The copy that was started last, ready for what the device is told next."""
        ...


@dataclasses.dataclass(frozen=True)
class DirectLane:
    """Copies when told to; costs nothing where the images are there already."""

    device: torch.device

    def begin(self, images: Tensor) -> Tensor:
        """Copy at once."""
        return images.to(device=self.device, dtype=torch.float32)

    def finish(self, copy: Tensor) -> Tensor:
        """Nothing is left to do."""
        return copy


class CudaLane:
    """Copies from page-locked memory on a stream of its own, beside what the GPU computes."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def begin(self, images: Tensor) -> Tensor:
        """Start the copy; the CPU goes on. The allocator keeps the page-locked memory until it has arrived."""
        if images.device.type == "cpu":
            images = images.pin_memory()
        else:
            # They may still be in the making.
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            # Bytes travel as bytes and widen there.
            copy = images.to(self._device, non_blocking=True).float()
            self._arrived.record(self._stream)
        return copy

    def finish(self, copy: Tensor) -> Tensor:
        """Let the GPU, not the CPU, wait for it."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(self._arrived)
        # Its memory may be given to another tensor only when the stream that reads it is through.
        copy.record_stream(current)
        return copy


def lane_to(device: torch.device) -> Lane:
    """The fastest way to this device."""
    return CudaLane(device) if device.type == "cuda" else DirectLane(device)


class Prefetched:
    """Consecutive parts of some images on a device; with each that is taken the next is sent for, as large as it.

    Memory: two parts. A part that was not foreseen is fetched when it is taken.
    """

    def __init__(self, images: Images | StoredImages, lane: Lane) -> None:
        self._images, self._lane = images, lane
        self._sent: tuple[range, Tensor] | None = None

    def take(self, rows: range) -> Images:
        """The images of these rows, float32, on the device."""
        foreseen, copy = self._sent or (None, None)
        part = self._lane.finish(copy if copy is not None and foreseen == rows else self._begun(rows))
        following = range(rows.stop, min(rows.stop + len(rows), len(self._images)))
        self._sent = (following, self._begun(following)) if following else None
        return part

    def _begun(self, rows: range) -> Tensor:
        return self._lane.begin(self._images[rows.start : rows.stop])
