import asyncio
import contextlib
import json
import re

import pytest

from service.rest.docs import routes as docs
from service.rest.schemas import EXAMPLE_DETECTION, EXAMPLE_IMAGE, DetectBody, DetectResponse


def test_the_page_asks_no_other_host_and_runs_nothing_inline(client):
    page = client.get("/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    for address in addresses:
        assert client.get(f"/{address}").status_code == 200, address
    assert not re.search(r"<script>|\son\w+=|style=|https?://", page)
    assert "http" not in client.get("/docs/assets/start.js").text


@pytest.mark.parametrize("name", ["index.html", "..%2f__init__.py", "%2e%2e/docs.py", "x"])
def test_no_other_file_is_served(client, name):
    assert client.get(f"/docs/assets/{name}").status_code == 404


def test_every_operation_is_named_grouped_and_documents_its_errors(client):
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} == {"detect", "listBundles", "getBundle"}
    for operation in operations:
        assert operation["tags"]
        assert "422" not in operation["responses"]
        for code in set(operation["responses"]) - {"200"}:
            schema = operation["responses"][code]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}
    detect = document["paths"]["/v1/detect"]["post"]
    assert set(detect["responses"]) == {"200", "400", "401", "404", "408", "413", "415", "429", "503", "504"}
    assert set(detect["requestBody"]["content"]) == {
        "multipart/form-data",
        "image/*",
        "application/octet-stream",
        "application/json",
    }
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_the_document_is_written_once_and_does_not_hold_up_the_event_loop(client, monkeypatch):
    written_beside_loops = []

    def ours(schema):
        with contextlib.suppress(RuntimeError):
            written_beside_loops.append(asyncio.get_running_loop())
        written_beside_loops.append(None)
        return schema

    monkeypatch.setattr(docs, "_ours", ours)
    for path in ("/openapi.json", "/docs/openapi.json", "/openapi.json"):
        assert client.get(path).json()["openapi"] == ("3.0.3" if path.startswith("/docs") else "3.1.0")
    assert written_beside_loops == [None]


def test_every_reference_leads_somewhere(client):
    document = client.get("/openapi.json").json()
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


def test_the_examples_are_valid_and_the_image_can_be_judged(client):
    DetectResponse.model_validate(EXAMPLE_DETECTION, strict=True)
    example = DetectBody.model_config["json_schema_extra"]["examples"][0]
    assert example["images"][0]["data"] == EXAMPLE_IMAGE
    assert client.post("/v1/detect", json=example).status_code == 200
