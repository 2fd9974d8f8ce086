"""The image's build and its start, followed step by step without a container engine (see conftest.py)."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

KEY = "a-key-of-the-tests-alone"
SYSTEM_LIBRARIES = {
    *("ld-linux-x86-64", "libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv", "libnss_files"),
    *("libstdc++", "libgcc_s", "libz", "libbz2", "liblzma", "libffi", "libssl", "libcrypto", "libsqlite3", "libuuid"),
    *("libexpat", "libnss_dns"),
}
"""What python:*-slim-bookworm has of the shared libraries that Python and C++ programs take."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("image"),
    pytest.mark.skipif(
        os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
        reason="following the image's steps takes mount namespaces, so root",
    ),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """What `docker run --read-only --tmpfs /tmp` would make of the image, with a state volume, keys and photographs."""

    image: Any
    above: Path
    mounts: dict[str, Path]

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the image to its end."""
        command = self.image.program(arguments, self.mounts, self.above, **variables)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def container(builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    image = builder.built("isthmus")
    folder = tmp_path_factory.mktemp("volumes")
    mounts = {"/var/lib/isthmus": folder / "state", "/etc/isthmus": folder / "etc", "/images": folder / "images"}
    for place in mounts.values():
        place.mkdir()
    os.chown(mounts["/var/lib/isthmus"], 10001, 10001)
    (mounts["/etc/isthmus"] / "keys").write_text(f"tests:{KEY}\n")
    for name in ("china", "flower"):
        Image.fromarray(load_sample_image(f"{name}.jpg")).save(mounts["/images"] / f"{name}.png")
    yield Container(image=image, above=builder.new_layer("container"), mounts=mounts)
    # Gigabytes that pytest would keep for three runs.
    shutil.rmtree(builder.folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    process: subprocess.Popen[bytes]
    url: str
    ports: dict[str, str]


@pytest.fixture(scope="module")
def served(container: Container, dockerfile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The image's own command, on two free ports; ready."""
    stage = dockerfile.stages[-1]
    command = [*json.loads(stage.all("ENTRYPOINT")[0].rest), *json.loads(stage.all("CMD")[0].rest)]
    ports = {"ISTHMUS_PORT": free_port(), "ISTHMUS_METRICS_PORT": free_port()}
    log = tmp_path_factory.mktemp("log") / "log.jsonl"
    with log.open("wb") as errors:
        program = container.image.program(command, container.mounts, container.above, **ports)
        process = subprocess.Popen(program, stdout=errors, stderr=errors)
    served = Served(process=process, url=f"http://127.0.0.1:{ports['ISTHMUS_PORT']}", ports=ports)
    try:
        end = time.monotonic() + 300
        while not is_ready(served.url):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield served
        # Docker's own default would be SIGTERM as well; the image says so.
        process.send_signal(signal.Signals[stage.all("STOPSIGNAL")[0].rest])
        assert process.wait(120) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def test_every_step_of_the_build_was_executed(container: Container, builder, dockerfile) -> None:
    steps = [run.rest for stage in dockerfile.stages if stage.name != "dependencies-cuda" for run in stage.all("RUN")]
    assert sorted(builder.executed) == sorted(steps)
    # What is left is the same step with another lock.
    (cuda,) = [stage for stage in dockerfile.stages if stage.name == "dependencies-cuda"]
    (step,) = cuda.all("RUN")
    (cpu,) = [run for run in builder.executed if run.endswith("-r cpu.txt")]
    assert step.rest == cpu.replace("cpu.txt", "cuda.txt").replace('--extra-index-url "${TORCH_INDEX}" ', "")


def test_the_wheel_in_the_image_holds_what_the_tree_holds(
    container: Container, builder, context: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=context, check=True, capture_output=True)
    (ours,), (theirs,) = tmp_path.glob("*.whl"), (builder.folder / "application/system/build/dist").glob("*.whl")
    assert contents(ours) == contents(theirs)


