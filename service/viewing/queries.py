"""What is asked of the results. Every value is bound to its place in the query, and none is pasted into it."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from service.viewing import paging
from service.viewing.index import ResultIndex
from service.viewing.selection import Condition, Kind, Order, Selection, condition_of, together

BINS = 20

SHOWN = ("shard", "row", "path", "digest", "kind", "label_name", "given_label", "suspected_label_name", "score")
FIELDS = (*SHOWN, "p_value", "barrier", "error", "disagrees")

MOST_CHOICES = 2000
MOST_FOLDERS = 500
MOST_DUPLICATES = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Some rows, in order.

    Attributes:
        rows: the fields of `FIELDS`.
        next: the place of the last row, from which the next page is found; None where there is none.
    """

    rows: list[dict[str, Any]]
    next: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """The selection in numbers.

    Attributes:
        kinds: how many images there are of each kind, of all that the selection asks for but the kind.
        histogram: p-values in `BINS` bins of the same width; those of the selection.
        n_without_p_value: images of the selection that have none.
    """

    n_images: int
    kinds: dict[str, int]
    histogram: list[int]
    n_without_p_value: int


class Queries:
    """Asks one index; `threshold` is the largest p-value of a discovery."""

    def __init__(self, index: ResultIndex) -> None:
        self._index = index

    def page(
        self, selection: Selection, threshold: float | None, *, order: Order, descends: bool, place: str | None, n: int
    ) -> Page:
        """One page of rows.

        Raises:
            InputError: the place is none in this order.
        """
        keys = paging.keys_of(order, descends=descends)
        parts = [condition_of(selection, threshold)]
        if place is not None:
            parts.append(paging.after(keys, paging.read(place, keys)))
        where = together(parts)
        wanted = ", ".join([*FIELDS, *(key.sql for key in keys)])
        sql = f"SELECT {wanted} FROM image WHERE {where.sql} ORDER BY {paging.sorting(keys)} LIMIT ?"
        found = self._index.fetch(sql, [*where.values, n + 1])
        rows = [dict(zip(FIELDS, row, strict=False)) for row in found[:n]]
        last = paging.written(found[n - 1][len(FIELDS) :]) if len(found) > n else None
        return Page(rows=rows, next=last)

    def overview(self, selection: Selection, threshold: float | None) -> Overview:
        """The numbers of a selection."""
        rest = condition_of(dataclasses.replace(selection, kind=None), threshold)
        counted = self._index.fetch(f"SELECT kind, count(*) FROM image WHERE {rest.sql} GROUP BY kind", rest.values)
        kinds = {kind.value: dict(counted).get(kind.value, 0) for kind in Kind if kind is not Kind.FLAGGED}
        where = condition_of(selection, threshold)
        bins = self._index.fetch(
            # Of the values (1 + k) / (n + 1), those on an edge belong to the bin below it.
            f"SELECT CAST(ceil(round(p_value * {BINS}, 9)) AS INTEGER) - 1 AS bin, count(*) FROM image "
            f"WHERE {where.sql} GROUP BY bin",
            where.values,
        )
        histogram = [0] * BINS
        for place, n_images in bins:
            if place is not None:
                histogram[min(max(place, 0), BINS - 1)] += n_images
        return Overview(
            n_images=sum(n_images for _, n_images in bins),
            kinds=kinds | {Kind.FLAGGED.value: kinds[Kind.ADVERSARIAL] + kinds[Kind.UNDECIDED]},
            histogram=histogram,
            n_without_p_value=sum(n_images for place, n_images in bins if place is None),
        )

    def choices(self) -> dict[str, list[tuple[str, int]]]:
        """The names there are to choose from, with how many images have them; the folders with the most flagged."""
        labels = {column: self._names(column) for column in ("label_name", "given_label", "suspected_label_name")}
        flagged = f"count(*) FILTER (kind IN ('{Kind.ADVERSARIAL}', '{Kind.UNDECIDED}'))"
        folders = self._index.fetch(
            f"SELECT parse_dirpath(path, 'forward_slash') AS folder, {flagged} AS n FROM image GROUP BY folder "
            "HAVING folder <> '' ORDER BY n DESC, folder LIMIT ?",
            [MOST_FOLDERS],
        )
        return {**labels, "folder": [(name, n) for name, n in folders]}

    def duplicates(self, digest: str) -> tuple[list[dict[str, Any]], int]:
        """The first images with some pixels in order of the source, and how many there are."""
        sql = "SELECT shard, row, path, given_label FROM image WHERE digest = ? ORDER BY shard, row LIMIT ?"
        found = self._index.fetch(sql, [digest, MOST_DUPLICATES])
        [(n_images,)] = self._index.fetch("SELECT count(*) FROM image WHERE digest = ?", [digest])
        return [dict(zip(("shard", "row", "path", "given_label"), row, strict=True)) for row in found], n_images

    def count(self, condition: Condition) -> int:
        """How many rows satisfy a condition."""
        [(n_images,)] = self._index.fetch(f"SELECT count(*) FROM image WHERE {condition.sql}", condition.values)
        return int(n_images)

    def by_shard(self, condition: Condition) -> Iterator[tuple[int, list[int]]]:
        """The rows of each shard that satisfy a condition, in order of the source."""
        sql = f"SELECT shard, list(row ORDER BY row) FROM image WHERE {condition.sql} GROUP BY shard ORDER BY shard"
        return (tuple(row) for row in self._index.stream(sql, condition.values))

    def ranked(self, condition: Condition, limit: int | None) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """The rows of each shard that satisfy a condition, each with its rank from 1, the most suspicious first.

        Args:
            limit: of the rank; None for all.
        """
        keys = paging.sorting(paging.keys_of(Order.SUSPICION, descends=False))
        sql = (
            f"SELECT shard, list({{'row': row, 'rank': rank}} ORDER BY row) FROM (SELECT shard, row, row_number() "
            f"OVER (ORDER BY {keys}) AS rank FROM image WHERE {condition.sql}) WHERE rank <= ? "
            "GROUP BY shard ORDER BY shard"
        )
        found = self._index.stream(sql, [*condition.values, 2**62 if limit is None else limit])
        return ((shard, [(place["row"], place["rank"]) for place in places]) for shard, places in found)

    def _names(self, column: str) -> list[tuple[str, int]]:
        sql = (
            f"SELECT {column}, count(*) AS n FROM image WHERE {column} IS NOT NULL GROUP BY {column} "
            f"ORDER BY n DESC, {column} LIMIT ?"
        )
        return [(name, n) for name, n in self._index.fetch(sql, [MOST_CHOICES])]
