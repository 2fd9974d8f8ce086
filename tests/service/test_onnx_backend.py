import dataclasses
import json
import logging
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from detector.onnx_export.exporting import ExportError
from detector.types import no_progress, to_pixels
from models.digits import load_digits_images
from service import onnx_backend
from service.agreement import Answers
from service.bundles import ClassifierChoice, open_detector
from service.cli import app
from service.onnx_backend import cache_folder, has_other_paths, measure_with_onnx_runtime
from service.options import RuntimeName
from service.serving.served_bundles import open_served
from service.settings import ServeSettings

BOTH = (RuntimeName.TORCH, RuntimeName.ONNXRUNTIME)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder of graphs that are kept, filled by opening the digits once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        choice = ClassifierChoice(device="cpu", runtime=RuntimeName.ONNXRUNTIME)
        opened = open_detector("digits", false_positive_rate=0.05, choice=choice)
    return folder, opened.detector


@pytest.fixture(autouse=True)
def cache(kept, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept[0]))


@pytest.fixture
def nothing_is_exported(monkeypatch):
    monkeypatch.setattr(onnx_backend, "evidence_model", pytest.fail)


@pytest.fixture(scope="module")
def with_torch():
    return open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu")).detector


def test_verdicts_are_those_of_torch(kept, with_torch):
    pixels = to_pixels(load_digits_images()[0].images[:300])
    expected, found = with_torch.inspect(pixels), kept[1].inspect(pixels)
    of_torch, of_onnx = Answers.of_verdicts(expected), Answers.of_verdicts(found)
    assert torch.equal(of_torch.is_adversarial, of_onnx.is_adversarial)
    assert torch.equal(of_torch.suspects, of_onnx.suspects)
    assert [verdict.prototype for verdict in expected] == [verdict.prototype for verdict in found]
    torch.testing.assert_close(of_torch.scores, of_onnx.scores, rtol=0, atol=1e-4)
    for one, other in zip(expected, found, strict=True):
        assert one.profile == pytest.approx(other.profile, abs=1e-4)


def test_detect_takes_the_graph_that_was_kept(nothing_is_exported, tmp_path):
    scan = load_digits_images()[1].images[0, 0].numpy()
    Image.fromarray(scan).save(tmp_path / "scan.png")
    arguments = ["detect", "--bundle", "digits", "--device", "cpu", "--json", str(tmp_path / "scan.png")]
    of_torch, of_onnx = (CliRunner().invoke(app, [*arguments, "--runtime", name]) for name in BOTH)
    assert of_torch.exit_code == of_onnx.exit_code == 0
    expected, found = json.loads(of_torch.stdout), json.loads(of_onnx.stdout)
    assert found["score"] == pytest.approx(expected["score"], abs=1e-4)
    assert {name: found[name] for name in ("decision", "label")} == {n: expected[n] for n in ("decision", "label")}
    assert "straight paths run on ONNX Runtime (CPUExecutionProvider)" in of_onnx.stderr


def test_a_server_is_told_by_its_setting(nothing_is_exported, caplog):
    caplog.set_level(logging.INFO)
    served = open_served(ServeSettings(bundles=("digits",), device="cpu", runtime="onnxruntime"))
    assert list(served) == ["digits"]
    assert [record.provider for record in caplog.records if hasattr(record, "provider")] == ["CPUExecutionProvider"]


def spoiled(content):
    model = onnx.load_from_string(content)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("heads.0.layers.3.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
    return model


@pytest.mark.parametrize(
    "damage", [lambda content: content[:1000], lambda content: spoiled(content).SerializeToString()]
)
def test_a_kept_graph_that_is_of_no_use_is_made_anew(kept, with_torch, tmp_path, monkeypatch, damage):
    good = next(Path(kept[0]).rglob("*.onnx"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_backend, "evidence_model", lambda *_: onnx.load(good))
    place = onnx_backend._kept("digest")
    place.parent.mkdir()
    place.write_bytes(damage(good.read_bytes()))
    measure = measure_with_onnx_runtime(with_torch, with_torch.straight_paths, "digest", no_progress)
    assert place.read_bytes() == good.read_bytes()
    pixels = to_pixels(load_digits_images()[0].images[:5])
    torch.testing.assert_close(measure(pixels).scores, with_torch.straight(pixels).scores, rtol=0, atol=1e-4)


def test_a_graph_that_computes_something_else_serves_nobody(kept, with_torch, tmp_path, monkeypatch):
    good = next(Path(kept[0]).rglob("*.onnx"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(onnx_backend, "evidence_model", lambda *_: spoiled(good.read_bytes()))
    with pytest.raises(ExportError, match="--runtime torch"):
        measure_with_onnx_runtime(with_torch, with_torch.straight_paths, "digest", no_progress)
    assert not list(tmp_path.rglob("*.onnx"))


def test_where_there_is_no_home_nothing_is_kept_and_it_runs_all_the_same(kept, with_torch, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    good = next(Path(kept[0]).rglob("*.onnx"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(onnx_backend, "evidence_model", lambda *_: onnx.load(good))
    assert cache_folder() is None
    assert measure_with_onnx_runtime(with_torch, with_torch.straight_paths, "digest", no_progress).session is not None


def test_other_paths_are_seen_though_the_scores_are_the_same(with_torch):
    evidence = with_torch.straight(to_pixels(load_digits_images()[0].images[:3]))
    assert has_other_paths(evidence, evidence).tolist() == [False] * 3
    profiles = evidence.profiles.clone()
    profiles[0, 0, 0] += 0.9e-3
    profiles[1, -1, 2] += 0.1
    profiles[2, 0, 1] = torch.nan
    assert has_other_paths(evidence, dataclasses.replace(evidence, profiles=profiles)).tolist() == [False, True, True]
    swapped = dataclasses.replace(evidence, profiles=evidence.profiles.flip(1))
    assert has_other_paths(evidence, swapped).any()


def test_where_nothing_can_be_kept_it_runs_all_the_same(kept, with_torch, tmp_path, monkeypatch):
    good = next(Path(kept[0]).rglob("*.onnx"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(onnx_backend, "evidence_model", lambda *_: onnx.load(good))
    assert measure_with_onnx_runtime(with_torch, with_torch.straight_paths, "digest", no_progress).session is not None


def test_graphs_are_kept_where_the_system_keeps_such_things(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/isthmus")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "isthmus"
