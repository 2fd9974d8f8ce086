from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation import extensions
from detector.evaluation.adaptive import ADAPTIVE, AdaptiveFigures, AdaptiveRun, AdaptiveSpec, SkippedAdaptive
from detector.evaluation.attacks import BUILTIN
from detector.evaluation.experiment import Experiment, run_experiment
from detector.evaluation.extensions import with_adaptive
from detector.evaluation.metrics import Estimate
from detector.evaluation.score_table import Group
from detector.evaluation.shards import MemoryShards
from detector.types import LabelledImages, no_progress, to_pixels

WORKS, FAILS = ADAPTIVE[:2]


@pytest.fixture
def found(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Experiment]:
    """Runs two adaptive attacks on detectors of these names: the first adds a tenth to three images."""

    def ran(
        spec: AdaptiveSpec, _detector: Detector, _digest: str, clean: LabelledImages, *_: object, **__: object
    ) -> AdaptiveRun | SkippedAdaptive:
        if spec is FAILS:
            return SkippedAdaptive(name=spec.name, title=spec.title, reason="it draws nothing")
        half = Estimate(0.5, 0.0, 1.0)
        figures = AdaptiveFigures(
            name=spec.name,
            title=spec.title,
            radius=0.1,
            n=3,
            reached=half,
            evaded={0.01: half, 0.05: half},
            evaded_rounded=0.5,
            undefended=1.0,
            first_loss=2.0,
            last_loss=1.0,
            seconds=1.0,
        )
        images = to_pixels(clean.images[1:4]) + 0.1
        return AdaptiveRun(figures=figures, images=images, sources=torch.arange(1, 4), targets=torch.zeros(3).long())

    monkeypatch.setattr(extensions, "adaptive_run", ran)

    def run(*names: str) -> Experiment:
        detectors = {name: Detector(corners, bundle) for name in names}
        experiment = run_experiment(detectors, corner_images(40, seed=50), BUILTIN[:1], limit=5, seed=0)
        return with_adaptive(
            experiment, detectors, (WORKS, FAILS), MemoryShards(), limit=5, seed=0, progress=no_progress
        )

    return run


def test_adaptive_figures_go_to_their_detector_and_their_scores_to_the_rows(found: Callable[..., Experiment]) -> None:
    experiment = found("it")
    assert [one.name for one in experiment.figures["it"].adaptive] == [WORKS.name]
    (rows,) = [group for group in experiment.scores if group.group is Group.ADAPTIVE]
    assert (rows.bundle, rows.name, len(rows.judgement.verdicts)) == ("it", WORKS.name, 3)
    assert torch.equal(rows.true_labels, experiment.clean.labels[1:4])
    assert rows.sizes is not None
    torch.testing.assert_close(rows.sizes[0], torch.full((3,), 0.4))
    torch.testing.assert_close(rows.sizes[1], torch.full((3,), 0.1))
    clean = next(group for group in experiment.scores if group.group is Group.CLEAN)
    assert list(rows.sources) == list(clean.sources[1:4])


def test_what_was_skipped_names_its_bundle_where_there_are_several(found: Callable[..., Experiment]) -> None:
    assert found("it").skipped == {FAILS.name: "it draws nothing"}
    assert list(found("it", "other").skipped) == [f"{FAILS.name} (it)", f"{FAILS.name} (other)"]
