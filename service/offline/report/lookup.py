"""Where images that a summary names by their paths stand in the results."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from service.offline.summary.queries import opened_results


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A row of the results, and the digest of the pixels that were judged."""

    shard: int
    row: int
    digest: str | None


def places_of(folder: Path, paths: Sequence[str]) -> dict[str, Place]:
    """The first row of each path that is there, by path.

    Args:
        folder: that an audit has written.

    Raises:
        InputError: it holds no results, or they are damaged.
        OSError: the disk failed.
    """
    if not paths:
        return {}
    with opened_results(folder) as results:
        rows = results.rows(_FIRST_ROWS, paths=sorted(set(paths)))
    return {row["path"]: Place(shard=row["shard"], row=row["row"], digest=row["digest"]) for row in rows}


_FIRST_ROWS = """
SELECT path, shard, "row", digest FROM images WHERE list_contains($paths, path)
QUALIFY row_number() OVER (PARTITION BY path ORDER BY shard, "row") = 1
ORDER BY path
"""
