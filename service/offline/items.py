"""One image of a source, as it was listed, before anybody opened it."""

import dataclasses
import enum


class Holder(enum.StrEnum):
    """What holds the encoded image."""

    FILE = "file"
    TAR = "tar"
    COMPRESSED_TAR = "compressed-tar"
    PARQUET = "parquet"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One image of a source.

    Attributes:
        path: what the results call it: below the folder of the source, with single slashes; bytes of names that are no
            text are written as escapes. In a container, `shard-0001.tar/0001.jpg` or `part.parquet/000017`.
        holder: what kind of thing `container` is.
        container: where the bytes are: the absolute path of a local file with links resolved (bytes that are no text
            as `os.fsdecode` writes them), or a URL.
        position: in a tar archive, the byte at which the image begins; in a compressed one, the number of the member;
            in a Parquet file, the number of the row. 0 for a file of its own.
        size: of the encoded image in bytes, where the listing tells.
        stamp: of the container when it was listed: nanoseconds of Unix time, or what a server says of its version.
            Empty where nothing is known.
        given_label: what the source says that the image shows; text, as it stands there.
        columns: what the manifest says besides, in the order of the source's columns.
        refused: why the image is not even opened; its row is an error.
    """

    path: str
    holder: Holder = Holder.FILE
    container: str = ""
    position: int = 0
    size: int | None = None
    stamp: str = ""
    given_label: str | None = None
    columns: tuple[object, ...] = ()
    refused: str | None = None
