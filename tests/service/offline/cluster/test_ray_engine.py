"""What is refused before a cluster is started; the rest is tested end to end."""

import sys

import pyarrow as pa
import pytest
import torch

from service.bundles import ClassifierChoice
from service.errors import InputError
from service.offline.cluster import ray_engine
from service.offline.cluster.ray_engine import RayEngine
from service.offline.work import WorkerSettings


def settings_on(device: str | None) -> WorkerSettings:
    return WorkerSettings(
        bundle="digits",
        bundle_digest="",
        choice=ClassifierChoice(device=device),
        false_positive_rate=0.05,
        columns=pa.schema([]),
        chunk_images=16,
        n_readers=4,
    )


def test_without_ray_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"isthmus\[ray\]"):
        RayEngine(settings_on("cpu"))


@pytest.mark.parametrize(
    ("device", "has_gpu", "told"), [(None, False, "cpu"), (None, True, "cuda"), ("cpu", True, "cpu")]
)
def test_workers_are_told_the_device_that_was_chosen_here(device, has_gpu, told, monkeypatch) -> None:
    settings: list[WorkerSettings] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(ray_engine, "RayCrew", lambda _ray, given, _cluster: settings.append(given))
    RayEngine(settings_on(device), n_workers=1)
    assert [given.choice.device for given in settings] == [told]


def test_an_engine_that_was_given_nothing_to_do_starts_no_cluster() -> None:
    engine = RayEngine(settings_on("cpu"), n_workers=1)
    assert list(engine.judge(iter(()), lambda _tick: None)) == []
    engine.close()
