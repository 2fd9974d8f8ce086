import base64
import json
import re

import pytest
from asking.waiting import wait_for

from service.rest.events import sink as event_sink

REQUEST = "org.kubeflow.serving.inference.request"
HEADERS = {
    "ce-id": "e1",
    "ce-source": "/x",
    "ce-type": REQUEST,
    "ce-specversion": "1.0",
    "content-type": "application/json",
}


@pytest.fixture
def told(client, monkeypatch):
    """What was judged of events."""
    said = []
    observability = client.app.state.runtime.observability
    judged = observability.judged

    def listening(**what):
        if what["source"] == "event":
            said.append(what)
        judged(**what)

    monkeypatch.setattr(observability, "judged", listening)
    return said


def payload(digit, *indices: int, **changes):
    data = [base64.b64encode(digit(index)).decode() for index in indices]
    return {"inputs": [{"name": "image", "shape": [len(data)], "datatype": "BYTES", "data": data} | changes]}


def test_a_binary_event_is_judged_under_its_id(client, digit, told) -> None:
    response = client.post("/v1/events", headers=HEADERS | {"ce-id": "abc-1"}, json=payload(digit, 0, 1))
    assert (response.status_code, response.content) == (202, b"")
    [said] = wait_for(told, 1)
    assert (said["request_id"], said["source"], len(said["verdicts"])) == ("abc-1", "event", 2)
    assert (said["key_id"], said["bundle"].name) == ("anonymous", "digits")


def test_a_structured_event_is_judged_and_its_data_may_be_base64(client, digit, told) -> None:
    event = {
        "specversion": "1.0",
        "type": REQUEST,
        "source": "/x",
        "id": "s1",
        "time": "2026-01-31T12:00:00.123456789Z",
    }
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
    encoded = base64.b64encode(json.dumps(payload(digit, 3)).encode()).decode()
    for data in ({"data": payload(digit, 3)}, {"data_base64": encoded, "datacontenttype": "application/json"}):
        response = client.post("/v1/events", headers=headers, content=json.dumps(event | data))
        assert response.status_code == 202, response.text
    digests = [said["digests"] for said in wait_for(told, 2)]
    assert digests[0] == digests[1]


def test_pixels_are_found_by_their_shape_whatever_the_tensor_is_called(client, told) -> None:
    inputs = [
        {"name": "mask", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]},
        {"name": "input-0", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0.5] * 64},
    ]
    assert client.post("/v1/events", headers=HEADERS, json={"inputs": inputs}).status_code == 202
    [said] = wait_for(told, 1)
    assert len(said["verdicts"]) == 1


def test_instances_of_version_one_are_files_or_pixels_in_either_order_of_axes(client, digit, told) -> None:
    encoded = base64.b64encode(digit(1)).decode()
    pixels = [[[0.25] * 8] * 8]
    for instances in (
        [{"b64": encoded}, {"image_bytes": {"b64": encoded}}],
        [pixels, pixels],
        [[[[0.25]] * 8] * 8] * 2,
    ):
        assert client.post("/v1/events", headers=HEADERS, json={"instances": instances}).status_code == 202
    said = wait_for(told, 3)
    assert [len(one["verdicts"]) for one in said] == [2, 2, 2]
    assert said[1]["digests"] == said[2]["digests"]


def test_an_image_that_cannot_be_decoded_does_not_spoil_the_others(client, digit, told) -> None:
    data = [base64.b64encode(content).decode() for content in (b"no image", digit(0))]
    assert client.post("/v1/events", headers=HEADERS, json=payload(digit, 0, 0, data=data)).status_code == 202
    [said] = wait_for(told, 1)
    assert said["positions"] == [1]


