import asyncio
import gzip
import tracemalloc
import zlib

import pytest

from service.errors import OverloadedError
from service.rest.guards.bodies import Bodies, BodyBudget, BodyLimits
from service.rest.guards.decompression import PIECE

STALL = None
POST = "POST"


def posted(ask, app, *pieces, path="/v1/echo", **headers):
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return ask(app, path, POST, named, pieces)


def test_a_body_in_pieces_comes_to_the_route_whole(small_app, ask):
    assert posted(ask, small_app(), b"ab", b"", b"c").json()["body"] == "abc"


def test_a_body_of_the_largest_size_goes_through_and_one_byte_more_does_not(small_app, ask, rejections):
    app = small_app(body_bytes=100)
    assert posted(ask, app, b"x" * 60, b"x" * 40).status == 200
    reply = posted(ask, app, b"x" * 60, b"x" * 41)
    assert (reply.status, rejections) == (413, ["bodies"])
    assert "100 bytes" in reply.json()["error"]


def test_a_body_that_says_that_it_is_too_large_is_not_read(small_app, ask, rejections):
    reply = posted(ask, small_app(body_bytes=100), STALL, content_length="101")
    assert (reply.status, rejections) == (413, ["bodies"])


def test_a_body_that_says_less_than_it_is_goes_by_what_it_is(small_app, ask):
    assert posted(ask, small_app(body_bytes=100), b"x" * 101, content_length="1").status == 413


def test_reading_that_failed_goes_on_failing(ask):
    async def stubborn(scope, receive, send):
        for _ in range(3):
            with pytest.raises(ValueError, match="10 bytes"):
                await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    limits, budget = BodyLimits(n_bytes=10, seconds=5), BodyBudget(100)
    reply = ask(Bodies(stubborn, limits, {}, budget, print), "/", POST, (), [b"x" * 11, b"x"])
    assert (reply.status, budget.n_free) == (200, 100)


def test_too_large_a_body_says_so_even_where_the_framework_reads_it(small_app, ask):
    reply = posted(ask, small_app(body_bytes=10), b'{"a": 1234567}', path="/v1/typed", content_type="application/json")
    assert reply.status == 413


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)],
)
def test_a_compressed_body_comes_to_the_route_as_it_was(small_app, ask, coding, compress):
    body = compress(b"abc" * 200_000)
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]
    reply = posted(ask, small_app(), *pieces, content_encoding=coding, content_length=str(len(body)))
    assert reply.json()["body"] == "abc" * 200_000
    assert not {"content-encoding", "content-length"} & set(reply.json()["headers"])


def test_nothing_is_an_empty_body_however_it_is_compressed(small_app, ask):
    assert posted(ask, small_app(), b"", content_encoding="gzip").json()["body"] == ""
    assert posted(ask, small_app(), b"a", content_encoding="identity").json()["body"] == "a"


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip,deflate", "identity, br", "gzip;q=1", "*"]
)
def test_other_codings_are_not_spoken(small_app, ask, coding):
    assert posted(ask, small_app(), b"abc", content_encoding=coding).status == 415


def test_a_coding_cannot_be_said_twice(small_app, ask):
    headers = [("content-encoding", "gzip"), ("content-encoding", "gzip")]
    assert ask(small_app(), "/v1/echo", POST, headers, [gzip.compress(gzip.compress(b"a"))]).status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        gzip.compress(b"abc" * 100)[:-1],
        gzip.compress(b"abc" * 100)[:10],
        gzip.compress(b"abc") + b"tail",
        gzip.compress(b"abc") + gzip.compress(b"def"),
        gzip.compress(b"abc")[:-6] + b"\0" * 6,
        zlib.compress(b"abc"),
        b"\x1f",
    ],
    # The bytes hold the time of day.
    ids=["text", "cut", "head alone", "tail", "two", "wrong sums", "deflate", "one byte"],
)
def test_a_body_that_is_not_what_it_says_is_the_clients_to_put_right(small_app, ask, body, rejections):
    reply = posted(ask, small_app(), body, content_encoding="gzip")
    assert (reply.status, rejections) == (400, [])


def test_what_trails_a_stream_in_a_piece_of_its_own_is_seen_too(small_app, ask):
    assert posted(ask, small_app(), gzip.compress(b"abc"), b"tail", content_encoding="gzip").status == 400


def test_a_bomb_goes_off_at_the_cap_and_in_little_memory(small_app, ask):
    bomb = gzip.compress(bytes(50 * 2**20))
    assert len(bomb) < 60_000
    app = small_app(body_bytes=10 * 2**20)
    tracemalloc.start()
    try:
        reply = posted(ask, app, bomb, content_encoding="gzip")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reply.status == 413
    assert peak < 25 * 2**20


def test_others_have_their_turn_while_a_bomb_is_taken_apart():
    bomb = gzip.compress(bytes(64 * PIECE))
    turns = 0

    async def reader(scope, receive, send):
        while (await receive())["more_body"]:
            pass

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both():
        limits, budget = BodyLimits(n_bytes=2**30, seconds=60), BodyBudget(2**30)
        scope = {"type": "http", "path": "/", "headers": [(b"content-encoding", b"gzip")]}

        async def receive():
            return {"type": "http.request", "body": bomb}

        task = asyncio.ensure_future(other())
        await Bodies(reader, limits, {}, budget, print)(scope, receive, None)
        task.cancel()

    asyncio.run(both())
    assert turns >= 64


