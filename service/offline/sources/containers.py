"""Tar archives and Parquet files as sources, alone or among other files."""

from collections.abc import Iterator, Sequence

from service.errors import InputError
from service.offline.reading.parquet_layout import image_layout, opened_parquet
from service.offline.reading.places import open_place
from service.offline.sources.fixed import refused_files
from service.offline.sources.source import ContainerFile, FileKind, Source, kind_of


def container_source(files: Sequence[ContainerFile], location: object) -> Source:
    """Files that are all tar archives, or all Parquet files.

    Args:
        location: what to say of where they are.

    Raises:
        InputError: they are of both kinds, or cannot be read.
    """
    # Only audits of such files need what reads them.
    from service.offline.sources.encoded_parquet import ParquetSource  # noqa: PLC0415
    from service.offline.sources.tars import TarSource  # noqa: PLC0415

    n_parquet = sum(kind_of(file.name) is FileKind.PARQUET for file in files)
    if 0 < n_parquet < len(files):
        raise InputError(f"of {len(files)} files, {n_parquet} are Parquet and the others tar; audit them apart")
    return ParquetSource(files, location) if n_parquet else TarSource(files, location)


def sources_among(files: Sequence[ContainerFile], *, are_all: bool) -> Iterator[tuple[Source, Sequence[ContainerFile]]]:
    """The sources that some files of a folder are, and the files of each; Parquet files without images are in none.

    Args:
        are_all: whether the folder holds nothing else that could be audited; otherwise files that cannot be read are
            rows that say so.

    Raises:
        InputError: nothing of the folder can be read.
    """
    tars = [file for file in files if kind_of(file.name) is not FileKind.PARQUET]
    parquet = [file for file in files if kind_of(file.name) is FileKind.PARQUET and not is_without_images(file)]
    for group in (tars, parquet):
        if group:
            yield _lenient(group, is_alone=are_all and not (tars and parquet)), group


def _lenient(files: Sequence[ContainerFile], *, is_alone: bool) -> Source:
    try:
        return container_source(files, [file.name for file in files])
    except InputError as error:
        if is_alone:
            raise
        return refused_files(files, str(error))


def is_without_images(file: ContainerFile) -> bool:
    """Whether it is intact and has no column of images."""
    try:
        place = open_place(file.place)
    except InputError:
        return False
    try:
        with place.stream() as stream:
            return image_layout(opened_parquet(stream).schema_arrow) is None
    except InputError:
        return False
    finally:
        place.close()
