"""A dataset folder that FiftyOne imports, written without it.

The format is its `FiftyOneImageClassificationDataset`: the images in `data/`, and `labels.json` with a label and
attributes for each of them. It is imported so:

    fiftyone.Dataset.from_dir(
        dataset_dir=FOLDER, dataset_type=fiftyone.types.FiftyOneImageClassificationDataset, label_field="isthmus"
    )

after which `isthmus.label` is what the classifier says, and images can be sorted and filtered by `isthmus.p_value` and
the others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.offline.schema import MANIFEST_PREFIX
from service.viewing.copies import Copied
from service.viewing.downloads import plain

ATTRIBUTES = (
    "decision",
    "score",
    "p_value",
    "barrier",
    "given_label",
    "suspected_label_name",
    "outcome",
    "profile",
    "digest",
    "path",
    "error",
)

UNNAMED = "none"
"""Where the classifier was not asked."""


def write_fiftyone(folder: Path, copied: Iterator[Copied]) -> None:
    """Write `labels.json` beside the images."""
    with (folder / "labels.json").open("w", encoding="ascii") as file:
        # The labels are names, so there are no classes for numbers to stand for.
        file.write('{"classes": null, "labels": {')
        for place, image in enumerate(copied):
            entry = json.dumps(Path(image.name).stem) + ": " + json.dumps(_labelled(image), allow_nan=False)
            file.write(f"{',' if place else ''}\n{entry}")
        file.write("\n}}\n")


def _labelled(image: Copied) -> dict[str, Any]:
    # A dot in the name of an attribute would stand for a level of its own.
    own = {
        re.sub(r"\W", "_", name): plain(value)
        for name, value in image.record.items()
        if name.startswith(MANIFEST_PREFIX)
    }
    known = {name: plain(image.record[name]) for name in ATTRIBUTES} | own
    attributes = {name: value for name, value in known.items() if value is not None}
    return {"label": image.record["label_name"] or UNNAMED, "attributes": {"rank": image.rank, **attributes}}
