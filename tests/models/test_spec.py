import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.adapters.adapted import NetworkKind
from models.errors import ModelError
from models.preprocessing import Interpolation
from models.registry import load_classifier
from models.spec import load_spec, read_spec
from models.torchvision_support import import_torchvision

FILE = {"architecture": None, "weights": None}

NETWORK = """
from torch import nn


def small(n_labels=3, width=4, bad=False):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, n_labels),
    )


def segmenting():
    return nn.Conv2d(3, 3, 1)
"""

BASE: dict[str, object] = {
    "name": "small",
    "architecture": "network.py:small",
    "weights": "w.safetensors",
    "labels": ["a", "b", "c"],
    "input_size": [6, 8],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
}


def small(n_labels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, n_labels),
    ).eval()


def written(folder: Path, network: nn.Module | None = None, **changes: object) -> Path:
    """A spec file with its network and weights beside it; a change to None leaves the key out."""
    (folder / "network.py").write_text(NETWORK)
    save_file((network or small()).state_dict(), folder / "w.safetensors")
    table = {key: value for key, value in (BASE | changes).items() if value is not None}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{inner} = {json.dumps(setting)}" for inner, setting in value.items())]
    path = folder / "SPEC.toml"
    path.write_text("\n".join(lines))
    return path


def test_a_spec_gives_the_network_with_its_normalisation(tmp_path: Path) -> None:
    loaded = load_classifier(written(tmp_path))
    pixels = torch.rand(2, 3, 6, 8)
    with torch.no_grad():
        expected = small()((pixels - 0.5) / 0.25)
    torch.testing.assert_close(loaded.classifier(pixels).logits, expected, atol=1e-5, rtol=0)
    assert loaded.name == "small"
    assert loaded.classifier.labels == ("a", "b", "c")
    assert loaded.classifier.input_shape == (3, 6, 8)
    assert loaded.classifier.digest() == load_spec(tmp_path / "SPEC.toml").classifier.digest()


def test_resize_and_interpolation_reach_the_preprocessing(tmp_path: Path) -> None:
    spec = written(tmp_path, resize=9, crop=[6, 8], interpolation="bicubic")
    preprocessing = load_spec(spec).preprocessing
    assert (preprocessing.height, preprocessing.width, preprocessing.channels) == (6, 8, 3)
    assert preprocessing.resize_shorter == 9
    assert preprocessing.interpolation is Interpolation.BICUBIC


def test_arguments_reach_the_factory(tmp_path: Path) -> None:
    spec = written(tmp_path, small(n_labels=5), labels=list("vwxyz"), arguments={"n_labels": 5})
    assert load_spec(spec).classifier.labels == tuple("vwxyz")


def test_outputs_keep_the_named_logits(tmp_path: Path) -> None:
    spec = written(tmp_path, labels=["c", "a"], outputs=[2, 0])
    pixels = torch.rand(2, 3, 6, 8)
    with torch.no_grad():
        expected = small()((pixels - 0.5) / 0.25)[:, [2, 0]]
    torch.testing.assert_close(load_classifier(spec).classifier(pixels).logits, expected, atol=1e-5, rtol=0)


def test_labels_come_from_a_file_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["x", "y", "ž"]', encoding="utf-8")
    spec = written(tmp_path, labels=None, labels_file="labels.json")
    assert load_spec(spec).classifier.labels == ("x", "y", "ž")


def test_a_state_dict_saved_by_torch_will_do(tmp_path: Path) -> None:
    torch.save(small().state_dict(), tmp_path / "w.pt")
    spec = written(tmp_path, weights="w.pt")
    assert load_spec(spec).classifier.digest() == load_spec(written(tmp_path)).classifier.digest()


def test_other_weights_may_be_given(tmp_path: Path) -> None:
    other = small()
    nn.init.zeros_(other[5].weight)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    classifier = load_classifier(written(tmp_path), weights=tmp_path / "other.safetensors").classifier
    assert torch.equal(classifier.network[5].weight, torch.zeros(3, 4))


def test_representations_are_found_or_given(tmp_path: Path) -> None:
    assert load_spec(written(tmp_path)).classifier.representations == ("2", "4")
    assert load_spec(written(tmp_path, representations=["1"])).classifier.representations == ("1",)


def test_weights_that_give_nan_are_refused(tmp_path: Path) -> None:
    network = small()
    nn.init.constant_(network[5].bias, float("nan"))
    with pytest.raises(ModelError, match="the logits of 4 of 4 random images are infinite or no numbers"):
        load_classifier(written(tmp_path, network))


