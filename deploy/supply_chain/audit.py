"""Known vulnerabilities of the packages in the image: `pip install pip-audit && python deploy/supply_chain/audit.py`.

Asks PyPI's advisories. Exit codes: 0 none is known but those of `accepted.toml`, 1 some are, 2 there is no pip-audit,
3 the advisories cannot be reached, 4 `accepted.toml` is not what it should be.
"""

import dataclasses
import datetime
import importlib.util
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lock import IMAGES, Locked, lock_of

NO_TOOL, UNREACHABLE, DAMAGED = 2, 3, 4
SECONDS = 120
ACCEPTED = Path(__file__).with_name("accepted.toml")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accepted:
    """A vulnerability that somebody has looked at.

    Attributes:
        until: the last day on which it is accepted.
        why: what keeps it from mattering.
    """

    id: str
    package: str
    until: datetime.date
    why: str

    def covers(self, package: str, names: Sequence[str], today: datetime.date) -> bool:
        """Whether it is this one, and today is not too late."""
        return self.package == package and self.id in names and today <= self.until


def read_accepted(path: Path) -> list[Accepted]:
    """What a file such as `accepted.toml` holds.

    Raises:
        ValueError: an entry lacks something, holds something else, or gives no reason.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    entries = document.get("accepted", [])
    if not document.keys() <= {"accepted"} or not (
        isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries)
    ):
        raise ValueError(f"{path}: it holds [[accepted]] and nothing else, and here are {', '.join(document)}")
    found = []
    for entry in entries:
        kinds = {"id": str, "package": str, "until": datetime.date, "why": str}
        if entry.keys() != kinds.keys() or not all(type(entry[name]) is kind for name, kind in kinds.items()):
            raise ValueError(f"{path}: each [[accepted]] has id, package, until (a day) and why, and one has {entry}")
        if not entry["why"].strip():
            raise ValueError(f"{path}: {entry['id']} gives no reason; say why it does not matter")
        found.append(Accepted(**entry))
    return found


def requirements(packages: Sequence[Locked]) -> str:
    """What is asked about. A build of its own, such as 2.13.0+cpu, is asked about as the version that it is of."""
    return "".join(f"{package.name}=={package.version.partition('+')[0]}\n" for package in packages)


def answer(
    report: Sequence[dict[str, Any]], accepted: Sequence[Accepted], today: datetime.date
) -> tuple[int, list[str]]:
    """The exit code and what to say.

    Args:
        report: `dependencies` of what pip-audit writes: each has `vulns`, or `skip_reason` where there was no answer.
    """
    found, known, used = [], [], set[Accepted]()
    for package, flaw in ((one, flaw) for one in report for flaw in one.get("vulns", ())):
        fixed = ", ".join(flaw["fix_versions"]) or "nothing"
        said = f"{package['name']} {package['version']}: {flaw['id']}, fixed in {fixed}"
        names = [flaw["id"], *flaw.get("aliases", ())]
        covering = [one for one in accepted if one.covers(package["name"], names, today)]
        if covering:
            used.update(covering)
            known.append(f"{said}; accepted until {covering[0].until}: {covering[0].why}")
        else:
            found.append(said)
    unknown = [package["name"] for package in report if "skip_reason" in package]
    if found:
        return 1, [*found, *known]
    if unknown or not report:
        # What is not known today says nothing of what is accepted in vain.
        silence = f"PyPI's advisories gave no answer about {len(unknown)} of {len(report)} packages"
        return UNREACHABLE, [silence, *known]
    vain = [
        f"{one.id} of {one.package} is accepted and not known any more; strike it"
        for one in accepted
        if one not in used
    ]
    return 0, [f"no {'other ' * bool(known)}vulnerability is known of {len(report)} packages", *known, *vain]


def main() -> int:
    """Ask about everything that some image has."""
    if importlib.util.find_spec("pip_audit") is None:
        print("there is no pip-audit: pip install pip-audit", file=sys.stderr)  # noqa: T201
        return NO_TOOL
    try:
        accepted = read_accepted(ACCEPTED)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return DAMAGED
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
                report = json.loads(out.read_text(encoding="utf-8"))["dependencies"]
                code, said = answer(report, accepted, datetime.datetime.now(tz=datetime.UTC).date())
    print("\n".join(said))  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
