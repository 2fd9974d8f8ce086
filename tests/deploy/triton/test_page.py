"""The page about Triton says what a real export of the digits gives."""

import ast
import importlib.metadata
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import text_format
from typer.testing import CliRunner

from service.cli import app

PAGE = (Path(__file__).parents[3] / "deploy" / "triton" / "README.md").read_text()


def blocks(language: str = "") -> list[str]:
    found = re.findall(r"^```(\w*)\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def table() -> list[tuple[str, str]]:
    """Fields and what the page says of them."""
    return re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)


def test_the_container_serves_the_repository_that_is_mounted() -> None:
    (command,) = [shlex.split(block) for block in blocks() if block.startswith("docker run")]
    mount = command[command.index("-v") + 1]
    (place,) = [word.split("=")[1] for word in command if word.startswith("--model-repository=")]
    assert mount == f"$PWD/repository:{place}:ro"
    assert "--read-only" in command
    (client,) = blocks("python")
    ast.parse(client)
    port = re.search(r"localhost:(\d+)", client)
    assert port is not None
    assert f"{port[1]}:8000" in command


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    """Triton's own messages; the package around them would want gRPC."""
    files = importlib.metadata.files("tritonclient") or []
    (file,) = [file for file in files if file.parts == ("tritonclient", "grpc", "model_config_pb2.py")]
    spec = importlib.util.spec_from_file_location("model_config_pb2", str(file.locate()))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's command makes, in a folder of its own."""
    folder = tmp_path_factory.mktemp("triton")
    isthmus, *arguments = shlex.split(blocks()[0])
    assert isthmus == "isthmus"
    placed = [str(folder / word) if word in ("digits.onnx", "repository") else word for word in arguments]
    done = CliRunner().invoke(app, placed)
    assert done.exit_code == 0, done.output
    return folder / "repository"


@pytest.mark.slow
def test_an_export_gives_the_files_and_the_configuration_of_the_page(repository: Path, messages: Any) -> None:
    found = sorted(str(path.relative_to(repository.parent)) for path in repository.rglob("*") if path.is_file())
    assert found == sorted(blocks("text")[0].split())
    config = text_format.Parse((repository / "digits" / "config.pbtxt").read_text(), messages.ModelConfig())

    def tensor(value: Any) -> str:
        return f"{value.name} {messages.DataType.Name(value.data_type)} {list(value.dims)}"

    assert table() == [
        ("platform", config.platform),
        ("max_batch_size", str(config.max_batch_size)),
        *(("input", tensor(value)) for value in config.input),
        *(("output", tensor(value)) for value in config.output),
        (
            "dynamic_batching.preferred_batch_size",
            ", ".join(map(str, config.dynamic_batching.preferred_batch_size)),
        ),
        (
            "dynamic_batching.max_queue_delay_microseconds",
            str(config.dynamic_batching.max_queue_delay_microseconds),
        ),
        ("instance_group.kind", messages.ModelInstanceGroup.Kind.Name(config.instance_group[0].kind)),
        ("model_warmup.batch_size", ", ".join(str(warm_up.batch_size) for warm_up in config.model_warmup)),
        (
            'parameters["isthmus.false_positive_rate"]',
            config.parameters["isthmus.false_positive_rate"].string_value,
        ),
    ]
