import importlib.metadata
import importlib.util
import json

import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper

from service.errors import InputError
from service.triton import TritonModel, check_triton_place, preferred_sizes, triton_config, write_triton_model


@pytest.fixture(scope="module")
def schema():
    """Triton's own messages; the package around them would want gRPC."""
    files = importlib.metadata.files("tritonclient")
    place = next(file for file in files if file.parts == ("tritonclient", "grpc", "model_config_pb2.py")).locate()
    spec = importlib.util.spec_from_file_location("model_config_pb2", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsed(schema, text):
    """Fails on every field that Triton does not know."""
    return text_format.Parse(text, schema.ModelConfig())


def model_of(inputs, outputs, **changes):
    values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    facts = {"name": "net", "max_images": 48, "labels": ("cat", "dog"), "parameters": {}}
    model = helper.make_model(helper.make_graph([], "graph", *values))
    return TritonModel(model=model, **facts | changes)


def test_the_exported_detector_is_a_model_for_triton(schema, exported_digits):
    folder = exported_digits.folder / "triton" / "detector"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "labels.txt",
        "1/model.onnx",
    }
    assert (folder / "1" / "model.onnx").read_bytes() == exported_digits.file.read_bytes()
    assert (folder / "labels.txt").read_text().split() == list("0123456789")
    config = parsed(schema, (folder / "config.pbtxt").read_text())
    assert (config.name, config.platform, config.max_batch_size) == ("detector", "onnxruntime_onnx", 64)
    assert [(one.name, schema.DataType.Name(one.data_type), list(one.dims)) for one in config.input] == [
        ("pixels", "TYPE_FP32", [1, 8, 8])
    ]
    assert {one.name: schema.DataType.Name(one.data_type) for one in config.output} == {
        "is_adversarial": "TYPE_BOOL",
        "instance_score": "TYPE_FP32",
        "p_value": "TYPE_FP32",
        "label": "TYPE_INT64",
        "suspected_label": "TYPE_INT64",
    }
    for output in config.output:
        # Triton: dims must not be empty, and are reshaped to what the graph has.
        assert (list(output.dims), output.HasField("reshape"), list(output.reshape.shape)) == ([1], True, [])
    assert list(config.dynamic_batching.preferred_batch_size) == [16, 32, 64]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [(group.count, group.kind) for group in config.instance_group] == [(1, schema.ModelInstanceGroup.KIND_AUTO)]
    assert [one.batch_size for one in config.model_warmup] == [1, 64]
    assert {tuple(one.inputs["pixels"].dims) for one in config.model_warmup} == {(1, 8, 8)}
    assert json.loads(config.parameters["labels"].string_value) == list("0123456789")
    assert config.parameters["isthmus.false_positive_rate"].string_value == "0.05"


def test_further_axes_and_free_ones_come_through(schema):
    config = parsed(
        schema,
        triton_config(
            model_of(
                [("pixels", TensorProto.FLOAT, ["batch", 3, "height", 32])],
                [("half", TensorProto.FLOAT16, ["batch", 10])],
            )
        ),
    )
    assert list(config.input[0].dims) == [3, -1, 32]
    assert not config.input[0].HasField("reshape")
    assert list(config.output[0].dims) == [10]
    assert list(config.model_warmup[0].inputs["pixels"].dims) == [3, 1, 32]


@pytest.mark.parametrize("text", ['a "quoted" \\ name', "née\tΩ\x00\n", "{ } # :"])
def test_any_text_comes_through(schema, text):
    config = parsed(schema, triton_config(model_of([], [], parameters={"note": text}, labels=(text,))))
    assert config.parameters["note"].string_value == text
    assert json.loads(config.parameters["labels"].string_value) == [text]


@pytest.mark.parametrize(("largest", "sizes"), [(64, [16, 32, 64]), (8, [2, 4, 8]), (1, [1]), (2, [1, 2])])
def test_whole_halves_and_quarters_of_the_largest_batch_are_preferred(largest, sizes):
    assert preferred_sizes(largest) == sizes


def test_a_model_is_written_in_the_place_of_its_former_version(tmp_path):
    model = model_of([], [], labels=("two\nlines",))
    folder = write_triton_model(tmp_path / "models", model)
    (folder / "old").touch()
    assert write_triton_model(tmp_path / "models", model) == folder
    assert {path.name for path in folder.iterdir()} == {"config.pbtxt", "labels.txt", "1"}
    assert (folder / "labels.txt").read_text() == "two lines\n"
    assert onnx.load(folder / "1" / "model.onnx") == model.model


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden"])
def test_a_name_that_is_no_folders_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="name of a model"):
        check_triton_place(tmp_path, name)


def test_what_is_no_model_stays(tmp_path):
    (tmp_path / "net").mkdir()
    with pytest.raises(InputError, match="no model of Triton's"):
        write_triton_model(tmp_path, model_of([], []))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        check_triton_place(tmp_path / "file", "net")
