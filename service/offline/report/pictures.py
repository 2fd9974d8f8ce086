"""Pictures of a report: flagged images are read again, with the paths that lead from them to prototypes."""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from detector.bundle import Bundle
from detector.paths import straight_paths
from detector.types import to_pixels, to_stored
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.images import DEFAULT_LIMITS, DecodingLimits, decode, pixel_digest
from service.offline.items import Item
from service.offline.reading.item_reader import ItemReader
from service.offline.report.lookup import Place
from service.offline.summary.summary_types import FlaggedImage, Summary

Picture = UInt8[ndarray, "channel height width"]

ItemsOf = Callable[[int], Sequence[Item]]
"""The items of the shard of that number, as they were listed: `AuditFolder.read_shard`."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """The pictures of one flagged image.

    Attributes:
        image: what was judged; None where it cannot be had any more, and then `refusal` says why.
        steps: by the share of the prototype, ascending, the detector's own waypoints on the path to `prototype`.
        prototype: where the path of the verdict ends; None where there is none.
        suspected: the first prototype of the suspected label; None where none is suspected or there is none.
    """

    image: Picture | None
    refusal: str | None
    steps: tuple[tuple[float, Picture], ...]
    prototype: Picture | None
    suspected: Picture | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReportPictures:
    """All pictures of a report.

    Attributes:
        strips: of the ranked images, in their order.
        examples: of the clusters' examples, by path; those that cannot be had are left out.
        mixing: share of the prototype at each point of a profile, both ends included.
    """

    strips: tuple[Strip, ...]
    examples: Mapping[str, Picture]
    mixing: tuple[float, ...]


def make_pictures(
    summary: Summary,
    places: Mapping[str, Place],
    items_of: ItemsOf,
    *,
    reader: ItemReader,
    bundle: Bundle,
    preprocessing: Preprocessing,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> ReportPictures:
    """Read every image that the report shows once, and draw the paths.

    Nothing is judged again; an image whose pixels are not those that were judged is not shown.

    Args:
        places: of the clusters' examples.

    Raises:
        OSError: the disk or the network failed.
    """
    ranked = [Place(shard=image.shard, row=image.row, digest=image.digest) for image in summary.ranked]
    found = _read_again({*ranked, *places.values()}, items_of, reader, preprocessing, limits)
    return ReportPictures(
        strips=tuple(_strip(image, found[place], bundle) for image, place in zip(summary.ranked, ranked, strict=True)),
        examples={path: pixels.numpy() for path, place in places.items() if isinstance(pixels := found[place], Tensor)},
        mixing=(0.0, *bundle.mixing.tolist(), 1.0),
    )


def _read_again(
    places: Collection[Place],
    items_of: ItemsOf,
    reader: ItemReader,
    preprocessing: Preprocessing,
    limits: DecodingLimits,
) -> dict[Place, Tensor | str]:
    """The pixels at each place, or why they cannot be had."""
    # In the order of the source, because what holds many images is opened once for all that follow one another.
    ordered = sorted(places, key=lambda place: (place.shard, place.row))
    items: list[Item] = []
    for shard, rows in itertools.groupby(ordered, key=lambda place: place.shard):
        listed = items_of(shard)
        items += [listed[place.row] for place in rows]
    return {
        place: _pixels(data, place.digest, preprocessing, limits)
        for place, data in zip(ordered, reader.read(items), strict=True)
    }


def _pixels(
    data: bytes | str, digest: str | None, preprocessing: Preprocessing, limits: DecodingLimits
) -> Tensor | str:
    if isinstance(data, str):
        return data
    try:
        pixels = decode(data, preprocessing, limits)
    except InputError as error:
        return str(error)
    if digest is not None and pixel_digest(pixels) != digest:
        return "its pixels are others than those that were judged"
    return pixels


def _strip(image: FlaggedImage, pixels: Tensor | str, bundle: Bundle) -> Strip:
    prototype = _prototype(bundle, image.label, image.prototype)
    # A label's prototypes differ little to the eye; which of them a path would lead to is not known for this one.
    suspected = _prototype(bundle, image.suspected_label, 0)
    steps: tuple[tuple[float, Picture], ...] = ()
    if isinstance(pixels, Tensor) and prototype is not None:
        ends = to_pixels(torch.stack([pixels, prototype]))
        points = straight_paths(ends[:1], ends[1:], bundle.mixing)[0]
        steps = tuple(zip(bundle.mixing.tolist(), to_stored(points).numpy(), strict=True))
    return Strip(
        image=pixels.numpy() if isinstance(pixels, Tensor) else None,
        refusal=None if isinstance(pixels, Tensor) else pixels,
        steps=steps,
        prototype=None if prototype is None else prototype.numpy(),
        suspected=None if suspected is None else suspected.numpy(),
    )


def _prototype(bundle: Bundle, label: int | None, number: int | None) -> Tensor | None:
    prototypes = bundle.prototypes
    if label is None or number is None or number >= prototypes.n_prototypes or not prototypes.available[label]:
        return None
    return prototypes.images[label, number]
