"""Members of an archive that belong together: WebDataset writes an image, its class and its text side by side.

What a sample's members have in common is their name up to the first dot behind the last slash:
`train/0001.jpg`, `train/0001.cls`, `train/0001.json`.
"""

import dataclasses
import posixpath
from collections.abc import Callable, Iterator

from service.errors import InputError
from service.offline.sources.source import Skipped, is_image, printable
from service.offline.sources.tar_headers import TarMember

CLASS_SUFFIX, TEXT_SUFFIX = "cls", "json"

CLASS_BYTES, TEXT_BYTES = 4096, 2**16
"""Of what is read along with an image; larger members are passed over."""

MOST_IMAGES = 64
"""Of one sample; names that have a dot behind a common beginning (`frame.0001.png`) are no samples."""

LONGEST_NAME = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoundImage:
    """An image in an archive, with what stands beside it.

    Attributes:
        name: in the archive, as text, with single slashes.
        given_label: from its sample's `.cls`.
        text: from its sample's `.json`, as it stands there.
        refused: why it is not read.
    """

    member: TarMember
    name: str
    given_label: str | None = None
    text: str | None = None
    refused: str | None = None


class Sample:
    """Members of one name, as they come."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._images: list[FoundImage] = []
        self._label: str | None = None
        self._text: str | None = None

    @property
    def is_full(self) -> bool:
        """Whether it has more images than samples have."""
        return len(self._images) >= MOST_IMAGES

    def add_image(self, image: FoundImage) -> None:
        self._images.append(image)

    def add_label(self, data: bytes) -> None:
        self._label = data.decode(errors="backslashreplace").strip() or None

    def add_text(self, data: bytes) -> None:
        self._text = data.decode(errors="backslashreplace")

    def images(self) -> Iterator[FoundImage]:
        """Its images, all with the same label and text."""
        for image in self._images:
            yield dataclasses.replace(image, given_label=self._label, text=self._text)


def images_of(members: Iterator[TarMember], read: Callable[[int], bytes], skipped: Skipped) -> Iterator[FoundImage]:
    """Find the images among members, in order, a sample at a time.

    Where the archive is damaged, the images of the sample that it is damaged in come first. Where the disk or the
    network fails they do not come: another time they may have a label.

    Args:
        read: the first bytes of the member that came last.
        skipped: counts the members that are neither images nor belong to one.
    """
    sample = Sample("")
    try:
        for member in members:
            if member.is_folder:
                continue
            name = plain_name(member.name)
            key = key_of(name)
            if key != sample.key or sample.is_full:
                yield from sample.images()
                sample = Sample(key)
            _add(sample, member, name, read, skipped)
    except InputError:
        yield from sample.images()
        raise
    yield from sample.images()


def key_of(name: str) -> str:
    """What the members of a sample have in common."""
    folder, last = posixpath.split(name)
    return posixpath.join(folder, last.split(".", 1)[0])


def plain_name(name: str) -> str:
    """A member's name as text, with single slashes and none at its ends."""
    text = printable(name[:LONGEST_NAME] + "…" if len(name) > LONGEST_NAME else name)
    return "/".join(part for part in text.split("/") if part not in ("", "."))


def _add(sample: Sample, member: TarMember, name: str, read: Callable[[int], bytes], skipped: Skipped) -> None:
    suffix = posixpath.basename(name).partition(".")[2].lower()
    # A name that was cut off has lost its suffix.
    if is_image(posixpath.basename(name)) or len(member.name) > LONGEST_NAME:
        sample.add_image(FoundImage(member=member, name=name, refused=_refusal(member)))
    elif suffix == CLASS_SUFFIX and member.is_file and member.size <= CLASS_BYTES:
        sample.add_label(read(member.size))
    elif suffix == TEXT_SUFFIX and member.is_file and member.size <= TEXT_BYTES:
        sample.add_text(read(member.size))
    else:
        skipped.add(name)


def _refusal(member: TarMember) -> str | None:
    if len(member.name) > LONGEST_NAME:
        return f"its name in the archive is longer than {LONGEST_NAME} characters; pack it under a shorter one"
    if not member.is_file:
        return "a link, a device or a sparse file in an archive is not read; pack the file itself"
    return None
