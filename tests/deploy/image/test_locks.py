import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent.parent
LOCKS = ROOT / "deploy" / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
IMAGE = default_environment() | {"python_version": "3.11", "python_full_version": "3.11.16", "sys_platform": "linux"}
NAMES = ("build", "cpu", "cuda")


def locked(name: str) -> dict[str, Version]:
    """The versions of a lock, by package."""
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    return {match[1]: Version(match[2]) for match in re.finditer(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE)}


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_locks", LOCKS / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def asked_for(name: str, extras: tuple[str, ...]) -> list[Requirement]:
    """What the project asks a lock to have."""
    if name == "build":
        return [Requirement(line) for line in PROJECT["build-system"]["requires"]]
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("name", NAMES)
def test_every_package_has_a_version_and_every_version_a_hash(name: str) -> None:
    text = (LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    for block in blocks:
        assert re.match(r"[a-z0-9.-]+==\S+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", block), block
    assert len(blocks) == len(locked(name))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_project_asks_for_is_locked_within_its_bounds(name: str, make: ModuleType) -> None:
    versions = locked(name)
    for requirement in asked_for(name, make.EXTRAS):
        package = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate(IMAGE):
            continue
        if name == "cpu" and package == "onnxruntime-gpu":
            # The same without CUDA, under its other name.
            package = "onnxruntime"
        assert requirement.specifier.contains(versions[package]), f"{requirement} does not allow {versions[package]}"


def test_the_locks_differ_in_what_carries_cuda_alone() -> None:
    cpu, cuda = locked("cpu"), locked("cuda")
    assert (cpu.pop("torch").public, cpu.pop("onnxruntime")) == (cuda.pop("torch").public, cuda.pop("onnxruntime-gpu"))
    assert cpu.items() <= cuda.items()
    assert all(re.match("cuda-|nvidia-|triton$", package) for package in cuda.keys() - cpu.keys())
    assert not [package for package in cpu if re.match("cuda-|nvidia-|triton$", package)]


@pytest.mark.parametrize("name", ("cpu", "cuda"))
def test_what_an_extra_of_a_package_brings_is_locked_too(name: str, make: ModuleType) -> None:
    asked = [(one, extra) for one in asked_for(name, make.EXTRAS) for extra in one.extras]
    assert ("ray", "default") in {(one.name, extra) for one, extra in asked}
    for one, extra in asked:
        brought = [Requirement(line) for line in importlib.metadata.requires(one.name) or ()]
        needed = [part for part in brought if part.marker and part.marker.evaluate(IMAGE | {"extra": extra})]
        assert needed
        for part in needed:
            assert part.specifier.contains(locked(name)[canonicalize_name(part.name)], prereleases=True), str(part)


@pytest.mark.parametrize("name", ("cpu", "cuda"))
def test_no_tool_of_developers_and_no_attack_is_in_an_image(name: str, make: ModuleType) -> None:
    project = PROJECT["project"]["optional-dependencies"]
    assert not {"attacks", "dev"} & set(make.EXTRAS)
    ours = {Requirement(line).name for extra in make.EXTRAS for line in project[extra]}
    theirs = {Requirement(line).name for line in project["dev"]} - ours - {"pyyaml"}
    assert not {canonicalize_name(package) for package in theirs} & locked(name).keys()


def test_the_locks_are_for_the_python_of_the_image(dockerfile) -> None:
    version = re.search(r"python:(\d+\.\d+)", dockerfile.arguments["PYTHON_IMAGE"])
    assert version is not None
    assert f'"--python-version", "{version[1]}"' in (LOCKS / "make.py").read_text(encoding="utf-8")
    assert sys.version_info >= (3, 11)
