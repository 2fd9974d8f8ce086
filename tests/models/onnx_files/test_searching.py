"""Searches, attacks and prototypes whose gradients ONNX Runtime computes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import helper
from torch import Tensor

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares
from detector.calibration.stream import StreamSettings
from detector.detector import Detector
from detector.escalation import Escalator
from detector.head import Head
from detector.prototypes.prototype_set import PrototypeKind
from detector.prototypes.synthesis import VisualisationSettings
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.types import DetectorError, LabelledImages, to_pixels
from models.classifier import Classifier
from models.digits import load_digits_images
from models.errors import ModelError
from models.onnx_files import vjp
from models.onnx_files.gradient import LOGITS, export_gradient, part_of
from models.onnx_files.vjp import (
    RuntimeClassifier,
    search_on_onnx_runtime,
)
from models.registry import load_classifier
from service.bundles import SHIPPED_BUNDLES

CPU = torch.device("cpu")
WIDE = ProxySettings(smallest_radius=0.1, largest_radius=0.25)


def clean_images(chosen: slice) -> Tensor:
    _, held_out = load_digits_images()
    return to_pixels(held_out.images[chosen])


def test_a_search_runs_in_onnx_runtime_and_decides_alike(digits: Classifier, runtime: RuntimeClassifier) -> None:
    bundle = hesitant(digits, clean_images(slice(60, 120)))
    images = clean_images(slice(60, 84))
    calls: list[int] = []

    class Counted(RuntimeClassifier):
        def __call__(self, pixels: Tensor) -> Any:
            calls.append(len(pixels))
            return super().__call__(pixels)

    counted = Counted(digits, runtime.network, CPU)
    by_torch, by_runtime = Detector(digits, bundle), Detector(digits, bundle, search_classifier=counted)
    expected, found = by_torch.inspect(images), by_runtime.inspect(images)
    straight = by_torch.straight(images)
    n_doubtful = int(by_torch.in_doubt(straight).sum())
    assert n_doubtful >= 6
    assert len(calls) > 10
    for one, other in zip(expected, found, strict=True):
        assert (one.decision, one.label, one.suspected_label) == (other.decision, other.label, other.suspected_label)
        assert one.score == pytest.approx(other.score, abs=1e-3)


def hesitant(classifier: Classifier, images: Tensor) -> Bundle:
    """The shipped bundle with a second opinion, drawn by lot, on the images that score in the middle."""
    bundle = Bundle.load(SHIPPED_BUNDLES / "digits")
    scores = Detector(classifier, bundle).measure(images).scores
    low, high = torch.quantile(scores, torch.tensor([0.3, 0.8])).tolist()
    settings = EscalationSettings(budget=40)
    escalator = Escalator(
        profiler=bundle.profiler(classifier, None),
        prototypes=bundle.prototypes.pixels(),
        mixing=bundle.mixing,
        settings=settings,
    )
    n_searched = escalator.features(images[:1], torch.zeros(1, dtype=torch.int64))[0].shape[1]
    head = Head(len(bundle.head.mean) + n_searched, ()).eval()
    with torch.no_grad():
        head.layers[0].weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
        head.layers[0].bias.zero_()
    return bundle.replaced(second_opinion=SecondOpinion(settings=settings, band=(low, high), head=head))


def test_a_classifier_to_search_with_must_be_on_the_same_device(digits: Classifier, runtime: RuntimeClassifier) -> None:
    elsewhere = RuntimeClassifier(digits, runtime.network, torch.device("meta"))
    with pytest.raises(DetectorError, match="open both on one device"):
        Detector(digits, Bundle.load(SHIPPED_BUNDLES / "digits"), search_classifier=elsewhere)


@pytest.fixture(scope="module")
def spec(digits: Classifier, model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits classifier as two ONNX files; its normalisation is in the graphs."""
    folder = tmp_path_factory.mktemp("digits")
    forward = part_of(model, [LOGITS, *digits.representations])
    (folder / "digits.onnx").write_bytes(forward.SerializeToString())
    (folder / "digits.gradient.onnx").write_bytes(model.SerializeToString())
    keys: Mapping[str, object] = {
        "name": "digits-in-onnx",
        "model": "digits.onnx",
        "gradient": "digits.gradient.onnx",
        "logits": LOGITS,
        "labels": list(digits.labels),
        "input_size": [8, 8],
        "channels": 1,
        "mean": [0.0],
        "std": [1.0],
        "representations": list(digits.representations),
    }
    path = folder / "digits.toml"
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items()) + "\n")
    return path


def test_prototypes_are_learned_through_onnx_runtime_alone(spec: Path) -> None:
    loaded = load_classifier(spec)
    assert loaded.is_differentiable
    assert search_on_onnx_runtime(loaded.classifier) is loaded.classifier
    references, held_out = load_digits_images()
    settings = CalibrationSettings(
        n_prototypes=1,
        hidden=(8,),
        false_positive_rates=(0.05,),
        shares=SplitShares(conformal=0.3, learning=0.4),
        stream=StreamSettings(images=16, sources=32, crop_padding=0, flip=False, proxies=WIDE),
        learning=LearningSettings(steps=2, standardising_batches=1, check_batches=1),
        fitting=FittingSettings(batches=2, epochs=3),
        visualisation=VisualisationSettings(steps=2, jitter=0),
    )
    bundle = calibrate(
        loaded.classifier,
        references=LabelledImages(images=references.images[:200], labels=references.labels[:200]),
        held_out=LabelledImages(images=held_out.images[:300], labels=held_out.labels[:300]),
        settings=settings,
        provenance=Provenance(classifier=loaded.name, preprocessing=loaded.preprocessing.to_dict()),
    )
    assert set(bundle.prototypes.kinds) == {PrototypeKind.LEARNED}
    images = clean_images(slice(20))
    verdicts = Detector(loaded.classifier, bundle).inspect(images)
    assert [verdict.label for verdict in verdicts] == load_classifier("digits").classifier(images).logits.argmax(
        1
    ).tolist()


def test_a_gradient_that_is_not_torchs_is_not_searched_with(
    digits: Classifier, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vjp, "export_gradient", lambda _: model)
    found = search_on_onnx_runtime(digits)
    assert isinstance(found, RuntimeClassifier)
    assert found.network.gradient is not None
    monkeypatch.setattr(vjp, "export_gradient", lambda _: with_other_sign(model))
    with pytest.raises(ModelError, match=r"differs by 200\.00% of its norm, and 0\.00% of the pixels"):
        search_on_onnx_runtime(digits)


def with_other_sign(model: Any) -> Any:
    """The gradient, negated at the last."""
    other = type(model)()
    other.CopyFrom(model)
    last = next(node for node in other.graph.node if "gradient" in node.output)
    last.output[list(last.output).index("gradient")] = "positive"
    other.graph.node.append(helper.make_node("Neg", ["positive"], ["gradient"]))
    return other


def test_a_gradient_is_not_exported_from_a_graph_that_onnx_runtime_runs(spec: Path) -> None:
    with pytest.raises(ModelError, match="export the gradient where the network is made of torch's operations"):
        export_gradient(load_classifier(spec).classifier)
