"""An OpenAPI 3.1 document in the words of 3.0, for viewers that know no other."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]

VERSION = "3.0.3"

EXAMPLE_IS_PLURAL = "examples"
"""Schemas of 3.1 have a list of examples; parameters and bodies of either version a mapping."""

NULL: Schema = {"type": "null"}


def in_30(document: Schema) -> Schema:
    """The same document; what 3.0 has no word for is said less exactly."""
    spoken: Schema = _spoken(document)
    spoken["openapi"] = VERSION
    spoken["info"] = {name: value for name, value in spoken["info"].items() if name != "summary"}
    return spoken


def _spoken(node: Any) -> Any:
    if isinstance(node, list):
        return [_spoken(item) for item in node]
    if not isinstance(node, dict):
        return node
    spoken = {name: value if name in ("example", "examples") else _spoken(value) for name, value in node.items()}
    for change in CHANGES:
        change(spoken)
    return spoken


def _nullable(node: Schema) -> None:
    options = node.get("anyOf")
    if not isinstance(options, list) or NULL not in options:
        return
    others = [option for option in options if option != NULL]
    del node["anyOf"]
    # Beside a reference nothing else counts in 3.0.
    if len(others) == 1 and "$ref" not in others[0]:
        node.update({name: value for name, value in others[0].items() if name not in node})
    elif len(others) == 1:
        node["allOf"] = others
    else:
        node["anyOf"] = others
    node["nullable"] = True


def _one_example(node: Schema) -> None:
    examples = node.get(EXAMPLE_IS_PLURAL)
    if isinstance(examples, list):
        del node[EXAMPLE_IS_PLURAL]
        if examples:
            node["example"] = examples[0]


def _constant(node: Schema) -> None:
    if "const" in node and not isinstance(node["const"], dict):
        node["enum"] = [node.pop("const")]


def _tuple(node: Schema) -> None:
    parts = node.get("prefixItems")
    if isinstance(parts, list):
        del node["prefixItems"]
        node["items"] = parts[0] if all(part == parts[0] for part in parts) else {}


def _bounds(node: Schema) -> None:
    for plain, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        bound = node.get(exclusive)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            node[plain], node[exclusive] = bound, True


CHANGES: tuple[Callable[[Schema], None], ...] = (_nullable, _one_example, _constant, _tuple, _bounds)
