import os
import signal
import socket
import sys
import types
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import torch

from service.bundles import ClassifierChoice
from service.errors import InputError
from service.offline.cluster.ray_cluster import RayCluster, Staff, WorkerNeeds, require_ray, worker_needs
from service.offline.work import WorkerSettings

CORE = WorkerNeeds(n_cpus=1, n_gpus=0)
CARD = WorkerNeeds(n_cpus=4, n_gpus=1)


class PaperRayError(Exception):
    """Stands for what Ray itself raises."""


class PaperRay:
    """Connects to a cluster of so much, or does what `begins` does."""

    exceptions = types.SimpleNamespace(RayError=PaperRayError)

    def __init__(self, *, cpus: int = 8, gpus: int = 2, begins: Callable[[], None] = lambda: None) -> None:
        self.has = {"CPU": float(cpus), "GPU": float(gpus)}
        self.begins = begins
        self.begun_with: dict[str, Any] | None = None
        self.is_begun = False

    def is_initialized(self) -> bool:
        return self.is_begun

    def init(self, **options: Any) -> None:
        self.begun_with, self.is_begun = options, True
        self.begins()

    def shutdown(self) -> None:
        self.is_begun = False

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": self.has}, {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}]

    def available_resources(self) -> dict[str, float]:
        return self.has


def connected(ray: PaperRay, needs: WorkerNeeds, *, address: str | None = None, n_workers: int | None = None) -> int:
    """How many workers there should be."""
    return RayCluster(ray, needs, address=address, n_workers=n_workers).connect().n_workers


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


def test_a_worker_has_one_core_or_one_gpu_with_cores_for_its_readers(monkeypatch) -> None:
    assert worker_needs(settings_on("cpu")) == CORE
    assert worker_needs(settings_on("cuda")) == CARD
    for has_gpu, needs in ((False, CORE), (True, CARD)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        assert worker_needs(settings_on(None)) == needs


@pytest.mark.parametrize("device", ["cuda:1", "mps", "cpu:0"])
def test_a_device_that_ray_cannot_deal_out_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=f"--device {device} was asked for"):
        worker_needs(settings_on(device))


def test_a_cluster_of_our_own_has_one_core_a_worker_and_neither_dashboard_nor_worker_output(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2})
    ray = PaperRay()
    assert connected(ray, CORE) == 3
    quiet = {"address": "local", "num_cpus": 3, "num_gpus": 0, "include_dashboard": False, "log_to_driver": False}
    assert quiet.items() <= ray.begun_with.items()
    ray = PaperRay()
    assert connected(ray, CORE, n_workers=7) == 7
    assert ray.begun_with["num_cpus"] == 7


def test_a_cluster_of_our_own_has_a_worker_for_each_gpu_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(7)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ray = PaperRay()
    assert connected(ray, CARD) == 2
    # Four readers were asked for, and three cores a GPU are there.
    assert (ray.begun_with["num_cpus"], ray.begun_with["num_gpus"]) == (6, 2)
    with pytest.raises(InputError, match="3 workers were asked for, and this machine has 2 GPUs"):
        connected(PaperRay(), CARD, n_workers=3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match="this machine has 0 GPUs"):
        connected(PaperRay(), CARD)


def test_a_running_cluster_is_filled() -> None:
    ray = PaperRay(cpus=8, gpus=2)
    assert connected(ray, CORE, address="auto") == 8
    assert ray.begun_with["address"] == "auto"
    assert connected(PaperRay(cpus=8, gpus=2), CARD, address="auto") == 2
    assert connected(PaperRay(cpus=8, gpus=2), CARD, address="auto", n_workers=5) == 5


def test_a_worker_with_a_gpu_takes_no_more_cores_than_its_machine_has_for_each_gpu() -> None:
    for cpus, taken in ((8, 4), (6, 3), (1, 1)):
        cluster = RayCluster(PaperRay(cpus=cpus, gpus=2), CARD, address="auto", n_workers=None)
        assert cluster.connect().needs == WorkerNeeds(n_cpus=taken, n_gpus=1)


def test_a_running_cluster_without_room_is_refused_unless_told_how_many_there_will_be() -> None:
    with pytest.raises(InputError, match="needs 4 CPU and 1 GPU, and the cluster has 8 CPU and 0 GPU"):
        connected(PaperRay(cpus=8, gpus=0), CARD, address="auto")
    assert connected(PaperRay(cpus=8, gpus=0), CARD, address="auto", n_workers=5) == 5


@pytest.mark.parametrize(
    "error", [ConnectionError("nobody\nis there"), RuntimeError("Version mismatch"), PaperRayError("wrong token")]
)
def test_a_cluster_that_cannot_be_had_is_told_in_one_line(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(InputError, match="no Ray cluster to be had at auto") as told:
        connected(PaperRay(begins=fail), CORE, address="auto")
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="Ray cannot be started on this machine"):
        connected(PaperRay(begins=fail), CORE)


def test_processes_that_do_not_come_up_are_told_in_one_line() -> None:
    def fail() -> None:
        # As Ray does, of no kind that could be told from a defect.
        raise Exception("The current node timed out during startup")

    with pytest.raises(InputError, match="cannot be started on this machine: Exception: The current node timed out"):
        connected(PaperRay(begins=fail), CORE)


def test_an_address_is_tried_before_ray_is_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert connected(PaperRay(cpus=8), CORE, address=address) == 8
    ray = PaperRay()
    for nobody in (address, "127.0.0.1:head"):
        with pytest.raises(InputError, match=f"no Ray cluster to be had at {nobody}"):
            connected(ray, CORE, address=nobody)
    assert ray.begun_with is None


@pytest.mark.parametrize(("address", "n_workers"), [("ray://head:10001", None), (None, 0)])
def test_what_cannot_be_is_refused_before_anything_starts(address: str | None, n_workers: int | None) -> None:
    with pytest.raises(InputError):
        RayCluster(PaperRay(), CORE, address=address, n_workers=n_workers)


def test_who_is_connected_already_stays_connected() -> None:
    ray = PaperRay(cpus=8)
    ray.is_begun = True
    cluster = RayCluster(ray, CORE, address=None, n_workers=None)
    assert cluster.connect() == Staff(n_workers=8, needs=CORE)
    assert ray.begun_with is None
    cluster.disconnect()
    assert ray.is_begun


def test_it_disconnects_from_what_it_connected_to_once() -> None:
    ray = PaperRay()
    cluster = RayCluster(ray, CORE, address="auto", n_workers=1)
    cluster.disconnect()
    cluster.connect()
    cluster.disconnect()
    assert not ray.is_begun


def test_it_says_what_is_free() -> None:
    assert RayCluster(PaperRay(), CORE, address=None, n_workers=1).room() == "8 CPU and 2 GPU free"


def test_sigterm_means_afterwards_what_it_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ray = PaperRay(begins=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    connected(ray, CORE, n_workers=1)
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_ray_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'isthmus\[ray\]'"):
        require_ray()
