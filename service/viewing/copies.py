"""One image that was copied, as what is written beside the copies tells of it."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copied:
    """An image of the selection.

    Attributes:
        name: of its copy, below the folder of the export.
        rank: from 1, the most suspicious of the selection.
        record: its row of the results, with the source's own columns.
    """

    name: str
    rank: int
    record: dict[str, Any]
