"""What an image passes on its way to the prototype: pictures, and the cross-entropy at each of them."""

import dataclasses
import math
from functools import partial
from typing import Any

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.pictures import thumbnail_uri
from detector.paths import straight_paths
from detector.potentials import cross_entropy
from detector.types import to_pixels, to_stored
from service.engine.waiting import answered
from service.errors import TooLargeError
from service.rest.disconnects import Watch
from service.rest.judging import Judged
from service.rest.preparing import pooled
from service.runtime import Runtime, ServedBundle

POSITIONS = 13

MOST_IMAGES = 16
"""Each image costs `POSITIONS` forward passes and as many pictures, whatever the detector itself costs."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredPath:
    """A path from an image to a prototype.

    Attributes:
        positions: share of the way, from 0, the image, to 1, the prototype.
        waypoints: shape (waypoint, channel, height, width).
        cross_entropies: of the predicted label, in nats.
    """

    positions: tuple[float, ...]
    waypoints: UInt8[Tensor, "waypoint channel height width"]
    cross_entropies: tuple[float, ...]


def require_few(n_images: int) -> None:
    """Refuse pictures of many images.

    Raises:
        TooLargeError: there are more than `MOST_IMAGES`.
    """
    if n_images > MOST_IMAGES:
        raise TooLargeError(
            f"pictures were asked of {n_images} images, and are drawn of {MOST_IMAGES}; send fewer at once, or leave "
            "pictures out"
        )


async def draw(
    runtime: Runtime,
    bundle: ServedBundle,
    judged: Judged,
    *,
    key_id: str,
    deadline: float,
    gone: Watch,
) -> list[dict[str, Any] | None]:
    """Draw the lowest path of each image; None where it has none.

    Args:
        gone: done when the client has left.

    Raises:
        DeadlineError, ClientGoneError, EngineError: see `service.errors`.
    """
    drawn: list[dict[str, Any] | None] = []
    images = iter(() if judged.images is None else judged.images)
    for verdict in judged.verdicts:
        image = None if verdict is None else next(images)
        if verdict is None or verdict.prototype is None or image is None:
            drawn.append(None)
            continue
        work = partial(measure_lowest, image=image, label=verdict.label, prototype=verdict.prototype)
        measuring = runtime.engine.call(bundle.name, work, deadline=deadline, key_id=key_id)
        measured = await answered(measuring, deadline=deadline, gone=gone)
        drawn.append(await answered(pooled(runtime, partial(strip, measured)), deadline=deadline, gone=gone))
    return drawn


@torch.no_grad()
def measure_lowest(
    detector: Detector, *, image: Shaped[Tensor, "channel height width"], label: int, prototype: int
) -> MeasuredPath:
    """Measure the straight path to a prototype at equal steps; runs on the engine's thread.

    Args:
        image: uint8, or float32 in [0, 1].
        label, prototype: where the path leads, and whose cross-entropy is measured.
    """
    device = detector.classifier.device
    starts = to_pixels(image[None], device) if image.dtype == torch.uint8 else image[None].to(device)
    ends = to_pixels(detector.bundle.prototypes.images[label, prototype][None], device)
    mixing = torch.linspace(0, 1, POSITIONS, device=device)
    [waypoints] = straight_paths(starts, ends, mixing)
    labels = torch.full((POSITIONS,), label, device=device)
    return MeasuredPath(
        positions=tuple(mixing.tolist()),
        waypoints=to_stored(waypoints),
        cross_entropies=tuple(cross_entropy(detector.classifier(waypoints).logits, labels).tolist()),
    )


def strip(path: MeasuredPath) -> dict[str, Any]:
    """The path as the fields of `schemas.Pictures`."""
    rows = zip(path.positions, path.waypoints, path.cross_entropies, strict=True)
    return {
        "strip": [
            {
                "position": round(position, 6),
                "uri": thumbnail_uri(waypoint.numpy()),
                "cross_entropy": value if math.isfinite(value) else None,
            }
            for position, waypoint, value in rows
        ]
    }
