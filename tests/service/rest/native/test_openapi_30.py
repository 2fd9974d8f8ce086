import pytest

from service.rest.docs.openapi_30 import in_30

INFO = {"title": "t", "version": "1"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
        (
            {"anyOf": [{"$ref": "#/a"}, {"type": "null"}], "title": "T"},
            {"allOf": [{"$ref": "#/a"}], "title": "T", "nullable": True},
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": True},
        ),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"examples": [1, 2]}, {"example": 1}),
        ({"examples": {"one": {"value": {"anyOf": []}}}}, {"examples": {"one": {"value": {"anyOf": []}}}}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"prefixItems": [{"type": "integer"}] * 3, "minItems": 3}, {"items": {"type": "integer"}, "minItems": 3}),
        ({"prefixItems": [{"type": "integer"}, {"type": "string"}]}, {"items": {}}),
        ({"exclusiveMinimum": 0, "maximum": 5}, {"minimum": 0, "exclusiveMinimum": True, "maximum": 5}),
        ({"properties": {"minimum": {"const": 1}}}, {"properties": {"minimum": {"enum": [1]}}}),
    ],
)
def test_each_word_of_31_has_one_of_30(schema, expected):
    document = {"openapi": "3.1.0", "info": INFO, "components": {"schemas": {"A": schema}}}
    spoken = in_30(document)
    assert spoken["components"]["schemas"]["A"] == expected
    assert spoken["openapi"] == "3.0.3"


def test_the_document_itself_stays_as_it_is():
    document = {"openapi": "3.1.0", "info": INFO | {"summary": "s"}, "x": {"const": 1}}
    assert in_30(document)["info"] == INFO
    assert document == {"openapi": "3.1.0", "info": INFO | {"summary": "s"}, "x": {"const": 1}}


def test_nothing_of_31_is_left_in_what_the_page_shows(client):
    def words(node):
        if isinstance(node, list):
            return set().union(*map(words, node))
        if isinstance(node, dict):
            pairs = {name: value for name, value in node.items() if name not in ("example", "properties")}
            return set(pairs).union(*map(words, pairs.values()), *map(words, node.get("properties", {}).values()))
        return {node} if node == "null" else set()

    assert not words(client.get("/docs/openapi.json").json()) & {"null", "const", "prefixItems"}
