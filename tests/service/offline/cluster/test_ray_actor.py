"""The worker as it is, in this process: what Ray adds is tested end to end."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from service.bundles import ClassifierChoice, digest_of
from service.errors import InputError
from service.offline.cluster import ray_actor
from service.offline.cluster.ray_actor import RayWorker, isthmus_version
from service.offline.items import Item
from service.offline.work import Shard, Tick, WorkerSettings


def settings_of(**changes: object) -> WorkerSettings:
    settings = {
        "bundle": "digits",
        "bundle_digest": digest_of("digits"),
        "choice": ClassifierChoice(device="cpu"),
        "false_positive_rate": 0.05,
        "columns": pa.schema([]),
        "chunk_images": 16,
    }
    return WorkerSettings(**settings | changes)


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    items = []
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)):
        file = tmp_path / f"{index}.png"
        Image.fromarray(pixels).save(file)
        status = file.stat()
        items.append(Item(path=file.name, container=str(file), size=status.st_size, stamp=str(status.st_mtime_ns)))
    return Shard(number=4, items=[*items, Item(path="gone.png", refused="it is gone")])


def test_a_shard_comes_back_with_what_its_images_came_to(shard: Shard) -> None:
    worker = RayWorker(settings_of(), torch.get_num_threads(), isthmus_version())
    assert "(process " in worker.open()
    assert worker.so_far() == []
    judged, total = worker.judge(shard)
    assert judged.number == 4
    assert judged.results.column("path").to_pylist() == [item.path for item in shard.items]
    n_flagged = sum(decision != "clean" for decision in judged.results.column("decision").to_pylist()[:3])
    assert total == Tick(shard=4, n_images=4, n_flagged=n_flagged, n_errors=1)
    assert worker.so_far() == []


def test_it_tells_how_far_it_is_while_it_judges(shard: Shard, monkeypatch) -> None:
    worker = RayWorker(settings_of(), torch.get_num_threads(), isthmus_version())
    worker.open()
    seen: list[list[Tick]] = []
    count = worker._count

    def look(tick: Tick) -> None:
        seen.append(worker.so_far())
        count(tick)
        seen.append(worker.so_far())

    monkeypatch.setattr(worker, "_count", look)
    _, total = worker.judge(shard)
    assert seen[0] == [Tick(shard=4, n_images=0, n_flagged=0, n_errors=0)]
    assert seen[-1] == [total]


def test_another_version_of_isthmus_is_refused(monkeypatch) -> None:
    worker = RayWorker(settings_of(), 1, "0.0.0")
    monkeypatch.setattr(ray_actor, "isthmus_version", lambda: "0.0.1")
    with pytest.raises(InputError, match=r"has isthmus 0\.0\.1, and the audit was begun with 0\.0\.0"):
        worker.open()


def test_another_bundle_under_the_same_name_is_refused() -> None:
    worker = RayWorker(settings_of(bundle_digest="0" * 64), torch.get_num_threads(), isthmus_version())
    with pytest.raises(InputError, match="digest"):
        worker.open()


def test_a_worker_that_is_not_open_judges_nothing(shard: Shard) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        RayWorker(settings_of(), 1, isthmus_version()).judge(shard)
