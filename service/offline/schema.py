"""The columns of what an audit writes. Names, order and types are a contract; `SCHEMA` counts its changes."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from service.offline.items import Holder, Item
from service.records import Record

SCHEMA = 1

MANIFEST_PREFIX = "manifest_"
"""Before the names of a source's own columns, so that none can be mistaken for one of ours."""

RESULTS = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("digest", pa.string()),
        pa.field("decision", pa.string(), nullable=False),
        pa.field("label", pa.int32()),
        pa.field("label_name", pa.string()),
        pa.field("given_label", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("p_value", pa.float64()),
        pa.field("false_positive_rate", pa.float64()),
        pa.field("barrier", pa.float64()),
        pa.field("prototype", pa.int32()),
        pa.field("suspected_label", pa.int32()),
        pa.field("suspected_label_name", pa.string()),
        pa.field("outcome", pa.string()),
        pa.field("profile", pa.list_(pa.float32())),
        pa.field("error", pa.string()),
    ]
)
"""`digest` is `service.images.pixel_digest` of the pixels that were judged; null where there are none. The others are
the fields of `service.records` and of `Item`. A row whose `outcome` is null could not be read."""

TIMINGS = pa.schema(
    [
        pa.field("read_seconds", pa.float32(), nullable=False),
        pa.field("inspect_seconds", pa.float32(), nullable=False),
    ]
)
"""Of each row of a shard, in order: reading and decoding, and its share of the chunk that it was judged in. Apart from
the results, which are the same in every run."""

LISTING = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("holder", pa.string(), nullable=False),
        pa.field("container", pa.binary(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("stamp", pa.string(), nullable=False),
        pa.field("given_label", pa.string()),
        pa.field("refused", pa.string()),
    ]
)


def results_schema(columns: Any) -> Any:
    """The columns of the results of a source with columns of its own."""
    return _with_own(RESULTS, columns)


def listing_schema(columns: Any) -> Any:
    """The columns of the listing of a source with columns of its own."""
    return _with_own(LISTING, columns)


def results_table(items: Sequence[Item], records: Sequence[Record], digests: Sequence[str | None], columns: Any) -> Any:
    """The results of some items, given their records, as one table."""
    rows = [
        {**record, "digest": digest, "given_label": item.given_label, **_own(item, columns)}
        for item, record, digest in zip(items, records, digests, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=results_schema(columns))


def listing_table(items: Sequence[Item], columns: Any) -> Any:
    """Items as a table, from which `listed_items` makes the same again."""
    # Column by column: a row at a time takes five times as long, and listings are the larger part of the driver's work.
    own = zip(*(item.columns for item in items), strict=True) if items and len(columns) else [()] * len(columns)
    values: list[Sequence[object]] = [
        [item.path for item in items],
        [item.holder.value for item in items],
        [item.container.encode(errors="surrogateescape") for item in items],
        [item.position for item in items],
        [item.size for item in items],
        [item.stamp for item in items],
        [item.given_label for item in items],
        [item.refused for item in items],
        *own,
    ]
    schema = listing_schema(columns)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)], schema=schema
    )


def listed_items(table: Any) -> list[Item]:
    """The items of a listing."""
    own = [name for name in table.column_names if name not in LISTING.names]
    return [
        Item(
            path=row["path"],
            holder=Holder(row["holder"]),
            container=row["container"].decode(errors="surrogateescape"),
            position=row["position"],
            size=row["size"],
            stamp=row["stamp"],
            given_label=row["given_label"],
            columns=tuple(row[name] for name in own),
            refused=row["refused"],
        )
        for row in table.to_pylist()
    ]


def _own(item: Item, columns: Any) -> dict[str, object]:
    return {MANIFEST_PREFIX + name: value for name, value in zip(columns.names, item.columns, strict=True)}


def _with_own(schema: Any, columns: Any) -> Any:
    own = [pa.field(MANIFEST_PREFIX + field.name, field.type) for field in columns]
    return pa.schema([*schema, *own])
