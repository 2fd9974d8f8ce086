import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.reading.parquet_layout import carried_type, image_layout, opened_parquet

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def with_features(schema: pa.Schema, features: object) -> pa.Schema:
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [(pa.binary(), "image", None), (pa.large_binary(), "image", None), (STRUCT, "image.bytes", "image.path")],
)
def test_images_are_bytes_or_structs_of_bytes_and_path(kind, data, name) -> None:
    layout = image_layout(pa.schema([("image", kind), ("label", pa.int64()), ("age", pa.int8())]))
    assert (layout.image, layout.data, layout.name, layout.label) == ("image", data, name, "label")
    assert layout.own.names == ["age", *(["image_path"] if name else [])]


@pytest.mark.parametrize("kind", [pa.string(), pa.struct([("path", pa.string())]), pa.list_(pa.uint8())])
def test_a_column_of_anything_else_is_none_of_images(kind) -> None:
    assert image_layout(pa.schema([("image", kind)])) is None


def test_of_two_columns_of_one_name_neither_holds_the_images() -> None:
    twice = [("image", pa.binary()), ("image", pa.binary())]
    assert image_layout(pa.schema(twice)) is None
    layout = image_layout(with_features(pa.schema([*twice, ("img", STRUCT)]), {"img": {"_type": "Image"}}))
    assert (layout.image, layout.left_out) == ("img", ("image", "image"))


def test_hubs_say_which_column_holds_images_and_what_the_labels_are_called() -> None:
    schema = with_features(
        pa.schema([("img", STRUCT), ("fine", pa.int64())]),
        {"img": {"_type": "Image"}, "fine": {"_type": "ClassLabel", "names": ["cat", "dog"]}},
    )
    layout = image_layout(schema)
    assert (layout.image, layout.label, layout.label_names) == ("img", "fine", ("cat", "dog"))


@pytest.mark.parametrize("features", [None, [], {"image": 3}, {"label": {"names": "ab"}}, 7])
def test_what_hubs_say_may_be_nonsense(features) -> None:
    layout = image_layout(with_features(pa.schema([("image", STRUCT), ("label", pa.int64())]), features))
    assert layout.label_names is None


def test_columns_of_bytes_are_left_out_and_said_so() -> None:
    schema = pa.schema(
        [("image", pa.binary()), ("mask", STRUCT), ("raw", pa.binary()), ("x", pa.int8()), ("x", pa.int8())]
    )
    layout = image_layout(schema)
    assert layout.own.names == []
    assert layout.left_out == ("mask", "raw", "x", "x")


@pytest.mark.parametrize(
    ("kind", "carried"),
    [
        (pa.dictionary(pa.int32(), pa.string()), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.timestamp("ns", "UTC"), pa.timestamp("us", "UTC")),
        (pa.list_(pa.float32()), pa.list_(pa.float32())),
        (pa.list_(pa.timestamp("ns")), None),
        (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.int8())),
        (pa.binary(4), None),
    ],
)
def test_columns_are_carried_as_what_python_has_values_for(kind, carried) -> None:
    assert carried_type(kind) == carried


def test_what_is_no_parquet_says_so() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [b"x"]}), buffer)
    for data in (b"", b"PAR1", buffer.getvalue()[:-10], b"x" * 100):
        with pytest.raises(InputError, match="no intact Parquet file"):
            opened_parquet(io.BytesIO(data))


def test_what_cannot_be_read_in_parts_is_refused() -> None:
    class Forward(io.RawIOBase):
        def readable(self) -> bool:
            return True

    with pytest.raises(InputError, match="parts"):
        opened_parquet(io.BufferedReader(Forward()))
