"""Builds the wheel and prints its SHA-256: `pip install hatchling && python deploy/supply_chain/wheel.py DIR`.

The same sources give the same bytes wherever, whenever and by whomever they are built: entries are sorted, their times
and permissions fixed. It takes the same hatchling (deploy/locks/build.txt), whose version the wheel names, and a Python
with the same zlib.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TIME = "1580601600"
"""Seconds; of every entry: 2 February 2020, as hatchling has it where nothing is said."""


def built(sources: Path, out: Path) -> Path:
    """The wheel of a source tree, built into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out.absolute())]
    environment = os.environ | {"SOURCE_DATE_EPOCH": TIME}
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(
            f"the wheel could not be built; is hatchling installed (pip install hatchling)?\n{done.stderr}"
        )
    (wheel,) = out.glob("*.whl")
    return wheel


def main(out: Path) -> None:
    """Build, and print the line that `sha256sum --check` takes."""
    out.mkdir(parents=True, exist_ok=True)
    wheel = built(ROOT, out)
    print(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist"))
