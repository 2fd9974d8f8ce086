"""Which column of a Parquet file holds encoded images, which their labels, and what else is carried along."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.errors import InputError

BUFFER_BYTES = 2**20
"""Of a column that are read at once; without it all of a row group would be in memory."""

PATH_COLUMN = "image_path"
"""What the name that an image has in its own column becomes."""


_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)

_PLAIN = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_date,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_null,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParquetLayout:
    """What the columns of a file are to an audit.

    Attributes:
        image: the column of images.
        data: its bytes, as Parquet calls that part of it.
        name: likewise the name of the image; None where there is none.
        label: the column of labels, if there is one.
        label_names: what the labels are called, if the file says so; labels are numbers then.
        own: an Arrow schema of the other columns, as they are carried.
        left_out: columns that are not, because they hold bytes or what has no plain value.
    """

    image: str
    data: str
    name: str | None
    label: str | None
    label_names: tuple[str, ...] | None
    own: Any
    left_out: tuple[str, ...]


def opened_parquet(stream: IO[bytes]) -> Any:
    """A file that is read in pieces, however large its row groups are.

    Raises:
        InputError: it is damaged, or no Parquet file.
    """
    if not stream.seekable():
        raise InputError("its server gives no parts of a file, and Parquet is read in parts; download it first")
    with parquet_damage_told():
        return pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)


@contextlib.contextmanager
def parquet_damage_told() -> Iterator[None]:
    """Say of a file that is no intact Parquet file that it is none.

    Raises:
        InputError: it is not.
        OSError: the disk failed.
    """
    try:
        yield
    except InputError:
        raise
    # Damage may make Arrow raise nearly anything: also OSError, which of a disk has a number.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"it is no intact Parquet file ({' '.join(str(error).split())[:200] or type(error).__name__})"
        ) from error


def image_layout(schema: Any) -> ParquetLayout | None:
    """The layout of a file of encoded images; None where no column holds any.

    The column is called `image`, or the metadata of Hugging Face's `datasets` say that it holds images.
    """
    features = _features(schema)
    candidates = ["image", *_of_type(features, "Image")]
    # Of two columns of one name neither could be asked for.
    image = next((name for name in candidates if schema.names.count(name) == 1 and _data_of(schema.field(name))), None)
    if image is None:
        return None
    label = _label_of(schema, features)
    fields, left_out = _own(schema, {image, label})
    kind = schema.field(image).type
    name = f"{image}.path" if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0 else None
    if name is not None and PATH_COLUMN not in schema.names:
        fields.append(pa.field(PATH_COLUMN, pa.string()))
    return ParquetLayout(
        image=image,
        data=str(_data_of(schema.field(image))),
        name=name,
        label=label,
        label_names=_names(features.get(label or "")),
        own=pa.schema(fields),
        left_out=tuple(left_out),
    )


def carried_type(kind: Any) -> Any:
    """As what type a column is carried; None where it holds bytes, or what has no plain value."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return carried_type(kind.storage_type)
    if types.is_dictionary(kind):
        return carried_type(kind.value_type)
    if any(is_kind(kind) for is_kind in _TEXT):
        return pa.string()
    if types.is_timestamp(kind) and kind.unit == "ns":
        # Python's times have no nanoseconds.
        return pa.timestamp("us", kind.tz)
    fields = [kind.field(index).type for index in range(kind.num_fields)] if types.is_nested(kind) else []
    is_plain = all(map(_is_carried_as_it_is, fields)) if fields else any(is_kind(kind) for is_kind in _PLAIN)
    return kind if is_plain else None


def _is_carried_as_it_is(kind: Any) -> bool:
    carried = carried_type(kind)
    return carried is not None and bool(kind.equals(carried))


def _own(schema: Any, others: set[str | None]) -> tuple[list[Any], list[str]]:
    fields, left_out = [], []
    for field in schema:
        if field.name in others:
            continue
        kind = carried_type(field.type)
        if kind is None or schema.names.count(field.name) > 1:
            left_out.append(field.name)
        else:
            fields.append(pa.field(field.name, kind))
    return fields, left_out


def _data_of(field: Any) -> str | None:
    if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
        return f"{field.name}.bytes" if _is_bytes(field.type.field("bytes").type) else None
    return field.name if _is_bytes(field.type) else None


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _label_of(schema: Any, features: dict[str, Any]) -> str | None:
    classes = _of_type(features, "ClassLabel")
    for name in ["label", *(classes if len(classes) == 1 else [])]:
        if schema.names.count(name) == 1:
            kind = carried_type(schema.field(name).type)
            if kind is not None and any(is_kind(kind) for is_kind in (pa.types.is_integer, pa.types.is_string)):
                return name
    return None


def _features(schema: Any) -> dict[str, Any]:
    """What `datasets` of Hugging Face wrote of the columns; nothing where it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _of_type(features: dict[str, Any], kind: str) -> Sequence[str]:
    return [name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") == kind]


def _names(feature: Any) -> tuple[str, ...] | None:
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None
