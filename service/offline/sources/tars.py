"""Tar archives of images: plain ones, WebDataset shards, and compressed ones.

Of a plain archive the headers are walked over and each image is read by itself later, from where it begins. A
compressed one has to be unpacked from its beginning, once to list it and once to read it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading.places import Place, open_place
from service.offline.reading.refusals import CUT_OFF
from service.offline.sources.samples import FoundImage, images_of
from service.offline.sources.source import ContainerFile, Skipped
from service.offline.sources.tar_headers import DamagedError, TarWalk

COLUMNS = pa.schema([pa.field("json", pa.string())])
"""What stands beside an image as `.json`, as text; null where nothing does. Whether one does is not known before."""


class TarSource:
    """The images of tar archives, in the order of the archives and of their members.

    The members of a WebDataset sample beside the image are its given label (`.cls`) and a column (`.json`). Links and
    devices are refused, what is no image is passed over and counted, and an archive that is damaged or cut off has a
    row of its own that says so, behind the images before the damage.

    Args:
        files: the archives; which are compressed shows from their first bytes.
        location: what to say of where they are; by default the places of all.

    Raises:
        InputError: there is one archive alone, and it cannot be opened or is none.
    """

    def __init__(self, files: Sequence[ContainerFile], location: Any = None) -> None:
        self._files = files
        places = [file.place for file in files] if location is None else location
        self.description: dict[str, Any] = {"kind": "tar", "location": places}
        self.columns = COLUMNS
        self.skipped = Skipped()
        if len(files) == 1:
            _check_is_tar(files[0])

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """See `service.offline.sources.source.Source`."""
        self.skipped = Skipped()
        for file in self._files:
            check()
            last: str | None = None
            try:
                with contextlib.closing(open_place(file.place)) as place:
                    for item in self._listed(place, file, check):
                        yield item
                        last = item.path
            except InputError as error:
                yield _refused(file, _complaint(error, last))

    def _listed(self, place: Place, file: ContainerFile, check: Callable[[], None]) -> Iterator[Item]:
        with contextlib.closing(place.stream()) as stream:
            walk = TarWalk(stream, check, is_seekable=place.is_seekable)
            is_whole = walk.is_compressed or not place.is_seekable
            for image in images_of(iter(walk), walk.read, self.skipped):
                yield _item(image, file, place, is_read_forward=is_whole)


def _item(image: FoundImage, file: ContainerFile, place: Place, *, is_read_forward: bool) -> Item:
    member, refused = image.member, image.refused
    if place.size is not None and not is_read_forward and member.offset + member.size > place.size:
        refused = refused or CUT_OFF
    return Item(
        path=f"{file.name}/{image.name}",
        holder=Holder.COMPRESSED_TAR if is_read_forward else Holder.TAR,
        container=file.place,
        position=member.number if is_read_forward else member.offset,
        size=member.size,
        stamp=file.stamp or place.stamp,
        given_label=image.given_label,
        columns=(image.text,),
        refused=refused,
    )


def _refused(file: ContainerFile, complaint: str) -> Item:
    return Item(
        path=file.name, holder=Holder.TAR, container=file.place, stamp=file.stamp, columns=(None,), refused=complaint
    )


def _complaint(error: InputError, last: str | None) -> str:
    if not isinstance(error, DamagedError):
        return str(error)
    if last is None:
        return f"the archive cannot be read ({error})"
    return f"the archive is damaged or cut off behind {last} ({error}); what follows is not read"


def _check_is_tar(file: ContainerFile) -> None:
    try:
        with contextlib.closing(open_place(file.place)) as place, contextlib.closing(place.stream()) as stream:
            next(iter(TarWalk(stream, lambda: None, is_seekable=place.is_seekable)), None)
    except InputError as error:
        raise InputError(f"{file.name}: {_complaint(error, None)}; give an intact tar archive") from error
