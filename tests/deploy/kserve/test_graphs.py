"""What graphs let through to a classifier, by the answers of the real server."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

Images = list[np.ndarray]


def request_of(images: Images) -> dict[str, Any]:
    pixels = np.stack(images)[:, None].astype(float)
    data = pixels.flatten().tolist()
    return {"inputs": [{"name": "pixels", "datatype": "FP32", "shape": list(pixels.shape), "data": data}]}


class Classifier:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, request: Any) -> tuple[int, Any]:
        self.asked.append(request)
        return 200, {"outputs": [{"name": "logits"}]}


@pytest.fixture(scope="module")
def digits() -> Images:
    return list(load_digits().images[:24] / 16)


@pytest.fixture
def judged(detector: Callable[..., Any], digits: Images) -> dict[str, Images]:
    """Images by their verdict. Noise is no digit, and flagged as one that an attack made would be."""
    noise = list(np.random.default_rng(0).random((24, 8, 8)))
    images = digits + noise
    _, answer = detector(request_of(images))
    (verdicts,) = [output["data"] for output in answer["outputs"] if output["name"] == "verdict"]
    found: dict[str, Images] = {"clean": [], "adversarial": [], "undecided": []}
    for image, verdict in zip(images, verdicts, strict=True):
        found[verdict].append(image)
    assert len(found["clean"]) > 2
    assert len(found["adversarial"]) > 2
    return found


@pytest.fixture(params=[200, 500], ids=["newer", "older"])
def before(request: Any, manifests: Any, router: Any, detector: Any) -> tuple[Any, Classifier]:
    classifier = Classifier()
    graph = manifests["graph-before.yaml", "InferenceGraph"]
    services = {"cifar10-resnet20": detector, "classifier": classifier}
    return router(graph, services, request.param), classifier


def test_the_classifier_gets_the_request_where_every_image_is_clean(before: Any, judged: Any) -> None:
    graph, classifier = before
    for n_images in (1, 3):
        request = request_of(judged["clean"][:n_images])
        assert graph.ask(request) == (200, {"outputs": [{"name": "logits"}]})
        assert classifier.asked.pop() == request


def test_one_adversarial_image_is_enough_to_keep_a_request_from_the_classifier(before: Any, judged: Any) -> None:
    graph, classifier = before
    clean, adversarial = judged["clean"][0], judged["adversarial"][0]
    for images in ([adversarial], [clean, adversarial], [adversarial, clean], [clean, clean, adversarial]):
        # The status tells nothing: what tells is whose outputs they are.
        _, answer = graph.ask(request_of(images))
        (verdicts,) = [output["data"] for output in answer["outputs"] if output["name"] == "verdict"]
        assert "adversarial" in verdicts
    assert classifier.asked == []


def test_a_request_that_the_detector_refuses_does_not_reach_the_classifier(before: Any, judged: Any) -> None:
    graph, classifier = before
    request = request_of(judged["clean"][:1])
    for damaged in (
        {"inputs": []},
        request | {"outputs": [{"name": "logits"}]},
        {"inputs": [request["inputs"][0] | {"shape": [0, 1, 8, 8], "data": []}]},
    ):
        status, answer = graph.ask(damaged)
        assert (status, list(answer)) == (400, ["error"])
    assert classifier.asked == []


def test_an_answer_without_verdicts_does_not_reach_the_classifier(before: Any, judged: Any) -> None:
    graph, classifier = before
    request = request_of(judged["clean"][:1]) | {"outputs": [{"name": "p_value"}]}
    _, answer = graph.ask(request)
    assert [output["name"] for output in answer["outputs"]] == ["p_value"]
    assert classifier.asked == []


@pytest.mark.parametrize("verdicts", [*itertools.product(["clean", "adversarial", "undecided"], repeat=2), ("Clean",)])
def test_only_clean_verdicts_meet_the_condition(manifests: Any, router: Any, verdicts: tuple[str, ...]) -> None:
    classifier = Classifier()
    outputs = [{"name": "label_name", "data": ["clean"]}, {"name": "verdict", "data": list(verdicts)}]
    services = {"cifar10-resnet20": lambda _: (200, {"outputs": outputs}), "classifier": classifier}
    router(manifests["graph-before.yaml", "InferenceGraph"], services).ask({})
    assert bool(classifier.asked) == (set(verdicts) == {"clean"})


def test_beside_the_detector_the_classifier_answers_whatever_is_found(
    manifests: Any, router: Any, detector: Any, judged: Any
) -> None:
    classifier = Classifier()
    graph = router(
        manifests["graph-beside.yaml", "InferenceGraph"], {"cifar10-resnet20": detector, "classifier": classifier}
    )
    status, answer = graph.ask(request_of(judged["adversarial"][:1]))
    assert (status, list(answer)) == (200, ["detector", "classifier"])
    (verdict,) = [output["data"] for output in answer["detector"]["outputs"] if output["name"] == "verdict"]
    assert verdict == ["adversarial"]


def test_beside_a_detector_that_is_busy_the_classifier_answers(manifests: Any, router: Any) -> None:
    services = {"cifar10-resnet20": lambda _: (429, {"error": "busy"}), "classifier": Classifier()}
    status, answer = router(manifests["graph-beside.yaml", "InferenceGraph"], services).ask({})
    assert (status, answer["detector"]) == (200, {"error": "busy"})


def test_beside_a_detector_that_is_gone_there_is_no_answer_at_all(manifests: Any, router: Any) -> None:
    def gone(_: Any) -> Any:
        raise ConnectionError("connection refused")

    services = {"cifar10-resnet20": gone, "classifier": Classifier()}
    assert router(manifests["graph-beside.yaml", "InferenceGraph"], services).ask({})[0] == 500
