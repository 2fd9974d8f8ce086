import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from detector.types import to_pixels
from service.bundles import ClassifierChoice, digest_of
from service.errors import EngineError, InputError
from service.offline.items import Item
from service.offline.judging.worker import ShardWorker, WorkStoppedError
from service.offline.work import Shard, Tick, WorkerSettings

COLUMNS = pa.schema([pa.field("camera", pa.string())])

N_IMAGES = 50


def unheard(tick) -> None:
    """Ticks that nobody waits for."""


def settings(**changes) -> WorkerSettings:
    return WorkerSettings(
        **{
            "bundle": "digits",
            "bundle_digest": digest_of("digits"),
            "choice": ClassifierChoice(device="cpu"),
            "false_positive_rate": 0.05,
            "columns": COLUMNS,
            "chunk_images": 256,
            "n_readers": 2,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    images = (load_digits().images[:N_IMAGES] * (255 / 16)).round().astype(np.uint8)
    return torch.from_numpy(images)[:, None]


@pytest.fixture(scope="module")
def shard(digits, tmp_path_factory) -> Shard:
    """Fifty images, and behind the tenth a file that is none, behind the twentieth one that was refused."""
    folder = tmp_path_factory.mktemp("digits")
    items = []
    for number, image in enumerate(digits):
        path = folder / f"{number:02}.png"
        Image.fromarray(image[0].numpy()).save(path)
        items.append(item_of(path, given_label=str(number % 10)))
    broken = folder / "broken.png"
    broken.write_text("no image")
    items.insert(20, Item(path="refused.png", refused="not a regular file", columns=("front",)))
    items.insert(10, item_of(broken))
    return Shard(number=7, items=items)


def item_of(path: Path, given_label: str | None = None) -> Item:
    status = os.stat(path)  # noqa: PTH116
    return Item(
        path=path.name,
        container=str(path),
        size=status.st_size,
        stamp=str(status.st_mtime_ns),
        given_label=given_label,
        columns=("front",),
    )


@pytest.fixture
def worker():
    opened = ShardWorker.open(settings())
    yield opened
    opened.close()


@pytest.fixture
def in_sixteens():
    """A worker that judges sixteen images at a time."""
    opened = ShardWorker.open(settings(chunk_images=16))
    yield opened
    opened.close()


def is_judged(row) -> bool:
    return row["outcome"] is not None


def test_rows_are_the_verdicts_of_the_detector_in_the_order_of_the_items(worker, shard, digits) -> None:
    judged = worker.judge(shard, unheard)
    rows = judged.results.to_pylist()
    assert judged.number == 7
    assert [row["path"] for row in rows] == [item.path for item in shard.items]
    assert [row["given_label"] for row in rows] == [item.given_label for item in shard.items]
    assert {row["manifest_camera"] for row in rows} == {"front"}
    verdicts = worker.detector.inspect(to_pixels(digits))
    read = [row for row in rows if is_judged(row)]
    assert [(row["decision"], row["label"], row["score"], row["p_value"]) for row in read] == [
        (verdict.decision.value, verdict.label, verdict.score, verdict.p_value) for verdict in verdicts
    ]


def test_what_cannot_be_read_is_a_row_with_its_error_and_nothing_else(worker, shard) -> None:
    rows = worker.judge(shard, unheard).results.to_pylist()
    broken, refused = (row for row in rows if not is_judged(row))
    assert (broken["path"], refused["path"]) == ("broken.png", "refused.png")
    assert broken["error"].startswith("not an image that can be decoded")
    assert refused["error"] == "not a regular file"
    assert {row["decision"] for row in (broken, refused)} == {"undecided"}
    assert (refused["score"], refused["digest"], refused["label"]) == (None, None, None)


def test_images_are_judged_in_chunks_that_errors_do_not_count_in(in_sixteens, shard, monkeypatch) -> None:
    sizes = []
    inspect = in_sixteens.detector.inspect

    def counting(images, **options):
        sizes.append(len(images))
        return inspect(images, **options)

    monkeypatch.setattr(in_sixteens.detector, "inspect", counting)
    ticks: list[Tick] = []
    in_sixteens.judge(shard, ticks.append)
    assert sizes == [16, 16, 16, 2]
    assert [tick.n_images for tick in ticks] == [17, 17, 16, 2]
    assert sum(tick.n_errors for tick in ticks) == 2
    assert {tick.shard for tick in ticks} == {7}


def test_two_shards_at_once_come_out_as_one_after_the_other(in_sixteens, shard) -> None:
    alone = in_sixteens.judge(shard, unheard).results
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: in_sixteens.judge(shard, unheard).results, range(2)))
    assert all(table.equals(alone) for table in together)


def test_each_row_is_timed(worker, shard) -> None:
    timings = worker.judge(shard, unheard).timings.to_pylist()
    assert len(timings) == len(shard.items)
    assert all(0 <= row["read_seconds"] < 60 for row in timings)
    inspected = [row["inspect_seconds"] for row in timings]
    assert (inspected[10], inspected[21]) == (0, 0)
    assert sum(seconds > 0 for seconds in inspected) == N_IMAGES


def test_where_memory_does_not_suffice_the_halves_are_judged(worker, shard, monkeypatch, caplog) -> None:
    expected = worker.judge(shard, unheard).results
    inspect, sizes = worker.detector.inspect, []

    def scarce(images, **options):
        if len(images) > 20:
            raise torch.OutOfMemoryError("too much")
        sizes.append(len(images))
        return inspect(images, **options)

    monkeypatch.setattr(worker.detector, "inspect", scarce)
    table = worker.judge(shard, unheard).results
    assert sizes == [12, 13, 12, 13]
    assert table["decision"].equals(expected["decision"])
    scores, before = (one["score"].drop_null().to_pylist() for one in (table, expected))
    assert scores == pytest.approx(before, rel=1e-3)
    assert [record.message for record in caplog.records if "no memory for 50 images" in record.message]


def test_without_memory_for_one_image_the_device_is_to_blame(worker, shard, monkeypatch) -> None:
    def scarce(images, **options):
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr(worker.detector, "inspect", scarce)
    with pytest.raises(EngineError, match=r"the images 00\.png to 49\.png could not be judged: .*too much"):
        worker.judge(shard, unheard)


def test_another_bundle_than_the_one_meant_is_refused() -> None:
    with pytest.raises(InputError, match=r"the bundle digits has the digest [0-9a-f]{12}… here and bbbbbbbbbbbb…"):
        ShardWorker.open(settings(bundle_digest="b" * 64))


def test_a_closed_worker_gives_up_its_shard(worker, shard, monkeypatch) -> None:
    is_inside, inspect = threading.Event(), worker.detector.inspect

    def waiting(images, **options):
        is_inside.set()
        # What closing sets is seen at the next step.
        worker._stopped.wait(10)
        return inspect(images, **options)

    monkeypatch.setattr(worker.detector, "inspect", waiting)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(worker.judge, shard, unheard)
        assert is_inside.wait(10)
        worker.close()
        with pytest.raises(WorkStoppedError):
            future.result(10)
    with pytest.raises(WorkStoppedError):
        worker.judge(shard, unheard)
