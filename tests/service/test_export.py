"""One exported file stands for all: what is in it, and that it says what `Detector.inspect` says."""

import json

import onnx
import onnxruntime
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

from detector.calibration.splits import image_digests
from detector.onnx_export.exporting import ExportError
from detector.types import to_pixels, to_stored
from detector.verdict import Decision
from models.digits import load_digits_images
from service import export
from service.agreement import Answers, agreement
from service.bundles import ClassifierChoice, digest_of, open_detector
from service.cli import app
from service.onnx_graphs import serialised, verdicts_of
from service.rest.oip.responses import DTYPES, OUTPUTS, output_tensors


@pytest.fixture(scope="module")
def digits():
    return open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))


@pytest.fixture
def session(exported_digits):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(exported_digits.file, options, providers=["CPUExecutionProvider"])


def attacked(classifier, pixels, labels, radius):
    """One step of the sign of the gradient, away from the label."""
    pixels = pixels.clone().requires_grad_(True)
    functional.cross_entropy(classifier(pixels).logits, labels).backward()
    return (pixels + radius * pixels.grad.sign()).clamp(0, 1).detach()


@pytest.fixture(scope="module")
def images(digits):
    """2,697 scans, noisy ones and attacked ones, as files hold them."""
    training, held_out = load_digits_images()
    scans, labels = to_pixels(held_out.images), held_out.labels
    noise = torch.randn(scans[:400].shape, generator=torch.Generator().manual_seed(0))
    noisy = (scans[:400] + 0.1 * noise).clamp(0, 1)
    fooled = [attacked(digits.detector.classifier, scans[:250], labels[:250], radius) for radius in (0.08, 0.2)]
    return torch.cat([held_out.images, training.images[:900], to_stored(torch.cat([noisy, *fooled]))])


def test_the_file_says_what_inspect_says_of_more_than_two_thousand_images(digits, session, images):
    verdicts = digits.detector.inspect(to_pixels(images))
    assert len(verdicts) == 2697
    assert {verdict.decision for verdict in verdicts} == {Decision.CLEAN, Decision.ADVERSARIAL}
    expected = Answers.of_verdicts(verdicts)
    found = verdicts_of(session, to_pixels(images))
    assert torch.equal(found.labels, expected.labels)
    assert float((found.scores - expected.scores).abs().max()) < 1e-4
    # A calibration image scores exactly as high as itself, until something is rounded otherwise.
    used = digits.detector.bundle.used_digests
    is_new = torch.tensor([digest not in used for digest in image_digests(images)])
    assert int(is_new.sum()) > 2000
    for name in ("is_adversarial", "suspects"):
        assert torch.equal(getattr(found, name)[is_new], getattr(expected, name)[is_new])
    scores = len(digits.detector.bundle.conformal.scores)
    assert not agreement(expected, found, false_positive_rate=0.05, calibration_step=1 / (scores + 1)).faults


@pytest.mark.parametrize("size", [1, 2, 7])
def test_the_tensors_are_those_of_the_protocol(digits, session, images, size):
    pixels = to_pixels(images[-size:])
    names = [value.name for value in session.get_outputs()]
    arrays = dict(zip(names, session.run(None, {"pixels": pixels.numpy()}), strict=True))
    expected = output_tensors(digits.detector.inspect(pixels), digits.labels)
    assert names == ["is_adversarial", "instance_score", "p_value", "label", "suspected_label"]
    for name, array in arrays.items():
        assert (array.shape, array.dtype) == ((size,), DTYPES[OUTPUTS[name]])
        assert array == pytest.approx(expected[name].values, abs=1e-4)


def test_the_metadata_say_what_the_file_is(exported_digits, session, digits):
    stored = session.get_modelmeta().custom_metadata_map
    metadata = {name.removeprefix("isthmus."): json.loads(value) for name, value in stored.items()}
    assert metadata.pop("versions").keys() == {"isthmus", "torch", "onnx", "onnxscript"}
    assert metadata == {
        "format_version": 1,
        "false_positive_rate": 0.05,
        "labels": list("0123456789"),
        "input_shape": [1, 8, 8],
        "preprocessing": digits.preprocessing.to_dict(),
        "bundle_digest": digest_of("digits"),
        "classifier": "digits",
        "classifier_digest": digits.detector.bundle.record.classifier_digest,
        "auxiliary_digest": None,
        "calibration_scores": len(digits.detector.bundle.conformal.scores),
    }


def test_the_file_weighs_what_weights_and_prototypes_weigh_and_less_than_two_megabytes_more(exported_digits, digits):
    weights = sum(tensor.nbytes for tensor in digits.detector.classifier.state_dict().values())
    prototypes = digits.detector.bundle.prototypes.images.nbytes
    assert exported_digits.file.stat().st_size <= weights + prototypes + 2e6
    tensors = [tensor.SerializeToString() for tensor in onnx.load(exported_digits.file).graph.initializer]
    large = [tensor for tensor in tensors if len(tensor) > 1000]
    assert len({tensor[-1000:] for tensor in large}) == len(large)