def test_a_body_that_does_not_come_is_waited_for_no_longer(small_app, ask, rejections):
    reply = posted(ask, small_app(body_seconds=0.02), b"ab", STALL)
    assert (reply.status, rejections) == (408, ["bodies"])
    assert reply.header("connection") == "close"


def test_time_counts_over_all_pieces(ask):
    async def drip():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def reader(scope, receive, send):
        while True:
            await receive()

    async def run():
        bodies = Bodies(reader, BodyLimits(n_bytes=2**20, seconds=0.1), {}, BodyBudget(2**20), print)
        await bodies({"type": "http", "path": "/", "headers": []}, drip, None)

    with pytest.raises(Exception, match=r"within 0\.1 seconds"):
        asyncio.run(asyncio.wait_for(run(), 30))


def test_a_request_that_computes_has_no_time_for_a_body_to_keep(ask):
    async def patient(scope, receive, send):
        await receive()
        await asyncio.sleep(0.05)
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    bodies = Bodies(patient, BodyLimits(n_bytes=9, seconds=0.01), {}, BodyBudget(9), print)
    assert ask(bodies, "/", POST, (), [b"x"]).status == 200


def test_a_client_that_leaves_amid_its_body_is_noticed(small_app, ask):
    async def leaving(scope, receive, send):
        first, second = await receive(), await receive()
        assert (first["type"], second["type"]) == ("http.request", "http.disconnect")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    budget = BodyBudget(10)
    for headers in ((), [("content-encoding", "gzip")]):
        limits = BodyLimits(n_bytes=10, seconds=5)

        async def app(scope, receive, send, limits=limits):
            messages = [{"type": "http.request", "body": gzip.compress(b"abc"), "more_body": True}]

            async def until_gone():
                return messages.pop() if messages else {"type": "http.disconnect"}

            await Bodies(leaving, BodyLimits(n_bytes=100, seconds=5), {}, BodyBudget(100), print)(
                scope, until_gone, send
            )

        assert ask(app, "/", POST, headers).status == 200
    assert budget.n_free == 10


def test_all_bodies_together_have_a_cap_and_give_their_memory_back(ask):
    """Two bodies of six bytes do not fit into ten; once the first is over, the second does."""
    rejections, budget, waiting = [], BodyBudget(10), asyncio.Event

    async def main():
        go_on = waiting()

        async def route(scope, receive, send):
            await receive()
            if scope["path"] == "/waits":
                await go_on.wait()

        bodies = Bodies(route, BodyLimits(n_bytes=8, seconds=5), {}, budget, rejections.append)

        async def six():
            return {"type": "http.request", "body": b"x" * 6}

        def request(path, *headers):
            return bodies({"type": "http", "path": path, "headers": list(headers)}, six, None)

        first = asyncio.ensure_future(request("/waits"))
        await asyncio.sleep(0)
        assert budget.n_free == 4
        with pytest.raises(OverloadedError):
            await request("/")
        with pytest.raises(OverloadedError):  # before it is read
            await request("/", (b"content-length", b"6"))
        assert rejections == ["bodies", "bodies"]
        go_on.set()
        await first
        await request("/")

    asyncio.run(main())
    assert budget.n_free == 10


def test_what_a_route_has_no_place_for_is_counted_as_such(small_app, ask, rejections):
    reply = ask(small_app(), "/v1/busy")
    assert (reply.status, reply.header("retry-after"), rejections) == (429, "3", ["queue"])


def test_archives_alone_may_be_larger_and_are_not_held_in_memory(small_app, ask):
    app = small_app(body_bytes=10, archive_bytes=100, bodies_bytes=20)
    body = [b"x" * 60, b"x" * 40]
    assert posted(ask, app, *body, path="/v1/audits", content_type="application/zip").status == 200
    assert posted(ask, app, *body, b"x", path="/v1/audits", content_type="application/zip").status == 413
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert posted(ask, app, *body, path="/v1/audits", content_type=kind).status == 413
    # What a route may take for JSON all the same: blanks that only text knows, and a header that comes twice.
    assert posted(ask, app, *body, path="/v1/audits", content_type="\xa0application/json").status == 413
    twice = [("content-type", "application/json")] * 2
    assert ask(app, "/v1/audits", "POST", twice, body).status == 413
    assert posted(ask, app, *body, path="/v1/echo", content_type="application/zip").status == 413


@pytest.mark.parametrize("value", ["gzip, chunked", "chunked, chunked", "identity", "", "xchunked"])
def test_a_body_is_framed_in_one_way(small_app, ask, value):
    assert posted(ask, small_app(), b"a", transfer_encoding=value).status == 400
    assert posted(ask, small_app(), b"a", transfer_encoding="Chunked").status == 200


def test_a_route_that_does_not_read_answers_all_the_same(small_app, ask):
    assert posted(ask, small_app(), STALL, path="/v1/deaf").status == 200
