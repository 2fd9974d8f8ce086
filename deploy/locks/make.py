"""Makes the lock files of the container image again: `pip install uv && python deploy/locks/make.py`.

Versions that are locked already stay where they still fit pyproject.toml; further arguments go to `uv pip compile`, so
`--upgrade` takes the newest of all, and `--upgrade-package NAME` of one. Files that one version is published in have
their hashes in the lock, and pip takes no other. `python deploy/supply_chain/make.py` has to follow.
"""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LOCKS = Path("deploy/locks")
EXTRAS = ("onnx", "s3", "gcs", "http", "ray", "tracing")
"""Of the image: whatever `serve` and `audit` can use."""

TORCH_PAGE = "https://download.pytorch.org/whl/cpu/torch/"
"""Where the CPU build of torch is found, unless PIP_FIND_LINKS names a folder that has it."""


def compile_lock(name: str, inputs: Sequence[str], options: Sequence[str], given: str | None = None) -> None:
    """Write one lock, for Linux on x86-64 and the image's Python.

    Args:
        name: of the lock, without its suffix.
        inputs: files of requirements, relative to the root; "-" for what is `given`.
        options: of `uv pip compile`.
        given: requirements that stand in no file of their own.
    """
    platform = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:")
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", *platform]
    command += ["--custom-compile-command", "python deploy/locks/make.py", "--output-file", str(LOCKS / f"{name}.txt")]
    subprocess.run([*command, *options, *inputs], cwd=ROOT, check=True, input=given, text=True)


def main(options: Sequence[str]) -> None:
    """Write every lock; `options` go to uv."""
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    torch = os.environ.get("PIP_FIND_LINKS") or TORCH_PAGE
    overridden = ("--find-links", torch, "--override", str(LOCKS / "cpu-overrides.in"))
    compile_lock("cuda", ["pyproject.toml"], [*extras, *options])
    compile_lock("cpu", ["pyproject.toml", str(LOCKS / "cpu.in")], [*extras, *overridden, *options])
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    compile_lock("build", ["-"], options, given="\n".join(backend))


if __name__ == "__main__":
    main(sys.argv[1:])
