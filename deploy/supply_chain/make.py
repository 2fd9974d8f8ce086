"""Makes what stands beside it from the locks again: `pip install 'pip>=25' && python deploy/supply_chain/make.py`.

licences.json says what the metadata of every locked package says of its licence (asked of the registry; no package is
downloaded whole where it serves the metadata apart); LICENCES.md and the two sbom-*.cdx.json follow from that and the
locks. The Python that runs it is the image's, 3.11 on Linux and x86-64: pip asks about files for itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from licences import Licence, licence_of, page, read, serialised
from lock import IMAGES, Locked, lock_of
from sbom import bill

HERE = Path(__file__).parent
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def where(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Options that tell pip where the CPU build of torch is, unless PIP_FIND_LINKS names a folder that has it."""
    return () if environment.get("PIP_FIND_LINKS") else ("--extra-index-url", TORCH_INDEX)


def asked(packages: Sequence[Locked]) -> dict[str, Licence]:
    """What the registry's metadata says, by NAME==VERSION."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
        names = [f"{package.name}=={package.version}" for package in packages]
        command += where(os.environ)
        subprocess.run([*command, "--only-binary", ":all:", "--report", str(report), *names], check=True)
        installs = json.loads(report.read_text(encoding="utf-8"))["install"]
    said = {install["metadata"]["name"].lower().replace("_", "-"): install["metadata"] for install in installs}
    return {name: licence_of(said[package.name]) for name, package in zip(names, packages, strict=True)}


def written(licences: Mapping[str, Licence]) -> dict[str, str]:
    """What follows from the locks and licences.json: files of this folder and their texts."""
    bills = {f"sbom-{image}.cdx.json": bill(image, lock_of(image), licences) for image in IMAGES}
    return {"LICENCES.md": page({image: lock_of(image) for image in IMAGES}, licences), **bills}


def main() -> None:
    """Ask, and write everything."""
    first, second = (lock_of(image) for image in IMAGES)
    known = {(package.name, package.version) for package in first}
    licences = asked(first) | asked([package for package in second if (package.name, package.version) not in known])
    (HERE / "licences.json").write_text(serialised(licences), encoding="utf-8")
    for name, text in written(read(HERE / "licences.json")).items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