def test_responses_and_other_events_are_taken_and_passed_over(client, told, digit) -> None:
    for kind in ("org.kubeflow.serving.inference.response", "com.example.other"):
        response = client.post("/v1/events", headers=HEADERS | {"ce-type": kind}, content=b"anything \xff")
        assert response.status_code == 202
    event = {"specversion": "1.0", "type": "com.example.other", "source": "/x", "id": "1", "data": [1]}
    headers = {"Content-Type": "application/cloudevents+json"}
    assert client.post("/v1/events", headers=headers, content=json.dumps(event)).status_code == 202
    client.post("/v1/events", headers=HEADERS, json=payload(digit, 0))
    assert len(wait_for(told, 1)) == 1
    assert 'isthmus_events_total{outcome="ignored"} 3.0' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"ce-id": None}, None, 400),
        ({"ce-source": None}, None, 400),
        ({"ce-type": None}, None, 400),
        ({"ce-specversion": None}, None, 400),
        ({"ce-specversion": "0.3"}, None, 400),
        ({"ce-id": ""}, None, 400),
        ({"ce-id": "%ff"}, None, 400),
        ({"ce-id": "x" * 2000}, None, 400),
        ({"ce-time": "yesterday"}, None, 400),
        ({"ce-bad_name": "x"}, None, 400),
        ({}, b"", 400),
        ({}, b"{", 400),
        ({}, b"[]", 400),
        ({}, b"{}", 400),
        ({}, b'{"inputs": {}}', 400),
        ({}, b'{"inputs": []}', 400),
        ({}, b'{"inputs": [5]}', 400),
        ({}, b'{"inputs": [{"name": "image"}]}', 400),
        ({}, b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}', 400),
        ({}, b'{"instances": []}', 400),
        ({}, b'{"instances": {}}', 400),
        ({}, b'{"instances": [1, 2]}', 400),
        ({}, b'{"instances": [{"b64": 5}]}', 400),
        ({}, b'{"instances": [{"b64": "!"}]}', 400),
        ({}, b'{"instances": [{"b64": {"b64": {}}}]}', 400),
        ({}, json.dumps({"instances": [[[[2.0] * 8] * 8]]}).encode(), 400),
        ({}, json.dumps({"instances": [[[["x"] * 8] * 8]]}).encode(), 400),
        ({}, json.dumps({"instances": [[[[10**400] * 8] * 8]]}).encode(), 400),
        ({}, json.dumps({"instances": [[[[10**300] * 8] * 8]]}).encode(), 400),
        ({}, json.dumps({"instances": [{"b64": ""}] * 100}).encode(), 413),
        ({"content-type": "application/octet-stream"}, None, 415),
        ({"content-type": "application/cloudevents-batch+json"}, b"[]", 415),
        ({"content-type": "application/cloudevents+json"}, b"[]", 400),
        ({"content-type": "application/cloudevents+json"}, b'{"id": {}}', 400),
        (
            {"content-type": "application/cloudevents+json"},
            json.dumps(
                {"specversion": "1.0", "type": REQUEST, "source": "x", "id": "1", "data": {}, "data_base64": "e30="}
            ).encode(),
            400,
        ),
    ],
)
def test_malformed_events_are_refused(client, digit, headers, body, status) -> None:
    sent = {name: value for name, value in (HEADERS | headers).items() if value is not None}
    content = json.dumps(payload(digit, 0)).encode() if body is None else body
    response = client.post("/v1/events", headers=sent, content=content)
    assert (response.status_code, set(response.json())) == (status, {"error"})


def test_an_unknown_bundle_is_not_found_and_an_unknown_service_takes_the_default(client, digit, told) -> None:
    assert client.post("/v1/events?bundle=nobody", headers=HEADERS, json=payload(digit, 0)).status_code == 404
    headers = HEADERS | {"ce-inferenceservicename": "somebody"}
    assert client.post("/v1/events", headers=headers, json=payload(digit, 0)).status_code == 202
    wait_for(told, 1)


def test_where_too_many_wait_the_answer_is_429_and_comes_at_once(client, digit, monkeypatch) -> None:
    monkeypatch.setattr(event_sink, "MOST_EVENTS", 0)
    sink = client.app.state.events
    with sink._changed:
        sink._waiting.append(None)
    try:
        response = client.post("/v1/events", headers=HEADERS, json=payload(digit, 0))
    finally:
        with sink._changed:
            sink._waiting.clear()
    assert (response.status_code, "Retry-After" in response.headers) == (429, True)
    counted = re.findall(r'isthmus_rejected_total\{reason="(\w+)"\} (\S+)', client.get("/metrics").text)
    assert ("events", "1.0") in counted
    assert "queue" not in dict(counted)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/audits", "/v1/feedback"])
def test_json_that_only_keeps_the_parser_busy_is_too_large_wherever_it_comes(client, path) -> None:
    headers = HEADERS | {"Content-Type": "application/json"}
    response = client.post(path, headers=headers, content=b'{"folder": [' + b"[]," * 1_000_000 + b"0]}")
    assert response.status_code == 413
