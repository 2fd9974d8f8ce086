import asyncio
import base64
import inspect
import json
import subprocess
import sys

import httpx
import pytest

from service.client import AsyncClient, Client, IsthmusError, Retries
from service.client_calls import bundles_call
from service.rest.schemas import EXAMPLE_DETECTION

URL = "http://localhost"
PROMPT = Retries(attempts=3, first_pause=0.0, longest_pause=0.0)

AUDIT = {"id": "a/b", "state": "running", "counts": {"files": 3}}

BUNDLE = {
    "name": "digits",
    "digest": "d",
    "classifier": "c",
    "labels": ["0"],
    "input_shape": [1, 8, 8],
    "false_positive_rate": 0.05,
    "smallest_false_positive_rate": 0.01,
    "new": 1,
}


class Server:
    """Answers with what it is given, one after the other, the last one for ever; remembers what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, content, *headers = answer
        return httpx.Response(status, json=content, headers=dict(*headers))


@pytest.fixture(params=["synchronous", "asynchronous"])
def call(request):
    """Calls a method of either client on a server."""

    def synchronous(server, method, *arguments, retries=PROMPT, key=None, **options):
        with Client(URL, key, retries=retries, transport=httpx.MockTransport(server)) as client:
            return getattr(client, method)(*arguments, **options)

    def asynchronous(server, method, *arguments, retries=PROMPT, key=None, **options):
        async def whole():
            async with AsyncClient(URL, key, retries=retries, transport=httpx.MockTransport(server)) as client:
                return await getattr(client, method)(*arguments, **options)

        return asyncio.run(whole())

    return {"synchronous": synchronous, "asynchronous": asynchronous}[request.param]


def test_a_detection_is_understood_and_what_is_new_is_left_out(call):
    content = EXAMPLE_DETECTION | {"new": 1}
    content["results"] = [result | {"new": 2} for result in content["results"]]
    detection = call(Server((200, content)), "detect", b"image")
    assert detection.bundle == "digits"
    [result] = detection.results
    assert (result.decision, result.p_value, result.suspected_label_name) == ("adversarial", 0.012, "7")
    assert result.profile == (0.71, 1.64, 0.2, 0.01)
    assert result.strip == ()
    assert detection.timing.total == 7.1


def test_pictures_and_missing_profiles_are_understood(call):
    point = {"position": 0.5, "uri": "data:,", "cross_entropy": None}
    result = EXAMPLE_DETECTION["results"][0] | {"profile": None, "pictures": {"strip": [point]}}
    detection = call(Server((200, EXAMPLE_DETECTION | {"results": [result]})), "detect", b"image", pictures=True)
    assert detection.results[0].profile is None
    assert detection.results[0].strip[0].position == 0.5


def test_images_are_sent_as_files_with_their_names_and_options(call, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"first")
    server = Server((200, EXAMPLE_DETECTION))
    call(
        server, "detect", [path, str(path), b"third"], bundle="digits", pictures=True, false_positive_rate=0.1, key="k"
    )
    [request] = server.requests
    assert request.url.path == "/v1/detect"
    assert dict(request.url.params) == {"bundle": "digits", "pictures": "true", "false_positive_rate": "0.1"}
    assert request.headers["authorization"] == "Bearer k"
    body = request.content
    assert body.count(b'name="files"; filename="a.png"') == 2
    assert b'filename="image-2"' in body
    assert b"first" in body


def test_a_file_that_is_not_there_is_an_error_of_the_caller(call, tmp_path):
    with pytest.raises(FileNotFoundError):
        call(Server((200, {})), "detect", tmp_path / "x.png")


@pytest.mark.parametrize("status", [429, 503])
def test_what_has_no_place_now_is_sent_again(call, status):
    server = Server((status, {"error": "later"}), (status, {"error": "later"}), (200, EXAMPLE_DETECTION))
    assert call(server, "detect", b"image").bundle == "digits"
    assert len(server.requests) == 3


def test_patience_ends(call):
    server = Server((429, {"error": "later"}))
    with pytest.raises(IsthmusError, match="429: later") as caught:
        call(server, "detect", b"image")
    assert len(server.requests) == 3
    assert (caught.value.status, caught.value.message) == (429, "later")


@pytest.mark.parametrize("status", [400, 401, 404, 413, 415, 500, 504])
def test_what_another_try_would_not_change_is_sent_once(call, status):
    server = Server((status, {"error": "no"}))
    with pytest.raises(IsthmusError) as caught:
        call(server, "detect", b"image")
    assert (caught.value.status, len(server.requests)) == (status, 1)


def test_a_broken_connection_is_tried_again_where_nothing_can_be_done_twice(call):
    server = Server(httpx.ReadError("broken"), (200, EXAMPLE_DETECTION))
    assert call(server, "detect", b"image").bundle == "digits"
    server = Server(httpx.ReadError("broken"), (202, AUDIT))
    with pytest.raises(IsthmusError, match="broken") as caught:
        call(server, "start_audit", "/srv")
    assert (caught.value.status, len(server.requests)) == (None, 1)
    server = Server(httpx.ConnectError("refused"), (202, AUDIT))
    assert call(server, "start_audit", "/srv").id == "a/b"


@pytest.mark.parametrize("answer", [(200, []), (200, {"results": []}), (200, "text"), (200, {"bundles": 5})])
def test_an_answer_of_somebody_else_is_an_error(call, answer):
    for method, arguments in (("detect", (b"image",)), ("bundles", ())):
        with pytest.raises(IsthmusError, match="not an answer"):
            call(Server(answer), method, *arguments)


def test_an_error_that_is_no_json_is_shown_as_it_is(call):
    def proxy(_):
        return httpx.Response(502, text="<html>bad gateway</html>")

    with pytest.raises(IsthmusError, match="bad gateway"):
        call(proxy, "bundles")


def test_readiness_is_asked_once_and_never_raises(call):
    assert call(Server((200, {"live": True, "ready": True})), "ready")
    for answer in ((503, {"live": True, "ready": False}), httpx.ConnectError("refused"), (200, [])):
        server = Server(answer)
        assert call(server, "ready") is False
        assert len(server.requests) == 1


def test_bundles_are_listed(call):
    [bundle] = call(Server((200, {"bundles": [BUNDLE]})), "bundles")
    assert (bundle.name, bundle.labels, bundle.input_shape) == ("digits", ("0",), (1, 8, 8))
    assert bundle.document["new"] == 1


def test_audits_are_started_followed_read_and_deleted(call):
    server = Server((202, AUDIT))
    audit = call(server, "start_audit", "/srv", bundle="digits")
    assert (audit.id, audit.state, audit.document["counts"]["files"]) == ("a/b", "running", 3)
    assert json.loads(server.requests[0].content) == {"folder": "/srv", "bundle": "digits"}
    assert call(Server((200, {"audits": [AUDIT]})), "audits") == (audit,)
    server = Server((200, AUDIT))
    for method in ("audit", "resume_audit", "delete_audit"):
        call(server, method, "a/b")
    # An id cannot lead elsewhere.
    assert [request.url.raw_path for request in server.requests] == [
        b"/v1/audits/a%2Fb",
        b"/v1/audits/a%2Fb/resume",
        b"/v1/audits/a%2Fb",
    ]

    def lines(request):
        assert dict(request.url.params) == {"offset": "2", "limit": "5"}
        return httpx.Response(200, text='{"path": "a\u2028b"}\n{"path": "c"}\n')

    assert call(lines, "audit_results", "x", offset=2, limit=5) == ({"path": "a\u2028b"}, {"path": "c"})


def test_feedback_says_which_verdict_was_wrong(call):
    server = Server((201, {}))
    call(server, "feedback", "r", 2, "clean", correct_label="7", image=b"file")
    assert json.loads(server.requests[0].content) == {
        "request_id": "r",
        "index": 2,
        "correct_decision": "clean",
        "correct_label": "7",
        "image": base64.b64encode(b"file").decode(),
    }


@pytest.mark.parametrize(
    ("attempt", "headers", "pause"),
    [
        (0, {}, 0.1 + 0.1),
        (2, {}, 0.4 + 0.4),
        (0, {"retry-after": "3"}, 3 + 0.1),
        (0, {"retry-after": "10"}, 10),
        (0, {"retry-after": "11"}, None),
        (0, {"retry-after": "-5"}, 0 + 0.1),
        (0, {"retry-after": "nan"}, 0 + 0.1),
        (0, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.1 + 0.1),
        (3, {}, None),
    ],
)
def test_a_pause_is_what_the_server_asks_spread_and_bounded(attempt, headers, pause):
    retries = Retries(attempts=4, first_pause=0.2, longest_pause=10, jitter=lambda: 0.5)
    found = retries.pause(bundles_call(), attempt, httpx.Response(429, headers=headers))
    assert found == (pause if pause is None else pytest.approx(pause))


def test_both_clients_do_the_same():
    def surface(kind):
        return {
            name: inspect.signature(method).replace(return_annotation=None)
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    assert surface(Client) == surface(AsyncClient)


def test_the_client_loads_neither_torch_nor_the_server():
    code = "import sys, service.client; print({'torch', 'fastapi', 'pydantic', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("key", ["schlüssel-schlüssel", "two\nlines of a key"])
def test_a_key_that_no_header_can_carry_is_refused_in_words(key):
    with pytest.raises(IsthmusError, match="keys file"):
        Client("http://localhost", key=key)
