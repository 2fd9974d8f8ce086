import logging

import pytest
from starlette.exceptions import HTTPException

from detector.types import DetectorError
from models.errors import ModelError
from service import errors
from service.rest.failures import LONGEST_MESSAGE, Failures, RefusedError, failure_of, respond


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InputError("x"), 400),
        (DetectorError("x"), 400),
        (ModelError("x"), 400),
        (errors.TooLargeError("x"), 413),
        (errors.UnsupportedMediaError("x"), 415),
        (errors.NotFoundError("x"), 404),
        (errors.OverloadedError("x", retry_after=1), 429),
        (errors.DeadlineError("x"), 504),
        (errors.EngineError("x"), 503),
        (errors.ClientGoneError("x"), 499),
        (RefusedError(418, "x"), 418),
        (HTTPException(405, "x"), 405),
    ],
)
def test_every_failure_has_its_status_and_says_its_message(error, status):
    assert (failure_of(error).status, failure_of(error).message) == (status, "x")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "1"), (0.2, "1"), (2.2, "3"), (float("inf"), "1"), (float("nan"), "1")]
)
def test_whoever_is_told_to_come_again_is_told_whole_seconds(seconds, said):
    failure = failure_of(errors.OverloadedError("full", retry_after=seconds))
    assert failure.headers == (("Retry-After", said),)


def test_what_the_framework_makes_of_a_failed_body_is_undone():
    wrapped = HTTPException(400, "There was an error parsing the body")
    wrapped.__cause__ = errors.TooLargeError("too large")
    assert failure_of(wrapped).status == 413
    wrapped.__cause__ = KeyError("ours")
    assert failure_of(wrapped).status == 400


def test_a_message_does_not_echo_a_megabyte():
    assert len(failure_of(errors.InputError("x" * 10**6)).message) == LONGEST_MESSAGE + 1


def test_a_message_with_half_a_character_can_be_sent():
    assert respond(failure_of(errors.InputError("\ud800 is no name"))).body == b'{"error":"? is no name"}'


def test_a_mistake_of_ours_is_answered_without_a_detail_and_logged(small_app, ask, caplog):
    with caplog.at_level(logging.ERROR, "service.rest.failures"):
        reply = ask(small_app(), "/v1/fail")
    assert reply.status == 500
    assert list(reply.json()) == ["error"]
    assert b"treasure" not in reply.body
    assert "treasure" in str(caplog.records[0].exc_info)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/nowhere", "GET", 404), ("/v1/who", "POST", 405), ("/v1/busy", "GET", 429), ("/v1/broken", "GET", 503)],
)
def test_every_failure_has_one_form(small_app, ask, path, method, status):
    reply = ask(small_app(), path, method)
    assert reply.status == status
    assert list(reply.json()) == ["error"]
    assert reply.header("content-type") == "application/json"
    assert reply.header("x-request-id")


def test_a_wrong_method_is_told_the_right_ones(small_app, ask):
    assert ask(small_app(), "/v1/echo", "GET").header("allow") == "POST"


def test_what_does_not_validate_is_described_without_its_value(small_app, ask):
    headers = [("content-type", "application/json")]
    reply = ask(small_app(), "/v1/typed", "POST", headers, [b'{"a": "hidden"}'])
    assert reply.status == 400
    assert reply.json()["error"].startswith("body.a: Input should be a valid integer")
    assert b"hidden" not in reply.body


def test_half_an_answer_is_not_made_whole_by_another(ask):
    async def half(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise errors.InputError("too late")

    with pytest.raises(errors.InputError):
        ask(Failures(half))


def test_a_mistake_of_ours_leaves_the_connection_open(small_app, served):
    server = served(small_app())
    with server.connect() as connection:
        for path, status in (("/v1/fail", 500), ("/nowhere", 404), ("/v1/who", 200)):
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
            assert server.read_status(connection) == status
