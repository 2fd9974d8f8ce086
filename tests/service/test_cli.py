import importlib.metadata
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from detector.types import BundleError
from models.errors import ModelError
from service import bundle_info, detection
from service.cli import app
from service.errors import InputError

COMMANDS = [
    "audit",
    "bench",
    "calibrate",
    "demo",
    "detect",
    "early-exit",
    "evaluate",
    "compare",
    "explain",
    "export",
    "inspect-model",
    "serve",
    "study",
    "info",
    "train",
    "view",
]

runner = CliRunner()


def python(program, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_help_leaves_torch_alone(arguments):
    program = (
        "import sys\n"
        "from service.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: code = stop.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'sklearn', 'matplotlib', 'pyarrow'} & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else code)\n"
    )
    done = python(program, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


def test_the_version_is_that_of_the_package():
    said = runner.invoke(app, ["--version"])
    assert (said.exit_code, said.stdout) == (0, f"isthmus {importlib.metadata.version('isthmus')}\n")


def test_every_command_is_listed():
    assert all(command in runner.invoke(app, ["--help"]).stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("give an\nimage"), "give an image"),
        (ModelError("no weights"), "no weights"),
        (BundleError("too new"), "too new"),
        (PermissionError(13, "Permission denied", "/a"), "/a: Permission denied"),
    ],
)
def test_what_a_user_can_put_right_is_one_line_and_exit_code_2(monkeypatch, error, line):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(bundle_info, "open_bundle", fail)
    result = runner.invoke(app, ["info", "any"])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line + "\n")


def test_an_interrupt_is_one_line_and_exit_code_130(monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_info, "open_bundle", interrupt)
    result = runner.invoke(app, ["info", "any"])
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "interrupted\n")


def test_a_mistake_of_ours_is_not_dressed_up_as_the_users(monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("ours")

    monkeypatch.setattr(bundle_info, "open_bundle", fail)
    assert isinstance(runner.invoke(app, ["info", "any"]).exception, ValueError)


def test_a_bundle_that_is_not_there_is_one_line(tmp_path):
    result = runner.invoke(app, ["info", str(tmp_path / "absent")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("there is no bundle")
    assert result.stderr.count("\n") == 1


def test_detect_passes_on_what_was_asked_and_leaves_with_its_exit_code(monkeypatch):
    asked = {}

    def run_detection(paths, **options):
        asked.update(options, paths=[str(path) for path in paths])
        return 3

    monkeypatch.setattr(detection, "run_detection", run_detection)
    result = runner.invoke(
        app,
        ["detect", "a.png", "b.png", "--json", "--false-positive-rate", "0.01", "--fail-on", "adversarial"],
    )
    assert result.exit_code == 3
    assert asked["paths"] == ["a.png", "b.png"]
    assert asked["bundle"] == "cifar10-resnet20"
    assert (asked["json"], asked["false_positive_rate"], asked["fail_on"]) == (True, 0.01, "adversarial")


@pytest.mark.parametrize(
    "arguments",
    [["detect"], ["detect", "a.png", "--fail-on", "clean"], ["calibrate"], ["nonsense"], ["train", "digits"]],
)
def test_a_wrong_command_line_is_exit_code_2(arguments):
    assert runner.invoke(app, arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [["--threads", "1", "show"], ["show"]])
def test_the_number_of_threads_reaches_torch(arguments):
    program = (
        "from service.cli import app, main\n"
        "@app.command()\n"
        "def show() -> None:\n"
        "    import torch\n"
        "    print(torch.get_num_threads())\n"
        "main()\n"
    )
    done = python(program, *arguments, ISTHMUS_THREADS="1")
    assert (done.returncode, done.stdout) == (0, "1\n")