def test_a_torchvision_network_is_loaded_with_local_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = import_torchvision().models
    network = models.squeezenet1_1(num_classes=3).eval()
    spec = written(
        tmp_path,
        network,
        architecture="torchvision:squeezenet1_1",
        arguments={"num_classes": 3},
        input_size=[40, 40],
    )
    loaded = load_spec(spec)
    assert (loaded.kind, loaded.is_differentiable, loaded.limits) == (NetworkKind.TORCHVISION, True, ())
    assert loaded.classifier.representations == ("features.1", "features.4", "features.7", "features")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A spec of the small network as an exported program."""
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(small(), (torch.rand(2, 3, 6, 8),), dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "small.pt2")
    return written(tmp_path, architecture=None, weights=None, model="small.pt2")


def test_a_file_takes_the_place_of_architecture_and_weights(program: Path, tmp_path: Path) -> None:
    loaded = load_classifier(program)
    assert loaded.kind is NetworkKind.EXPORTED_PROGRAM
    assert loaded.is_differentiable
    assert loaded.limits == ("It cannot be resumed at a representation, so that no layer-wise paths can be looked at.",)
    live = load_classifier(written(tmp_path)).classifier
    assert loaded.classifier.representations == live.representations
    pixels = torch.rand(3, 3, 6, 8)
    torch.testing.assert_close(loaded.classifier(pixels).logits, live(pixels).logits, atol=1e-5, rtol=0)


def test_another_file_may_be_given_in_place_of_the_model(program: Path, tmp_path: Path) -> None:
    (tmp_path / "small.pt2").rename(tmp_path / "other.pt2")
    assert load_spec(program, weights=tmp_path / "other.pt2").kind is NetworkKind.EXPORTED_PROGRAM
    with pytest.raises(
        ModelError, match=r"w.safetensors does not go with the spec: model is w.safetensors; it must end"
    ):
        load_spec(program, weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "name: missing"),
        ({"normalise": True}, "normalise: unknown key"),
        ({"architecture": "resnet18"}, "architecture: String should match pattern"),
        ({"std": [0.25, 0.25, 0]}, "std.2: Input should be greater than 0"),
        ({"std": [0.25]}, "mean has 3 and std 1 values, but the input has 3 channels"),
        ({"input_size": [6]}, "input_size"),
        ({"labels": None}, "give either labels or labels_file"),
        ({"labels_file": "labels.json"}, "give either labels or labels_file"),
        ({"labels": None, "labels_file": "labels.json"}, "labels file .*labels.json cannot be read"),
        ({"labels": None, "labels_file": "network.py"}, "labels file .*network.py cannot be read"),
        ({"labels": ["a", "b"]}, "gives 3 logits, but 2 labels are named; name them all, or list .* under outputs"),
        ({"outputs": [0, 1]}, "2 outputs are kept, but 3 labels are named"),
        ({"outputs": [0, 1, 1]}, "outputs names a logit twice"),
        ({"outputs": [0, 1, 3]}, "outputs names logit 3, but the network's go from 0 to 2"),
        ({"outputs": [0, 1, -1]}, "outputs.2: Input should be greater than or equal to 0"),
        ({"resize": 5}, "resizing the shorter side to 5 leaves too little for a crop of 6×8"),
        ({"crop": [5, 8]}, r"crop \[5, 8\] is not the input_size \[6, 8\]"),
        ({"channels": 4, "mean": [0.5] * 4, "std": [1] * 4}, "images have 3 channels .* not 4"),
        (
            {"channels": 1, "mean": [0.5], "std": [1]},
            r"the network fails on an image of shape \(1, 6, 8\) .*check channels and input_size",
        ),
        ({"weights": "absent.safetensors"}, "there is no weight file .*absent.safetensors"),
        ({"arguments": {"width": 5}}, r"'0.weight' has shape \(4, 3, 3, 3\), the network expects \(5, 3, 3, 3\)"),
        ({"representations": ["layer1"]}, "the network has no module 'layer1'"),
        ({"representations": []}, "representations: List should have at least 1 item"),
        ({"architecture": None}, "give architecture and weights, or model, .* and without architecture"),
        ({"weights": None}, "give architecture and weights, or model, .* and without weights"),
        ({"weights": None, "architecture": None}, "without model and without either"),
        ({"model": "m.pt2"}, "leave architecture and weights out, or model"),
        ({"model": "m.pt2", "weights": None}, "leave architecture out, or model"),
        (FILE | {"model": "m.pt2", "arguments": {"a": 1}}, "leave arguments out, or model"),
        (FILE | {"model": "m.h5"}, "model is m.h5; it must end in one of .pt2, .onnx, .torchscript, .ts, .pt"),
        (FILE | {"model": "m.pt2"}, "there is no exported program .*m.pt2"),
        (FILE | {"model": "m.pt2", "logits": "z"}, "logits is for a model in ONNX alone"),
        (FILE | {"model": "m.ts", "runtime": "torch"}, "runtime is for a model in ONNX alone"),
        (FILE | {"model": "m.onnx", "runtime": "tensorflow"}, "runtime: Input should be 'onnxruntime' or 'torch'"),
        (FILE | {"model": "m.onnx", "runtime": "torch", "gradient": "g.onnx"}, "torch finds gradients by itself"),
        ({"gradient": "g.onnx"}, "gradient is for a model in ONNX alone"),
    ],
)
def test_a_wrong_value_is_one_clear_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_spec(written(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_a_network_that_does_not_classify_is_refused(tmp_path: Path) -> None:
    spec = written(tmp_path, nn.Conv2d(3, 3, 1), architecture="network.py:segmenting")
    with pytest.raises(ModelError, match=r"gives \(1, 3, 6, 8\); a classifier gives logits of shape \(1, label\)"):
        load_spec(spec)


def test_a_labels_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('{"0": "a"}')
    with pytest.raises(ModelError, match=r"labels.json is not a JSON list of names"):
        load_spec(written(tmp_path, labels=None, labels_file="labels.json"))


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the spec .*absent.toml cannot be read"):
        read_spec(tmp_path / "absent.toml")


def test_a_spec_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "SPEC.toml").write_text("name: small")
    with pytest.raises(ModelError, match=r"SPEC.toml is not TOML: .*line 1") as caught:
        read_spec(tmp_path / "SPEC.toml")
    assert "\n" not in str(caught.value)
