from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation import resuming
from detector.evaluation.adaptive import ADAPTIVE, AdaptiveFigures, AdaptiveRun, SkippedAdaptive
from detector.evaluation.attacked import AttackedImages, SkippedAttack
from detector.evaluation.attacks import AttackSpec, StrengthUnit
from detector.evaluation.metrics import Estimate
from detector.evaluation.resuming import adaptive_run, attacked_images, seed_of
from detector.evaluation.shards import FolderShards
from detector.types import LabelledImages, no_progress


class Brighten:
    """Brightens the last quarter by noise around 0.4, and counts how often it is asked to."""

    def __init__(self) -> None:
        self.n_calls = 0

    def __call__(self, _classifier: Any, images: Tensor, _labels: Tensor, generator: Generator) -> Tensor:
        self.n_calls += 1
        attacked = images.clone()
        attacked[:, :, 2:, 2:] += 0.3 + 0.2 * torch.rand(len(images), 1, 1, 1, generator=generator)
        return attacked


def _spec(attack: Any, name: str = "brighten", title: str = "Brighten") -> AttackSpec:
    return AttackSpec(
        name=name,
        title=title,
        method="it",
        strength=None,
        strength_unit=StrengthUnit.NONE,
        needs_gradient=False,
        most_images=None,
        attack=attack,
    )


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def made(
    corners: Any, corner_images: Callable[..., LabelledImages], tmp_path: Path, notices: list[str]
) -> Callable[[AttackSpec], AttackedImages | SkippedAttack]:
    def make(spec: AttackSpec) -> AttackedImages | SkippedAttack:
        shards = FolderShards(tmp_path, notices.append)
        clean = corner_images(20, seed=1)
        return attacked_images(spec, corners, clean, shards, seed=0, chunk=64, progress=no_progress)

    return make


def _equal(first: Any, second: Any) -> bool:
    assert type(first) is type(second)
    return all(
        torch.equal(value, vars(second)[name]) if isinstance(value, Tensor) else value == vars(second)[name]
        for name, value in vars(first).items()
    )


def test_an_attack_that_is_finished_is_not_run_again(made: Callable[[AttackSpec], Any], notices: list[str]) -> None:
    attack = Brighten()
    first, second = made(_spec(attack)), made(_spec(attack))
    assert isinstance(first, AttackedImages) and len(first.sources) == 15
    assert attack.n_calls == 1
    assert _equal(first, second) and notices == []


def test_a_damaged_shard_is_made_again_and_is_the_same(
    made: Callable[[AttackSpec], Any], tmp_path: Path, notices: list[str]
) -> None:
    attack = Brighten()
    first = made(_spec(attack))
    file = tmp_path / "brighten.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    second = made(_spec(attack))
    assert attack.n_calls == 2 and len(notices) == 1
    assert torch.equal(first.images, second.images)
    assert file.read_bytes() == whole


def test_an_attack_that_failed_is_tried_again(made: Callable[[AttackSpec], Any]) -> None:
    def fails(*_: object) -> Tensor:
        fails_at.append("once more")
        raise RuntimeError("no")

    fails_at: list[str] = []
    first, second = made(_spec(fails)), made(_spec(fails))
    assert isinstance(first, SkippedAttack) and first == second
    assert len(fails_at) == 2


def test_another_attack_of_the_same_name_does_not_take_the_shard(made: Callable[[AttackSpec], Any]) -> None:
    attack = Brighten()
    made(_spec(attack))
    made(_spec(attack, title="Brighten more"))
    assert attack.n_calls == 2


def test_an_attack_that_is_interrupted_leaves_nothing(made: Callable[[AttackSpec], Any], tmp_path: Path) -> None:
    def stopped(*_: object) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(_spec(stopped))
    assert list(tmp_path.iterdir()) == []


def test_seeds_differ_by_name_and_by_run_and_fit_any_generator() -> None:
    seeds = [seed_of(seed, name) for seed in (0, 1) for name in ("pgd-8", "pgd-2")]
    assert len(set(seeds)) == 4
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seed_of(0, "pgd-8") == seeds[0]


RUN = AdaptiveRun(
    figures=AdaptiveFigures(
        name="square",
        title="Square",
        radius=8 / 255,
        n=2,
        reached=Estimate(0.5, 0.1, 0.9),
        evaded={0.01: Estimate(0.5, 0.1, 0.9), 0.05: Estimate(0.0, 0.0, 0.7)},
        evaded_rounded=0.0,
        undefended=1 / 3,
        first_loss=2.5,
        last_loss=float("inf"),
        seconds=0.1,
    ),
    images=torch.rand(2, 1, 4, 4, generator=Generator().manual_seed(0)),
    sources=torch.arange(2),
    targets=torch.tensor([1, 0]),
)


@pytest.mark.parametrize(
    ("result", "n_calls"), [(RUN, 1), (SkippedAdaptive(name="square", title="Square", reason="it draws nothing"), 2)]
)
def test_an_adaptive_run_is_kept_for_its_bundle_alone_and_a_skipped_one_is_tried_again(
    tmp_path: Path,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
    result: AdaptiveRun | SkippedAdaptive,
    n_calls: int,
    corners: Any,
    corner_images: Callable[..., LabelledImages],
    bundle: Bundle,
) -> None:
    calls: list[Mapping[str, Any]] = []

    def run(*_: object, **options: Any) -> Any:
        calls.append(options)
        return result

    monkeypatch.setattr(resuming, "run_adaptive", run)
    spec, shards, clean = ADAPTIVE[0], FolderShards(tmp_path, notices.append), corner_images(2, seed=0)

    def again(digest: str) -> AdaptiveRun | SkippedAdaptive:
        return adaptive_run(spec, Detector(corners, bundle), digest, clean, shards, seed=0, progress=no_progress)

    assert _equal(again("ab" * 32), result) and _equal(again("ab" * 32), result)
    assert len(calls) == n_calls
    again("cd" * 32)
    assert [call["seed"] for call in calls] == [seed_of(0, spec.name)] * (n_calls + 1)
    assert notices == []
