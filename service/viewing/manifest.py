"""The manifest beside copied images, which `isthmus audit --images` reads as a source again."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.offline.schema import MANIFEST_PREFIX
from service.viewing.copies import Copied
from service.viewing.downloads import plain

MANIFEST = "manifest.csv"

FIELDS = {
    "audited_path": "path",
    "digest": "digest",
    "decision": "decision",
    "score": "score",
    "p_value": "p_value",
    "barrier": "barrier",
    "predicted_label": "label_name",
    "suspected_label": "suspected_label_name",
    "reason": "error",
}
"""Columns, and the fields of the results that they hold. `path` is the copy's, and `label` what the source gave."""


def write_manifest(folder: Path, copied: Iterator[Copied]) -> None:
    """Write a row for each image, with the source's own columns at the end."""
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        own: list[str] = []
        for place, image in enumerate(copied):
            if place == 0:
                own = [name for name in image.record if name.startswith(MANIFEST_PREFIX)]
                writer.writerow(["path", "label", "rank", *FIELDS, *own])
            fields = [image.record[name] for name in ("given_label", *FIELDS.values(), *own)]
            label, *others = (_cell(value) for value in fields)
            writer.writerow([image.name, label, image.rank, *others])


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    known = plain(value)
    return known if isinstance(known, str) else json.dumps(known)
