import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parent.parent.parent.parent
FOLDER = ROOT / "deploy" / "supply_chain"
IMAGES = ("cpu", "cuda")
TODAY = datetime.date(2026, 12, 1)


@pytest.fixture(scope="module")
def scripts() -> Iterator[SimpleNamespace]:
    """The scripts of the folder, which import each other as they do when they are run."""
    names = ("lock", "licences", "sbom", "make", "audit", "wheel")
    sys.path.insert(0, str(FOLDER))
    before = {name: sys.modules.pop(name, None) for name in names}
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    sys.path.remove(str(FOLDER))
    for name, module in before.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


def test_what_follows_from_the_locks_is_up_to_date(scripts: SimpleNamespace) -> None:
    licences = scripts.licences.read(FOLDER / "licences.json")
    for name, text in scripts.make.written(licences).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: run {scripts.make.__file__}"


def test_every_locked_package_has_its_licence_asked_for_and_nothing_else_has(scripts: SimpleNamespace) -> None:
    locked = {f"{package.name}=={package.version}" for image in IMAGES for package in scripts.lock.lock_of(image)}
    assert scripts.licences.read(FOLDER / "licences.json").keys() == locked


@pytest.mark.parametrize("image", IMAGES)
def test_every_licence_was_read_by_somebody(scripts: SimpleNamespace, image: str) -> None:
    licences = scripts.licences.read(FOLDER / "licences.json")
    allowed = (FOLDER / "allowed.toml").read_text(encoding="utf-8")
    assert scripts.licences.refused(scripts.lock.lock_of(image), licences, allowed) == []


def test_nothing_is_allowed_that_no_package_has(scripts: SimpleNamespace) -> None:
    licences = scripts.licences.read(FOLDER / "licences.json")
    allowed = tomllib.loads((FOLDER / "allowed.toml").read_text(encoding="utf-8"))
    assert set(allowed["licences"]) <= {licence.words for licence in licences.values()}
    assert set(allowed["packages"]) <= {name.partition("==")[0] for name in licences}


def test_the_cpu_image_has_no_proprietary_package(scripts: SimpleNamespace) -> None:
    licences = scripts.licences.read(FOLDER / "licences.json")
    words = [licences[f"{package.name}=={package.version}"].words for package in scripts.lock.lock_of("cpu")]
    assert not [word for word in words if "proprietary" in word.lower()]


def test_a_licence_that_nobody_read_is_told(scripts: SimpleNamespace) -> None:
    package = scripts.lock.Locked(name="odd", version="1", hashes=(), needed_by=())
    allowed = 'licences = ["MIT"]\n[packages]\nodd = { says = "ask me", known = "asked" }\n'
    known = scripts.licences.Licence(words="ask me", is_expression=False)
    other = scripts.licences.Licence(words="AGPL-3.0-only", is_expression=True)
    assert scripts.licences.refused([package], {"odd==1": known}, allowed) == []
    assert scripts.licences.refused([package], {"odd==1": other}, allowed) == ["odd 1: AGPL-3.0-only"]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"license_expression": "MIT OR ISC", "license": "MIT"}, "MIT OR ISC"),
        ({"license": "BSD", "classifier": ["License :: OSI Approved :: MIT License"]}, "BSD"),
        (
            {"license": "A long text\nof a licence", "classifier": ["License :: OSI Approved :: MIT License"]},
            "MIT License",
        ),
        ({"classifier": ["Topic :: Security"]}, ""),
    ],
)
def test_a_licence_is_said_in_the_package_s_own_words(scripts: SimpleNamespace, metadata: dict, words: str) -> None:
    assert scripts.licences.licence_of(metadata).words == words


def test_a_lock_is_read_as_it_was_written(scripts: SimpleNamespace) -> None:
    text = (
        "# made by hand\na-b==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via\n"
        "    #   isthmus (pyproject.toml)\n    #   c\n"
        "c==2+cpu \\\n    --hash=sha256:22\n    # via isthmus (pyproject.toml)\n"
    )
    first, second = scripts.lock.locked(text)
    assert (first.name, first.version, first.hashes, first.needed_by) == ("a-b", "1.0", ("00", "11"), ("", "c"))
    assert (second.name, second.version, second.hashes, second.needed_by) == ("c", "2+cpu", ("22",), ("",))


@pytest.mark.parametrize("image", IMAGES)
def test_the_bill_of_materials_is_what_cyclonedx_takes(image: str) -> None:
    text = (FOLDER / f"sbom-{image}.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("image", IMAGES)
def test_the_bill_of_materials_has_every_package_and_each_hangs_on_the_project(
    scripts: SimpleNamespace, image: str
) -> None:
    bill = json.loads((FOLDER / f"sbom-{image}.cdx.json").read_text(encoding="utf-8"))
    packages = {(package.name, package.version) for package in scripts.lock.lock_of(image)}
    assert {(component["name"], component["version"]) for component in bill["components"]} == packages
    below = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    reached, ahead = set(), [bill["metadata"]["component"]["bom-ref"]]
    while ahead:
        reference = ahead.pop()
        if reference not in reached:
            reached.add(reference)
            ahead += below[reference]
    assert len(reached) == len(packages) + 1


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "no vulnerability is known of 1 packages"),
        (
            [
                {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]},
                {"name": "b", "skip_reason": "unknown"},
            ],
            1,
            "a 1: CVE-1, fixed in 2",
        ),
        ([{"name": "a", "skip_reason": "unknown"}], 3, "PyPI's advisories gave no answer about 1 of 1 packages"),
        ([], 3, "PyPI's advisories gave no answer about 0 of 0 packages"),
    ],
)
def test_silence_of_the_advisories_is_not_taken_for_safety(
    scripts: SimpleNamespace, report: list, code: int, said: str
) -> None:
    assert scripts.audit.answer(report, [], TODAY) == (code, [said])


