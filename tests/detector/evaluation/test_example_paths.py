import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.example_paths import MOST_EXAMPLES, path_examples, profile_bands
from detector.evaluation.experiment import Experiment
from detector.evaluation.judgements import Judgement, judge
from detector.types import LabelledImages, no_progress, to_pixels
from detector.verdict import Decision, Verdict


@pytest.fixture
def run(bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]) -> Callable[..., Any]:
    """A detector, and an experiment whose attacks change nothing, with verdicts as they are asked for."""

    def make(
        attacks: Mapping[str, list[Decision]], clean: list[Decision]
    ) -> tuple[Detector, Experiment, dict[str, Judgement]]:
        detector, images = Detector(corners, bundle), corner_images(4, seed=9)
        judged = judge(detector, to_pixels(images.images), no_progress)
        made = AttackedImages(
            images=to_pixels(images.images),
            sources=torch.arange(4),
            true_labels=images.labels,
            n_tried=4,
            n_invalid=0,
            l2=torch.zeros(4),
            linf=torch.zeros(4),
            survives_rounding=1.0,
            seconds=0.0,
        )
        experiment = Experiment(
            clean=images,
            misclassified=images[:0],
            n_seen=0,
            specs=(),
            attacked=dict.fromkeys(attacks, made),
            skipped={},
            figures={},
            judgements={},
        )
        decided = {"clean": clean, **attacks}
        return detector, experiment, {name: decided_so(judged, decisions) for name, decisions in decided.items()}

    return make


def decided_so(judged: Judgement, decisions: list[Decision]) -> Judgement:
    verdicts: list[Verdict] = [
        dataclasses.replace(verdict, decision=decision)
        for verdict, decision in zip(judged.verdicts, decisions, strict=False)
    ]
    return dataclasses.replace(judged, verdicts=tuple(verdicts))


FLAGGED, PASSED, UNDECIDED = Decision.ADVERSARIAL, Decision.CLEAN, Decision.UNDECIDED


def test_mistakes_are_shown_first_and_one_image_of_each_kind(run: Callable[..., Any]) -> None:
    attacks = {"cw": [FLAGGED, PASSED, PASSED], "fgsm": [FLAGGED, FLAGGED], "fab": [UNDECIDED]}
    found = path_examples(*run(attacks, [PASSED, FLAGGED, PASSED, PASSED]), list(attacks))
    assert [example.title for example in found] == [
        "cw · missed",
        "natural · false alarm",
        "cw · caught",
        "fgsm · caught",
        "natural · passed",
        "natural · passed",
    ]
    assert found[0].original is not None and found[1].original is None
    assert (found[0].attack, found[1].attack) == ("cw", None)


def test_thirty_attacks_have_no_more_cards_than_a_reader_has_patience(run: Callable[..., Any]) -> None:
    attacks = {f"attack {index}": [PASSED, FLAGGED] for index in range(30)}
    found = path_examples(*run(attacks, [PASSED, PASSED, FLAGGED]), list(attacks))
    assert len(found) == MOST_EXAMPLES
    assert [example.title for example in found[:9]] == [f"attack {index} · missed" for index in range(9)]
    assert [example.title for example in found[10:14]] == [f"attack {index} · caught" for index in range(4)]


def test_an_example_is_followed_to_its_prototype(run: Callable[..., Any]) -> None:
    detector, experiment, judged = run({}, [PASSED])
    (example,) = path_examples(detector, experiment, judged, [])
    verdict = judged["clean"].verdicts[0]
    prototype = detector.bundle.prototypes.pixels()[verdict.label, verdict.prototype]
    assert torch.equal(torch.from_numpy(example.image), experiment.clean.images[0])
    assert torch.equal(torch.from_numpy(example.strip[-1]), (prototype * 255).round().to(torch.uint8))
    assert example.profiles["cross-entropy, nats"][0] == pytest.approx(verdict.profile[0], abs=1e-5)


def test_bands_are_quartiles_of_clean_images_and_then_of_the_attacks_named(run: Callable[..., Any]) -> None:
    attacks = {"cw": [PASSED] * 4, "fgsm": [PASSED] * 4}
    bands = profile_bands(*run(attacks, [PASSED] * 4), ["fgsm", "cw"])
    assert [band.name for band in bands] == ["clean", "fgsm", "cw"]
    assert all((band.lower <= band.median).all() and (band.median <= band.upper).all() for band in bands)
    # The attacks changed nothing.
    assert bands[1].median.tolist() == bands[0].median.tolist()