def contents(wheel: Path) -> dict[str, bytes]:
    """What a wheel holds, but for what names the backend's version."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if Path(name).name not in ("WHEEL", "RECORD")]
        return {name: archive.read(name) for name in names}


def test_programs_run_as_a_user_without_rights_on_a_root_that_cannot_be_written(container: Container) -> None:
    status = container.run("sh", "-c", "id -u; id -g; grep -h -E '^(CapEff|NoNewPrivs)' /proc/self/status; id -un")
    assert status.stdout.split() == ["10001", "10001", "CapEff:", "0" * 16, "NoNewPrivs:", "1", "isthmus"]
    for place in ("/opt/isthmus", "/etc", "/var", "/images"):
        assert container.run("touch", f"{place}/written").returncode != 0, place
    for place in ("/tmp", "/var/lib/isthmus"):
        assert container.run("touch", f"{place}/written").returncode == 0, place


def test_nothing_in_the_image_installs_or_builds(container: Container) -> None:
    for module in ("pip", "ensurepip", "hatchling", "torchattacks", "pytest"):
        program = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is not None)"
        for python in ("/opt/isthmus/bin/python", "python3"):
            assert container.run(python, "-c", program, module).returncode == 0, module


def test_a_folder_of_the_working_directory_cannot_take_a_package_s_place(container: Container) -> None:
    program = (
        "cd /var/lib/isthmus && mkdir -p service && echo 'raise SystemExit(9)' > service/__init__.py && isthmus info"
    )
    ended = container.run("sh", "-c", f"{program} --help; code=$?; rm -r service; exit $code")
    assert ended.returncode == 0, ended.stderr


def test_the_health_check_answers_0_when_the_server_is_ready(container: Container, served: Served, dockerfile) -> None:
    (check,) = dockerfile.stages[-1].all("HEALTHCHECK")
    command = json.loads(check.rest.removeprefix("CMD "))
    healthy = container.run(*command, **served.ports)
    assert healthy.returncode == 0, healthy.stderr
    assert container.run(*command, ISTHMUS_PORT=free_port()).returncode == 1


def test_a_photograph_gets_a_verdict_and_only_with_a_key(container: Container, served: Served) -> None:
    photograph = (container.mounts["/images"] / "china.png").read_bytes()
    ask = {"url": f"{served.url}/v1/detect", "files": {"files": ("china.png", photograph)}, "timeout": 60}
    assert httpx.post(**ask).status_code == 401
    answer = httpx.post(**ask, headers={"Authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200, answer.text
    (verdict,) = answer.json()["results"]
    assert verdict["decision"] in ("clean", "adversarial")
    assert 0 < verdict["p_value"] <= 1
    metrics = f"http://127.0.0.1:{served.ports['ISTHMUS_METRICS_PORT']}/metrics"
    assert "isthmus_verdicts_total" in httpx.get(metrics, timeout=30).text


def test_the_server_takes_no_shared_library_that_the_base_lacks(served: Served) -> None:
    lines = Path(f"/proc/{served.process.pid}/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[5] for line in lines if ".so" in line}
    ours = {file for file in files if "/opt/isthmus/" in file}
    system = {Path(file).name.split(".so")[0] for file in files - ours if "/usr/local/" not in file}
    assert any("libtorch_cpu" in file for file in ours)
    assert not any("cuda" in file or "cublas" in file for file in files)
    assert system <= SYSTEM_LIBRARIES


def test_a_folder_of_photographs_can_be_audited(container: Container) -> None:
    out = "/var/lib/isthmus/audit"
    audit = container.run("isthmus", "audit", "--images", "/images", "--out", out, ISTHMUS_METRICS_PORT="")
    assert audit.returncode == 0, audit.stderr
    assert (container.mounts["/var/lib/isthmus"] / "audit" / "report.html").is_file()
    assert container.run("isthmus", "audit", "--verify", out).returncode == 0


def test_what_the_extras_bring_is_there(container: Container) -> None:
    modules = "onnx, onnxruntime, onnxscript, onnx2torch, ray, s3fs, gcsfs, aiohttp, opentelemetry.sdk"
    modules += ", opentelemetry.exporter.otlp.proto.http, torchvision.models"
    # Torchvision of PyPI is built with CUDA, and is helped into being imported beside torch without it.
    helped = "from models.torchvision_support import import_torchvision; import_torchvision()"
    ended = container.run("/opt/isthmus/bin/python", "-c", f"{helped}; import {modules}")
    assert ended.returncode == 0, ended.stderr
