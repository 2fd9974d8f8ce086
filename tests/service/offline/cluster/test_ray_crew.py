"""A crew on a Ray on paper; on a real one it is tested end to end."""

import types
from typing import Any

import pytest

from service.bundles import ClassifierChoice
from service.errors import InputError
from service.offline.cluster import ray_crew
from service.offline.cluster.crew import Counted, Failed, Joined, Judged, Lost
from service.offline.cluster.ray_actor import isthmus_version
from service.offline.cluster.ray_cluster import Staff, WorkerNeeds
from service.offline.cluster.ray_crew import RayCrew
from service.offline.work import JudgedShard, Shard, Tick, WorkerSettings

TOTAL = Tick(shard=5, n_images=1, n_flagged=0, n_errors=0)
JUDGED = JudgedShard(number=5, results=None, timings=None)


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause: object) -> None:
        super().__init__("a traceback\nof many lines")
        self.cause = cause


class PaperRay:
    """As much of the module `ray` as a crew uses.

    Attributes:
        answers: by actor's number, method and shard: what the call gives, or raises if it is an exception.
        created: arguments of each actor.
        groups: methods that were called, each with the threads that it was called on.
    """

    exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self.answers: dict[tuple[int, str], Any] = {}
        self.created: list[tuple[Any, ...]] = []
        self.groups: list[tuple[str, str]] = []
        self.killed: list[int] = []
        self.options: dict[str, Any] = {}

    def is_initialized(self) -> bool:
        return True

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda _plain: types.SimpleNamespace(remote=self._actor)

    def _actor(self, *arguments: Any) -> Any:
        number = len(self.created)
        self.created.append(arguments)
        return types.SimpleNamespace(
            number=number, **{name: _Method(self, number, name) for name in ("open", "judge", "so_far")}
        )

    def wait(self, refs: list[Any], *, num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        assert timeout >= 0
        ready = [ref for ref in refs if ref in self.answers][:num_returns]
        return ready, [ref for ref in refs if ref not in ready]

    def get(self, ref: Any) -> Any:
        answer = self.answers[ref]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: Any) -> None:
        self.killed.append(actor.number)


class _Method:
    def __init__(self, ray: PaperRay, number: int, name: str, group: str = "") -> None:
        self._ray, self._number, self._name, self._group = ray, number, name, group

    def options(self, *, concurrency_group: str) -> "_Method":
        return _Method(self._ray, self._number, self._name, concurrency_group)

    def remote(self, *arguments: Any) -> Any:
        self._ray.groups.append((self._name, self._group))
        return (self._number, self._name, *(argument.number for argument in arguments))


class PaperCluster:
    """Has no room."""

    is_left = False

    def connect(self) -> Staff:
        return Staff(n_workers=3, needs=WorkerNeeds(n_cpus=4, n_gpus=1))

    def disconnect(self) -> None:
        self.is_left = True

    def room(self) -> str:
        return "0 CPU free"


def settings_of(n_readers: int) -> WorkerSettings:
    return WorkerSettings(
        bundle="digits",
        bundle_digest="",
        choice=ClassifierChoice(),
        false_positive_rate=0.05,
        columns=(),
        chunk_images=16,
        n_readers=n_readers,
    )


@pytest.fixture
def ray() -> PaperRay:
    return PaperRay()


@pytest.fixture
def crew(ray: PaperRay, monkeypatch) -> RayCrew:
    """Has begun, and looks at every worker each time."""
    monkeypatch.setattr(ray_crew, "COUNT_SECONDS", 0.0)
    monkeypatch.setattr(ray_crew, "LOOKS_PER_SECOND", float("inf"))
    crew = RayCrew(ray, settings_of(16), PaperCluster())
    assert crew.start() == 3
    return crew


def joined(crew: RayCrew, ray: PaperRay, worker: int) -> None:
    """Hire the worker whose actor is number 0."""
    crew.hire(worker)
    ray.answers[(0, "open")] = "a machine"
    assert crew.events() == [Joined(worker=worker, place="a machine")]


def test_an_actor_takes_what_its_worker_needs_and_ray_does_not_restart_it(crew: RayCrew, ray: PaperRay) -> None:
    expected = {"num_cpus": 4, "num_gpus": 1, "max_restarts": 0, "max_task_retries": 0}
    assert expected.items() <= ray.options.items()
    crew.hire(0)
    ((settings, n_threads, version),) = ray.created
    assert (settings.bundle, settings.n_readers, n_threads, version) == ("digits", 4, 4, isthmus_version())


