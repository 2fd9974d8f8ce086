"""Blocks that are no commands: Python, SPEC.toml, YAML, JSON."""

import ast
import importlib
import importlib.util
import json
import tempfile
import tomllib
from pathlib import Path

import jsonschema
import yaml

CHART = Path(__file__).parents[4] / "deploy" / "helm" / "isthmus"

SOLD_SEPARATELY = frozenset({"fiftyone"})
"""Packages that a page is about and that nothing here needs."""


def problems_of_python(text: str) -> list[str]:
    """Whether it compiles, and what it imports is there."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return [f"Python: {error}"]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [problem for alias in node.names for problem in _problems_of_import(alias.name, [])]
        elif isinstance(node, ast.ImportFrom):
            found += _problems_of_import(node.module or "", [alias.name for alias in node.names])
    return found


def _problems_of_import(module: str, names: list[str]) -> list[str]:
    top = module.partition(".")[0]
    if top in SOLD_SEPARATELY:
        return []
    if importlib.util.find_spec(top) is None or importlib.util.find_spec(module) is None:
        return [f"Python: there is no module {module}"]
    if top not in {"service", "detector", "models"}:
        return []
    there = importlib.import_module(module)
    return [f"Python: {module} has no {name}" for name in names if not hasattr(there, name)]


def problems_of_toml(text: str) -> list[str]:
    """Whether it is a SPEC.toml, or names keys that one has."""
    from models.errors import ModelError  # noqa: PLC0415
    from models.spec_file import Spec, read_spec  # noqa: PLC0415

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [f"TOML: {error}"]
    if not {"name", "input_size"} <= table.keys():
        return [f"TOML: a spec has no {key}" for key in table if key not in Spec.model_fields]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "SPEC.toml"
        file.write_text(text, encoding="utf-8")
        try:
            read_spec(file)
        except ModelError as error:
            return [f"TOML: {error}"]
    return []


def problems_of_yaml(text: str) -> list[str]:
    """Whether it can be read, and the chart takes it where it is called values.yaml."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        return [f"YAML: {error}"]
    if not text.startswith("# values.yaml"):
        return []
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return [f"values.yaml: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(documents[0])]


def problems_of_json(text: str) -> list[str]:
    """Whether it can be read."""
    try:
        json.loads(text)
    except ValueError as error:
        return [f"JSON: {error}"]
    return []
