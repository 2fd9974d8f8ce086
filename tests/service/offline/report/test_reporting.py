import contextlib
import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from models.preprocessing import Preprocessing
from service.images import pixel_digest, read_image
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.durable import parquet_bytes
from service.offline.items import Item
from service.offline.reading.item_reader import ItemReader
from service.offline.report.reporting import report_audit
from service.offline.schema import listing_table, results_table
from service.records import error_record

COLUMNS = pa.schema([])


@pytest.fixture
def audited(tmp_path, contract, digits):
    """A folder with the listing and results of two images in two shards."""
    for shard in range(2):
        path = tmp_path / f"image-{shard}.png"
        Image.fromarray(np.full((8, 8), 80 * (shard + 1), np.uint8)).save(path)
        status = path.stat()
        item = Item(path=f"a/{shard + 1}.png", container=str(path), size=status.st_size, stamp=str(status.st_mtime_ns))
        digest = pixel_digest(read_image(path, Preprocessing.from_dict(digits.record.preprocessing)))
        record = {**error_record(item.path, ""), "outcome": "decided", "decision": "adversarial"}
        for folder, table in (
            ("listing", listing_table([item], COLUMNS)),
            ("results", results_table([item], [record], [digest], COLUMNS)),
        ):
            (tmp_path / "out" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / folder / f"{shard:08d}.parquet").write_bytes(parquet_bytes(table))
    (tmp_path / "out/audit.json").write_bytes(contract.as_bytes())
    return AuditFolder(tmp_path / "out")


def test_the_report_shows_the_ranked_images_and_the_examples_of_groups_as_they_lie_in_the_source(
    audited, summary, digits
):
    (cluster,) = summary.clusters.clusters
    shown = dataclasses.replace(
        summary,
        ranked=(dataclasses.replace(summary.ranked[0], shard=1, row=0, path="a/2.png", digest=None),),
        clusters=dataclasses.replace(
            summary.clusters, clusters=(dataclasses.replace(cluster, examples=("a/1.png", "a/9.png")),)
        ),
    )
    with contextlib.closing(ItemReader(allow_urls=False, n_bytes=1000)) as reader:
        report_audit(audited, shown, bundle=digits, reader=reader)
        html = (audited.path / "report.html").read_text("utf-8")
        report_audit(audited, shown, bundle=digits, reader=reader)
    assert (audited.path / "report.html").read_text("utf-8") == html
    # The image, two waypoints, both prototypes, one example; the other cannot be had.
    assert html.count('<img src="data:image/png') == 6
    assert "1 of its examples cannot be shown any more." in html
    assert json.loads((audited.path / "audit.json").read_bytes())["bundle"] == "digits"