def test_nothing_has_happened_until_something_answers(crew: RayCrew, ray: PaperRay) -> None:
    crew.hire(0)
    assert crew.events() == []


def test_a_shard_goes_to_its_actor_and_comes_back(crew: RayCrew, ray: PaperRay) -> None:
    joined(crew, ray, 7)
    crew.submit(7, Shard(number=5, items=()))
    ray.answers[(0, "judge", 5)] = (JUDGED, TOTAL)
    (event,) = [event for event in crew.events() if isinstance(event, Judged)]
    assert (event.worker, event.shard, event.total) == (7, JUDGED, TOTAL)


def test_looking_how_far_a_worker_is_does_not_wait_for_the_threads_that_judge(crew: RayCrew, ray: PaperRay) -> None:
    joined(crew, ray, 7)
    crew.submit(7, Shard(number=5, items=()))
    crew.events()
    crew.events()
    # The second time it had not answered yet.
    assert ray.groups == [("open", "judging"), ("judge", "judging"), ("so_far", "watching")]
    ray.answers[(0, "so_far")] = [TOTAL]
    assert crew.events() == [Counted(worker=7, so_far=[TOTAL])]


def test_many_workers_are_looked_at_more_rarely(crew: RayCrew, ray: PaperRay, monkeypatch) -> None:
    monkeypatch.setattr(ray_crew, "LOOKS_PER_SECOND", 1e-6)
    joined(crew, ray, 7)
    crew.events()
    assert [name for name, _ in ray.groups] == ["open"]


def test_what_raised_there_comes_as_it_was_with_the_shard_that_raised_it(crew: RayCrew, ray: PaperRay) -> None:
    error = InputError("no such bundle")
    crew.hire(0)
    ray.answers[(0, "open")] = RayTaskError(error)
    assert crew.events() == [Failed(worker=0, shard=None, cause=error)]

    crew.hire(1)
    ray.answers[(1, "open")] = "a machine"
    crew.events()
    crew.submit(1, Shard(number=5, items=()))
    ray.answers[(1, "judge", 5)] = RayTaskError("no exception")
    (event,) = crew.events()
    assert isinstance(event, Failed)
    assert (event.shard, type(event.cause)) == (5, RayTaskError)


def test_a_dead_process_is_a_lost_worker_and_what_came_back_before_is_told_first(crew: RayCrew, ray: PaperRay) -> None:
    joined(crew, ray, 7)
    crew.submit(7, Shard(number=4, items=()))
    crew.submit(7, Shard(number=5, items=()))
    ray.answers[(0, "judge", 4)] = error = RayError("it died")
    ray.answers[(0, "judge", 5)] = (JUDGED, TOTAL)
    events = crew.events()
    assert [type(event) for event in events] == [Judged, Lost]
    assert events[1] == Lost(worker=7, cause=error)


def test_nothing_is_heard_of_a_dismissed_worker(crew: RayCrew, ray: PaperRay) -> None:
    joined(crew, ray, 7)
    crew.submit(7, Shard(number=5, items=()))
    crew.dismiss(7)
    ray.answers[(0, "judge", 5)] = (JUDGED, TOTAL)
    assert crew.events() == []
    assert ray.killed == [0]


def test_closing_kills_the_actors_and_leaves_the_cluster(crew: RayCrew, ray: PaperRay) -> None:
    crew.hire(0)
    crew.hire(1)
    crew.close()
    assert ray.killed == [0, 1]
    assert crew._cluster.is_left


def test_a_crew_that_never_began_can_be_closed(ray: PaperRay) -> None:
    cluster = PaperCluster()
    RayCrew(ray, settings_of(16), cluster).close()
    assert cluster.is_left


def test_it_says_what_it_waits_for_where_no_worker_finds_room(crew: RayCrew, caplog, monkeypatch) -> None:
    crew.hire(0)
    crew.events()
    assert caplog.text == ""
    monkeypatch.setattr(ray_crew, "PATIENCE_SECONDS", 0.0)
    crew.events()
    assert "no worker is ready yet; each needs 4 CPU and 1 GPU, and there are 0 CPU free" in caplog.text