def test_the_report_says_what_was_compared(exported_digits):
    report = exported_digits.report
    assert report["written"] == {"file": str(exported_digits.file), "triton": str(exported_digits.folder / "triton")}
    assert (report["format_version"], report["provider"]) == (1, "CPUExecutionProvider")
    assert report["bytes"] == exported_digits.file.stat().st_size
    assert (report["checked"]["n_images"], report["verified"]["n_images"]) == (16, 897)
    for found in (report["checked"], report["verified"]):
        assert found["agrees"] is True
        assert found["largest_score_difference"] < 1e-4
        assert found["n_equal_decisions"] + found["n_borderline"] == found["n_images"] == found["n_equal_labels"]


def run(*arguments):
    return CliRunner().invoke(app, ["export", "--bundle", "digits", *arguments])


@pytest.fixture
def instead(monkeypatch, exported_digits):
    """What was exported before takes the place of another export, changed if need be."""
    model = onnx.load(exported_digits.file)
    monkeypatch.setattr(export, "verdict_model", lambda *_: model)
    return model


def test_people_are_told_in_words(instead, tmp_path):
    done = run("--out", str(tmp_path / "a.onnx"), "--verify", "digits:train", "--limit", "50")
    assert (done.exit_code, done.stderr) == (0, "")
    file, checked, verified = done.stdout.splitlines()
    assert file.startswith(f"file: {tmp_path / 'a.onnx'}, 0.47 MB after ")
    assert checked.startswith("noise and prototypes, CPUExecutionProvider: of 16 images 16 decisions")
    assert verified.startswith(
        "digits:train: of 50 images 50 decisions, 50 labels and 50 suspects equal; scores within"
    )


def test_a_graph_that_says_something_else_is_not_written(instead, tmp_path):
    bias = next(tensor for tensor in instead.graph.initializer if tensor.name.endswith("heads.0.layers.3.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.01, bias.name))
    done = run("--out", str(tmp_path / "a.onnx"), "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["checked"]["agrees"] is False
    assert "images get a score that differs by more than" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_gradient_comes_beside_it_and_into_the_repository_of_models(
    instead, digits_gradient, tmp_path, monkeypatch
):
    gradient = onnx.load_from_string(digits_gradient)
    monkeypatch.setattr("models.onnx_files.gradient.export_gradient", lambda _: gradient)
    done = run("--out", str(tmp_path / "a.onnx"), "--with-gradient", "--triton", str(tmp_path / "models"), "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", "a.gradient.onnx", "models"}
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"a", "a-gradient"}
    assert (tmp_path / "a.gradient.onnx").read_bytes() == digits_gradient
    found = json.loads(done.stdout)["gradient"]
    assert found["relative_difference"] < 1e-5
    assert found["equal_signs"] > 0.999


def test_a_gradient_of_another_sign_is_not_written_nor_anything_else(instead, digits_gradient, tmp_path, monkeypatch):
    gradient = onnx.load_from_string(digits_gradient)
    last = next(node for node in gradient.graph.node if "gradient" in node.output)
    last.output[list(last.output).index("gradient")] = "positive"
    gradient.graph.node.append(onnx.helper.make_node("Neg", ["positive"], ["gradient"]))
    monkeypatch.setattr("models.onnx_files.gradient.export_gradient", lambda _: gradient)
    done = run("--out", str(tmp_path / "a.onnx"), "--with-gradient")
    assert done.exit_code == 2
    assert "differs by 200.00% of its norm, and 0.00% of the pixels have the same sign" in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_without_a_gradient_is_refused_before_the_work(instead, tmp_path, monkeypatch):
    monkeypatch.setattr("models.onnx_files.gradient.runs_in_onnx_runtime", lambda _: True)
    monkeypatch.setattr(export, "verdict_model", pytest.fail)
    done = run("--out", str(tmp_path / "a.onnx"), "--with-gradient")
    assert done.exit_code == 2
    assert "which has no gradient to export" in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_what_a_file_holds_are_refused_before_they_are_written():
    huge = onnx.TensorProto(data_type=onnx.TensorProto.FLOAT, dims=[2**20, 2**9])
    graph = onnx.helper.make_graph([], "huge", [], [], [huge])
    with pytest.raises(ExportError, match=r"holds 2\.1 GB of weights and prototypes, and an ONNX file at most 2\.1"):
        serialised(onnx.helper.make_model(graph))
    graph.initializer[0].dims[0] = 2
    graph.initializer[0].raw_data = bytes(2**12)
    assert len(serialised(onnx.helper.make_model(graph))) > 2**12


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "open_detector", pytest.fail)
    done = run("--out", str(tmp_path))
    assert done.exit_code == 2
    assert "is a folder; name a file" in done.stderr
    (tmp_path / "models" / "a").mkdir(parents=True)
    done = run("--out", str(tmp_path / "a.onnx"), "--triton", str(tmp_path / "models"))
    assert done.exit_code == 2
    assert "is no model of Triton's" in done.stderr
    (tmp_path / "more" / "a-gradient").mkdir(parents=True)
    done = run("--out", str(tmp_path / "a.onnx"), "--triton", str(tmp_path / "more"), "--with-gradient")
    assert done.exit_code == 2
    assert "is no model of Triton's" in done.stderr
