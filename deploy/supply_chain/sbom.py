"""The bill of materials of an image's Python packages, in CycloneDX 1.6, from its lock."""

import hashlib
import json
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from licences import Licence
from lock import LOCKS, ROOT, Locked

NAMESPACE = uuid.UUID("b2e7f6a4-6a43-5d0a-9a55-2f0d7d0c6c11")


def bill(image: str, packages: Sequence[Locked], licences: Mapping[str, Licence]) -> str:
    """The document's text; the same lock gives the same text, serial number included.

    The hashes of the files stay in the lock, whose own hash is here: a package has one for each of its wheels.

    Args:
        image: the lock's name.
        packages: of the lock.
        licences: by NAME==VERSION.
    """
    lock = (LOCKS / f"{image}.txt").read_bytes()
    digest = hashlib.sha256(lock).hexdigest()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, own + digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"expression": project["license"]}],
                "purl": own,
            },
            "properties": [
                {"name": "isthmus:lock", "value": f"deploy/locks/{image}.txt"},
                {"name": "isthmus:lock:sha256", "value": digest},
            ],
        },
        "components": [_component(package, licences[f"{package.name}=={package.version}"]) for package in packages],
        "dependencies": _dependencies(own, packages),
    }
    return json.dumps(document, indent=1) + "\n"


def _component(package: Locked, licence: Licence) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": _purl(package),
        "name": package.name,
        "version": package.version,
        "purl": _purl(package),
    }
    if licence.words:
        words = {"expression": licence.words} if licence.is_expression else {"license": {"name": licence.words}}
        component["licenses"] = [words]
    return component


def _dependencies(own: str, packages: Sequence[Locked]) -> list[dict[str, Any]]:
    references = {"": own} | {package.name: _purl(package) for package in packages}
    return [
        {"ref": reference, "dependsOn": [_purl(package) for package in packages if name in package.needed_by]}
        for name, reference in references.items()
    ]


def _purl(package: Locked) -> str:
    # A version with a local part is on PyTorch's index alone.
    elsewhere = "?repository_url=https://download.pytorch.org/whl/cpu" if "+" in package.version else ""
    return f"pkg:pypi/{package.name}@{quote(package.version)}{elsewhere}"
