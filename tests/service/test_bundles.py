from types import SimpleNamespace

import pytest
import torch

from detector.types import BundleError, to_pixels
from models.digits import load_digits_images
from models.errors import ModelError
from service import bundles
from service.bundles import (
    ClassifierChoice,
    open_auxiliary,
    open_bundle,
    open_classifier,
    require_searchable,
    shipped_names,
)
from service.errors import InputError
from service.options import RuntimeName


@pytest.fixture
def loads(monkeypatch):
    """The folders that were to be loaded."""
    asked = []
    monkeypatch.setattr(bundles.Bundle, "load", asked.append)
    return asked


def make_bundle(folder):
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text("{}")
    return folder


def bundle_for(name, preprocessing):
    def check_classifier(classifier):
        if classifier == "other":
            raise BundleError("calibrated for another")

    return SimpleNamespace(
        record=SimpleNamespace(classifier=name, preprocessing=preprocessing.to_dict()),
        check_classifier=check_classifier,
    )


def classifiers(monkeypatch, preprocessing, classifier="the one"):
    """Stands in for the registry and notes what is asked of it."""
    asked = []

    def load_classifier(name, *, device, weights):
        asked.append((name, str(device), weights))
        return SimpleNamespace(name=name, classifier=classifier, preprocessing=preprocessing)

    monkeypatch.setattr(bundles, "load_classifier", load_classifier)
    return asked


def test_a_shipped_bundle_is_found_by_its_name(tmp_path, monkeypatch, loads):
    monkeypatch.setattr(bundles, "SHIPPED_BUNDLES", tmp_path)
    make_bundle(tmp_path / "digits")
    (tmp_path / "unfinished").mkdir()
    assert shipped_names() == ("digits",)
    open_bundle("digits")
    assert loads == [tmp_path / "digits"]


def test_a_shipped_name_means_the_shipped_bundle_wherever_one_stands(tmp_path, monkeypatch, loads, caplog):
    monkeypatch.setattr(bundles, "SHIPPED_BUNDLES", tmp_path / "shipped")
    shipped = make_bundle(tmp_path / "shipped" / "digits")
    make_bundle(tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO", logger="service"):
        open_bundle("digits")
        open_bundle("./digits")
    assert [folder.resolve() for folder in loads] == [shipped, tmp_path / "digits"]
    assert "write ./digits" in caplog.text


def test_a_bundle_that_is_nowhere_is_answered_with_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "SHIPPED_BUNDLES", tmp_path)
    make_bundle(tmp_path / "digits")
    with pytest.raises(InputError, match=r"no bundle 'absent'.*\(digits\)"):
        open_bundle("absent")


def test_the_classifier_is_the_one_that_the_bundle_names(monkeypatch, colour):
    asked = classifiers(monkeypatch, colour)
    open_classifier(bundle_for("digits", colour), ClassifierChoice(device="cpu"))
    assert asked == [("digits", "cpu", None)]


def test_a_classifier_that_is_not_registered_needs_its_spec(monkeypatch, colour):
    asked = classifiers(monkeypatch, colour)
    with pytest.raises(InputError, match=r"add --classifier with the SPEC\.toml"):
        open_classifier(bundle_for("mine", colour), ClassifierChoice(device="cpu"))
    open_classifier(bundle_for("mine", colour), ClassifierChoice(name_or_spec="mine.toml", device="cpu"))
    assert asked == [("mine.toml", "cpu", None)]


def test_a_classifier_that_prepares_images_in_another_way_is_refused(monkeypatch, colour, gray):
    classifiers(monkeypatch, gray)
    with pytest.raises(InputError, match="calibrated with the preprocessing"):
        open_classifier(bundle_for("digits", colour), ClassifierChoice(device="cpu"))


def test_a_classifier_with_another_digest_is_refused(monkeypatch, colour):
    classifiers(monkeypatch, colour, classifier="other")
    with pytest.raises(BundleError):
        open_classifier(bundle_for("digits", colour), ClassifierChoice(device="cpu"))


def watched_bundle(name):
    def check_auxiliary(classifier):
        if classifier == "other":
            raise BundleError("calibrated with another")

    record = SimpleNamespace(auxiliary=name and SimpleNamespace(classifier=name))
    return SimpleNamespace(record=record, check_auxiliary=check_auxiliary)


@pytest.fixture
def loaded_by_name(monkeypatch):
    asked = []

    def load_classifier(name, *, device):
        asked.append(name)
        return SimpleNamespace(classifier="other" if name == "wrong.toml" else "the one")

    monkeypatch.setattr(bundles, "load_classifier", load_classifier)
    return asked


def test_no_auxiliary_is_loaded_where_the_bundle_has_none(loaded_by_name):
    assert open_auxiliary(watched_bundle(None), ClassifierChoice(device="cpu")) is None
    assert loaded_by_name == []


def test_the_auxiliary_is_the_one_that_the_bundle_names_or_the_user_gives(loaded_by_name):
    assert open_auxiliary(watched_bundle("digits"), ClassifierChoice(device="cpu")) == "the one"
    with pytest.raises(InputError, match=r"add --auxiliary with the SPEC\.toml"):
        open_auxiliary(watched_bundle("mine"), ClassifierChoice(device="cpu"))
    open_auxiliary(watched_bundle("mine"), ClassifierChoice(device="cpu", auxiliary="mine.toml"))
    assert loaded_by_name == ["digits", "mine.toml"]


