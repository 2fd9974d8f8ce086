import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
COMPILERS = ("gcc", "g++", "make", "build-essential", "clang", "cargo", "-dev")


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    run = subprocess.run([str(hadolint), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_image_runs_as_a_user_by_number_and_sets_it_after_the_last_step(dockerfile) -> None:
    names = [instruction.name for instruction in dockerfile.stages[-1].instructions]
    (user,) = dockerfile.stages[-1].all("USER")
    # Kubernetes' runAsNonRoot takes only numbers for granted.
    assert user.rest == "10001:10001"
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in ("RUN", "COPY"))


def test_nothing_comes_from_a_url_or_from_a_base_that_moves(dockerfile) -> None:
    instructions = [instruction for stage in dockerfile.stages for instruction in stage.instructions]
    assert not [instruction for instruction in instructions if instruction.name == "ADD"]
    assert not [
        instruction for instruction in instructions if re.search(r"\b(curl|wget|git clone)\b", instruction.rest)
    ]
    stages = {stage.name for stage in dockerfile.stages} | {"dependencies-${ACCELERATOR}"}
    assert {stage.base for stage in dockerfile.stages} - stages == {"${PYTHON_IMAGE}"}
    base = dockerfile.arguments["PYTHON_IMAGE"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)


def test_pip_takes_nothing_but_what_a_hash_was_locked_of(dockerfile) -> None:
    steps = [step for stage in dockerfile.stages for run in stage.all("RUN") for step in run.rest.split(" && ")]
    installs = [step for step in steps if " install " in step and "pip" in step]
    assert len(installs) == 4
    for step in installs:
        # The wheel of the stage before is the one thing without a lock, and no index is asked for it.
        assert "--no-deps" in step
        assert "--require-hashes" in step or "--no-index" in step


def test_the_last_stage_gets_no_compiler_and_no_cache(dockerfile) -> None:
    last = dockerfile.stages[-1]
    steps = " ".join(run.rest for run in last.all("RUN"))
    assert not [tool for tool in COMPILERS if re.search(rf"{re.escape(tool)}\b", steps)]
    assert "apt" not in steps and " install --" in steps
    assert "pip install" not in steps
    (tools,) = [stage for stage in dockerfile.stages if stage.name == "tools"]
    assert tools.environment["PIP_NO_CACHE_DIR"] == "1"
    assert {copy.flags.get("from") for copy in last.all("COPY")} == {"dependencies", "application", None}


def test_both_accelerators_are_installed_by_the_same_step(dockerfile) -> None:
    steps = {stage.name: [run.rest for run in stage.all("RUN")] for stage in dockerfile.stages}
    (cpu,), (cuda,) = steps["dependencies-cpu"], steps["dependencies-cuda"]
    assert cpu.replace("cpu.txt", "cuda.txt").replace('--extra-index-url "${TORCH_INDEX}" ', "") == cuda
    assert dockerfile.arguments["ACCELERATOR"] == "cuda"


def test_every_source_of_a_copy_is_in_the_context(dockerfile, context: Path) -> None:
    copies = [copy for stage in dockerfile.stages for copy in stage.all("COPY") if "from" not in copy.flags]
    assert copies
    missing = [source for copy in copies for source in copy.rest.split()[:-1] if not (context / source).exists()]
    assert not missing


def test_the_context_is_what_the_build_takes_and_no_more(context: Path) -> None:
    assert {path.name for path in context.iterdir()} == {
        *("LICENSE", "README.md", "pyproject.toml", "service", "detector", "models", "deploy"),
    }
    assert {path.name for path in (context / "deploy").iterdir()} == {"image", "locks"}
    assert not list(context.rglob("__pycache__"))


def test_what_is_written_goes_to_the_two_places_that_can_be(dockerfile) -> None:
    environment = dockerfile.stages[-1].environment
    folders = {"HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TORCH_HOME", "TRITON_CACHE_DIR"}
    for name in folders | {"TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH"}:
        assert Path(environment[name]).is_relative_to("/tmp")
    assert [volume.rest for volume in dockerfile.stages[-1].all("VOLUME")] == [f'["{environment["ISTHMUS_STATE"]}"]']
    assert environment["PYTHONSAFEPATH"] == environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_no_gpu_is_taken_that_was_not_given(dockerfile) -> None:
    assert "NVIDIA_VISIBLE_DEVICES" not in dockerfile.stages[-1].environment


def test_its_settings_are_settings_of_the_server(dockerfile) -> None:
    settings = pytest.importorskip("service.settings").ServeSettings
    environment = dockerfile.stages[-1].environment
    ours = {name.removeprefix("ISTHMUS_").lower() for name in environment if name.startswith("ISTHMUS_")}
    assert ours == {"host", "port", "metrics_port", "state", "keys_file"}
    assert ours <= set(settings.model_fields)
    ports = " ".join(expose.rest for expose in dockerfile.stages[-1].all("EXPOSE"))
    assert ports == f"{environment['ISTHMUS_PORT']} {environment['ISTHMUS_METRICS_PORT']}"


def test_its_labels_are_those_of_the_project(dockerfile) -> None:
    last = dockerfile.stages[-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', last.all("LABEL")[0].rest))
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]
    assert labels["base.name"] == "${PYTHON_IMAGE}"
    assert [argument.rest for argument in last.all("ARG") if "VERSION" in argument.rest] == [
        f"VERSION={project['version']}"
    ]


def test_it_stops_as_the_server_wants_to_be_stopped(dockerfile) -> None:
    last = dockerfile.stages[-1]
    # Without a shell between, which would not pass the signal on.
    assert [stop.rest for stop in last.all("STOPSIGNAL")] == ["SIGTERM"]
    assert [entry.rest for entry in last.all("ENTRYPOINT")] == ['["isthmus"]']
    assert [command.rest for command in last.all("CMD")] == ['["serve"]']
