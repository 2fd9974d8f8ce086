"""Known vulnerabilities of the packages in the image: `pip install pip-audit && python deploy/supply_chain/audit.py`.

Asks PyPI's advisories. Exit codes: 0 none is known, 1 some are, 2 there is no pip-audit, 3 the advisories
cannot be reached.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lock import IMAGES, Locked, lock_of

NO_TOOL, UNREACHABLE = 2, 3
SECONDS = 120


def requirements(packages: Sequence[Locked]) -> str:
    """What is asked about. A build of its own, such as 2.13.0+cpu, is asked about as the version that it is of."""
    return "".join(f"{package.name}=={package.version.partition('+')[0]}\n" for package in packages)


def answer(report: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code and what to say.

    Args:
        report: `dependencies` of what pip-audit writes: each has `vulns`, or `skip_reason` where there was no answer.
    """
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'nothing'}"
        for package in report
        for flaw in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in report if "skip_reason" in package]
    if found:
        return 1, found
    if unknown or not report:
        return UNREACHABLE, [f"PyPI's advisories gave no answer about {len(unknown)} of {len(report)} packages"]
    return 0, [f"no vulnerability is known of {len(report)} packages"]


def main() -> int:
    """Ask about everything that some image has."""
    if importlib.util.find_spec("pip_audit") is None:
        print("there is no pip-audit: pip install pip-audit", file=sys.stderr)  # noqa: T201
        return NO_TOOL
    packages = {(package.name, package.version): package for image in IMAGES for package in lock_of(image)}
    # torch is in both, as two builds of one version.
    lines = sorted(set(requirements(list(packages.values())).splitlines()))
    with tempfile.TemporaryDirectory() as folder:
        listed, out = Path(folder, "packages.txt"), Path(folder, "report.json")
        listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
        command += ["--timeout", "10", "-f", "json", "-o", str(out), "-r", str(listed)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            code, said = UNREACHABLE, [f"PyPI's advisories gave no answer in {SECONDS} seconds"]
        else:
            if not out.exists():
                code, said = UNREACHABLE, run.stderr.strip().splitlines()[-1:]
            else:
                code, said = answer(json.loads(out.read_text(encoding="utf-8"))["dependencies"])
    print("\n".join(said))  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
