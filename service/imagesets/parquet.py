"""Encoded images in a Parquet file, as data set hubs lay them out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.types import LabelledImages, ProgressCallback
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.images import decode
from service.imagesets.selection import checked_labels, evenly_spread, labelled_images


def load_parquet(
    path: Path,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str],
    limit: int | None,
    progress: ProgressCallback,
) -> LabelledImages:
    """Read the columns `image` (bytes, or a struct with a field `bytes`) and `label` (whole numbers).

    Raises:
        InputError: the file is damaged or lacks a column, a label does not fit, or an image is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, path)
            values = _labels(file.read(columns=["label"]).column("label"), len(labels), path)
            chosen = evenly_spread(len(values), limit)
            images = []
            for row, data in _encoded(file, set(chosen.tolist())):
                images.append(_decode_row(data, row, preprocessing, path))
                progress(f"reading {path.name}", len(images), len(chosen))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not an intact Parquet file ({' '.join(str(error).split())})") from error
    return labelled_images(images, values[chosen], str(path))


def _check_columns(schema: Any, path: Path) -> None:
    missing = [name for name in ("image", "label") if name not in schema.names]
    if missing:
        raise InputError(
            f"{path} has no column {' and no column '.join(missing)}; it holds {', '.join(schema.names) or 'none'}"
        )
    kind = schema.field("image").type
    encoded = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    if not (pa.types.is_binary(encoded) or pa.types.is_large_binary(encoded)):
        raise InputError(f"{path}: the column image is {kind}; encoded images as bytes were expected")


def _labels(column: Any, n_labels: int, path: Path) -> np.ndarray:
    if column.null_count:
        raise InputError(f"{path}: {column.null_count} of {len(column)} labels are missing; give one a row")
    return checked_labels(column.to_numpy(), n_labels, str(path))


def _encoded(file: Any, chosen: set[int]) -> Iterator[tuple[int, bytes | None]]:
    """Yield the chosen rows, holding a few at a time."""
    start = 0
    for batch in file.iter_batches(batch_size=64, columns=["image"]):
        column = batch.column("image")
        for offset in range(len(column)):
            if start + offset in chosen:
                value = column[offset].as_py()
                yield start + offset, value.get("bytes") if isinstance(value, dict) else value
        start += len(column)


def _decode_row(data: bytes | None, row: int, preprocessing: Preprocessing, path: Path) -> Any:
    if data is None:
        raise InputError(f"{path}, row {row}: the image is missing")
    try:
        return decode(data, preprocessing)
    except InputError as error:
        raise InputError(f"{path}, row {row}: {error}") from error