FLAWED = [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2"]}]}]


@pytest.mark.parametrize(
    ("name", "package", "until", "code"),
    [
        ("PYSEC-1", "a", "2026-12-01", 0),
        ("CVE-1", "a", "2026-12-02", 0),
        ("PYSEC-1", "a", "2026-11-30", 1),
        ("PYSEC-1", "b", "2026-12-01", 1),
        ("PYSEC-2", "a", "2026-12-01", 1),
    ],
    ids=["its last day", "by another name", "too late", "of another package", "another one"],
)
def test_what_somebody_has_looked_at_is_accepted_until_its_day(
    scripts: SimpleNamespace, tmp_path: Path, name: str, package: str, until: str, code: int
) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f'[[accepted]]\nid = "{name}"\npackage = "{package}"\nuntil = {until}\nwhy = "never opened"\n')
    found, said = scripts.audit.answer(FLAWED, scripts.audit.read_accepted(path), TODAY)
    assert found == code
    flaw = "a 1: PYSEC-1, fixed in 2"
    accepted = ["no other vulnerability is known of 1 packages", f"{flaw}; accepted until {until}: never opened"]
    assert said == ([flaw] if code else accepted)


@pytest.mark.parametrize(
    "entry",
    [
        'id = "CVE-1"\npackage = "a"\nuntil = 2026-12-01',
        'id = "CVE-1"\npackage = "a"\nuntil = 2026-12-01\nwhy = " "',
        'id = "CVE-1"\npackage = "a"\nuntil = "2026-12-01"\nwhy = "b"',
        'id = "CVE-1"\npackage = "a"\nuntil = 2026-12-01T00:00:00\nwhy = "b"',
    ],
    ids=["no reason", "an empty one", "a day in quotes", "a moment"],
)
def test_nothing_is_accepted_without_a_day_and_a_reason(scripts: SimpleNamespace, tmp_path: Path, entry: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f"[[accepted]]\n{entry}\n")
    with pytest.raises(ValueError, match=r"accepted\.toml: "):
        scripts.audit.read_accepted(path)


@pytest.mark.parametrize("content", ["[accepted]\n", 'accepted = ["CVE-1"]\n', "[[acceptd]]\n", "accepted = ["])
def test_a_list_that_is_none_has_an_exit_code_of_its_own(
    scripts: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str,
) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(content)
    monkeypatch.setattr(scripts.audit, "ACCEPTED", path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert scripts.audit.main() == scripts.audit.DAMAGED == 4
    assert capsys.readouterr().err


def test_what_is_accepted_in_vain_is_said(scripts: SimpleNamespace) -> None:
    gone = scripts.audit.Accepted(id="CVE-2", package="b", until=TODAY, why="never opened")
    code, (_, said) = scripts.audit.answer([{"name": "b", "version": "1", "vulns": []}], [gone], TODAY)
    assert (code, said) == (0, "CVE-2 of b is accepted and not known any more; strike it")


def test_what_is_accepted_is_locked_in_some_image(scripts: SimpleNamespace) -> None:
    locked = {package.name for image in scripts.lock.IMAGES for package in scripts.lock.lock_of(image)}
    assert {one.package for one in scripts.audit.read_accepted(scripts.audit.ACCEPTED)} <= locked


def test_the_cpu_build_of_torch_is_asked_for_where_the_image_gets_it(scripts: SimpleNamespace, dockerfile) -> None:
    (stage,) = [stage for stage in dockerfile.stages if stage.name == "dependencies-cpu"]
    assert [argument.rest for argument in stage.all("ARG")] == [f"TORCH_INDEX={scripts.make.TORCH_INDEX}"]
    assert scripts.make.where({}) == ("--extra-index-url", scripts.make.TORCH_INDEX)
    assert scripts.make.where({"PIP_FIND_LINKS": "/wheels"}) == ()


def test_a_missing_tool_is_not_taken_for_silence(
    scripts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert scripts.audit.main() == scripts.audit.NO_TOOL
    assert "pip install pip-audit" in capsys.readouterr().err


@pytest.mark.slow
def test_two_builds_elsewhere_at_another_time_with_other_rights_are_the_same_bytes(
    scripts: SimpleNamespace, tmp_path: Path
) -> None:
    wheels = []
    for name, umask, moment in (("here", 0o022, 1_000_000_000), ("elsewhere/deeper", 0o077, 1_700_000_000)):
        before = os.umask(umask)
        try:
            sources = tmp_path / name
            for package in ("service", "detector", "models"):
                shutil.copytree(ROOT / package, sources / package, copy_function=shutil.copyfile)
            for file in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copyfile(ROOT / file, sources / file)
            for path in sources.rglob("*"):
                os.utime(path, (moment, moment))
            wheels.append(scripts.wheel.built(sources, sources / "dist"))
        finally:
            os.umask(before)
    first, second = (wheel.read_bytes() for wheel in wheels)
    assert first == second


@pytest.mark.slow
def test_the_command_prints_what_sha256sum_checks(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "wheel.py"), str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    checked = subprocess.run(["sha256sum", "--check"], input=printed, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