def test_another_auxiliary_is_refused(loaded_by_name):
    with pytest.raises(BundleError):
        open_auxiliary(watched_bundle("mine"), ClassifierChoice(device="cpu", auxiliary="wrong.toml"))


@pytest.mark.parametrize(
    ("opinion", "is_differentiable", "is_refused"), [(None, False, False), (1, True, False), (1, False, True)]
)
def test_a_bundle_that_searches_needs_a_classifier_with_gradients(opinion, is_differentiable, is_refused):
    bundle = SimpleNamespace(second_opinion=opinion)
    loaded = SimpleNamespace(name="mine", is_differentiable=is_differentiable, limits=("It runs elsewhere.",))
    if not is_refused:
        require_searchable(bundle, loaded)
        return
    with pytest.raises(InputError, match=r"mine gives no gradient to search with: It runs elsewhere\."):
        require_searchable(bundle, loaded)


@pytest.fixture
def opened_parts(monkeypatch):
    """What `open_detector` gives the detector that it opens last, with everything that it loads replaced."""
    given = []

    def detector(classifier, bundle, rate, **arguments):
        given.append(arguments)

    loaded = SimpleNamespace(classifier="network", is_differentiable=True, preprocessing=None)
    monkeypatch.setattr(bundles, "Detector", detector)
    monkeypatch.setattr(bundles, "open_classifier", lambda *_: loaded)
    monkeypatch.setattr(bundles, "open_auxiliary", lambda *_: None)
    monkeypatch.setattr(bundles, "_on_onnx_runtime", lambda *_: "measure")

    def parts(opinion, runtime):
        bundle = SimpleNamespace(second_opinion=opinion, record=SimpleNamespace(labels=()))
        monkeypatch.setattr(bundles, "open_bundle", lambda _: bundle)
        choice = ClassifierChoice(device="cpu", runtime=runtime)
        bundles.open_detector("digits", false_positive_rate=0.05, choice=choice)
        return given[-1].get("search_classifier")

    return parts


def test_onnx_runtime_searches_where_it_is_chosen_and_the_bundle_searches(opened_parts, monkeypatch):
    monkeypatch.setattr("models.onnx_files.vjp.search_on_onnx_runtime", lambda classifier: f"{classifier} in ONNX")
    assert opened_parts("opinion", RuntimeName.ONNXRUNTIME) == "network in ONNX"
    assert opened_parts(None, RuntimeName.ONNXRUNTIME) is None
    assert opened_parts("opinion", RuntimeName.TORCH) is None


def test_a_classifier_whose_gradient_is_no_graph_is_searched_by_torch(opened_parts, monkeypatch, caplog):
    def refused(_):
        raise ModelError("ONNX has nothing for the operation lgamma")

    monkeypatch.setattr("models.onnx_files.vjp.search_on_onnx_runtime", refused)
    assert opened_parts("opinion", RuntimeName.ONNXRUNTIME) is None
    assert "searched with PyTorch: ONNX has nothing for the operation lgamma" in caplog.text


HALVES = [RuntimeName.TORCH_BFLOAT16, RuntimeName.TORCH_FLOAT16]


@pytest.fixture(scope="module")
def scores():
    """Scores of scans of digits, by the runtime that measured them."""
    pixels = to_pixels(load_digits_images()[0].images[-40:])

    def of(runtime):
        choice = ClassifierChoice(device="cpu", runtime=runtime)
        detector = bundles.open_detector("digits", false_positive_rate=0.05, choice=choice).detector
        return torch.tensor([verdict.score for verdict in detector.inspect(pixels)])

    return of


def test_half_precision_rounds_the_scores_and_no_more_than_that(scores):
    whole, *halves = (scores(runtime) for runtime in (RuntimeName.TORCH, *HALVES))
    coarse, fine = ((half - whole).abs().max() for half in halves)
    # 8 bits and 11 bits of the digits.
    assert 0 < fine < coarse < 0.2 * whole.std()


def test_every_accelerated_runtime_replays_graphs_where_there_is_a_gpu():
    accelerated = [runtime for runtime in RuntimeName if runtime.value.startswith("torch-")]
    assert list(bundles.ACCELERATIONS) == accelerated
    assert all(settings.cuda_graphs for settings in bundles.ACCELERATIONS.values())
    assert [bundles.ACCELERATIONS[runtime].precision.value for runtime in HALVES] == ["bfloat16", "float16"]


def test_graphs_alone_are_refused_where_they_would_do_nothing():
    with pytest.raises(InputError, match="replays CUDA graphs, and this computes on cpu; take a CUDA device"):
        bundles.open_detector(
            "digits",
            false_positive_rate=0.05,
            choice=ClassifierChoice(device="cpu", runtime=RuntimeName.TORCH_GRAPHS),
        )
    bundles.require_runtime(RuntimeName.TORCH_GRAPHS, "cuda")
