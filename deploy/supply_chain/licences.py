"""What the image's packages say of their licences, and which of it somebody has read and allowed."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lock import Locked

LONGEST_NAME = 60
"""Characters; what is longer is a licence's text, not its name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Licence:
    """In a package's own words; "" where it says nothing.

    Attributes:
        is_expression: whether they are an SPDX expression of the metadata's field for it.
    """

    words: str
    is_expression: bool


def licence_of(metadata: Mapping[str, Any]) -> Licence:
    """From a package's core metadata, as pip's report has it."""
    if expression := metadata.get("license_expression"):
        return Licence(words=expression, is_expression=True)
    named = (metadata.get("license") or "").strip()
    if named and len(named) <= LONGEST_NAME and "\n" not in named:
        return Licence(words=named, is_expression=False)
    classifiers = [words for words in metadata.get("classifier", ()) if words.startswith("License ::")]
    return Licence(words=", ".join(words.split(" :: ")[-1] for words in classifiers), is_expression=False)


def serialised(licences: Mapping[str, Licence]) -> str:
    """The text of licences.json."""
    return json.dumps({name: dataclasses.asdict(licences[name]) for name in sorted(licences)}, indent=1) + "\n"


def read(path: Path) -> dict[str, Licence]:
    """What `serialised` wrote, by NAME==VERSION."""
    return {name: Licence(**entry) for name, entry in json.loads(path.read_text(encoding="utf-8")).items()}


def refused(packages: Sequence[Locked], licences: Mapping[str, Licence], allowed: str) -> list[str]:
    """Packages whose licence nobody has allowed, with what is wrong.

    Args:
        packages: of a lock.
        licences: by NAME==VERSION.
        allowed: the text of allowed.toml.
    """
    table = tomllib.loads(allowed)
    problems = []
    for package in packages:
        words = licences[f"{package.name}=={package.version}"].words
        alone = table["packages"].get(package.name)
        if words not in table["licences"] and (alone is None or alone["says"] != words):
            problems.append(f"{package.name} {package.version}: {words or 'says nothing of a licence'}")
    return problems


def page(locks: Mapping[str, Sequence[Locked]], licences: Mapping[str, Licence]) -> str:
    """LICENCES.md: a table of all packages of all images.

    Args:
        locks: of each image, by its name.
        licences: by NAME==VERSION.
    """
    images: dict[tuple[str, str], list[str]] = {}
    for image, packages in locks.items():
        for package in packages:
            images.setdefault((package.name, package.version), []).append(image)
    rows = [
        f"| {name} | {version} | {licences[f'{name}=={version}'].words or '–'} | {', '.join(where)} |"
        for (name, version), where in sorted(images.items())
    ]
    head = [
        "# Licences of the packages in the image",
        "",
        "In their own words, from their metadata. `python deploy/supply_chain/make.py` makes this page;",
        "[allowed.toml](allowed.toml) says which words are allowed and what was found out about the odd ones.",
        "",
        "| package | version | licence | image |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"
