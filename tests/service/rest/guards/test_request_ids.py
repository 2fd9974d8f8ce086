import re

import pytest

from service.observability.context import request_id


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "x" * 64])
def test_a_plain_word_of_the_client_is_kept(small_app, ask, name):
    reply = ask(small_app(), headers=[("X-Request-ID", name)])
    assert reply.header("x-request-id") == reply.json()["request_id"] == name


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, 'a"b', "a\x1b[2J", "é", "a,b", "a\n"])
def test_anything_else_is_replaced(small_app, ask, name):
    reply = ask(small_app(), headers=[("X-Request-ID", name)])
    assert re.fullmatch("[0-9a-f]{32}", reply.header("x-request-id"))


def test_of_two_neither_is_believed(small_app, ask):
    reply = ask(small_app(), headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert reply.header("x-request-id") not in {"a", "b"}


def test_refusals_and_mistakes_carry_it_too(small_app, ask):
    for path, host in (("/v1/fail", "localhost"), ("/v1/who", "evil.example")):
        headers = [("X-Request-ID", "mine"), ("Host", host)]
        assert ask(small_app(), path, headers=headers).header("x-request-id") == "mine"
    assert request_id.get() is None
