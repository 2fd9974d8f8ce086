import asyncio
import dataclasses
import errno
import shutil
import ssl
import subprocess
import time
from collections import Counter

import pytest
from isthmus_load.errors import UsageError
from isthmus_load.loops import closed_loop, open_loop, watched
from isthmus_load.wire import Connection, Target, request_bytes

VERDICT = request_bytes("POST", "/v1/detect", b"image", "image/png", key="secret")
HEALTH = request_bytes("GET", "/v2/health/live")


def test_an_open_loop_sends_the_next_request_before_the_last_one_is_answered(fake, asked):
    server = fake(plan=lambda _: (200, 1.0))
    replies = asked(server, lambda target: open_loop(target, [VERDICT], moments=[0.0, 0.01, 0.02, 0.03]))
    assert server.most_at_once == len(replies) == 4
    assert all(reply.seconds >= 1.0 for reply in replies)


def test_known_refusals_and_delays_are_counted_as_they_were(fake, asked):
    server = fake(plan=lambda n: (429, 0.0) if n % 3 == 2 else (200, 1.0))
    moments = [index / 100 for index in range(30)]
    replies = asked(server, lambda target: open_loop(target, [VERDICT], moments=moments))
    assert Counter(reply.status for reply in replies) == {200: 20, 429: 10}
    assert min(reply.seconds for reply in replies if reply.status == 200) >= 1.0
    assert min(reply.seconds for reply in replies if reply.status == 429) < 1.0


def test_a_closed_loop_has_no_more_under_way_than_it_has_clients(fake, asked):
    server = fake(plan=lambda _: (200, 0.05))
    replies = asked(server, lambda target: closed_loop(target, [VERDICT], n_clients=3, seconds=0.3))
    # Three clients, each at most seven times 0.05 s.
    assert 3 <= len(replies) <= 21
    assert server.most_at_once <= 3


def test_time_runs_from_when_a_request_was_due(fake, asked):
    async def work(target):
        async def block():
            # As a client does that is too slow.
            time.sleep(0.3)

        replies, _ = await asyncio.gather(open_loop(target, [VERDICT], moments=[0.1]), block())
        return replies

    (reply,) = asked(fake(plan=lambda _: (200, 0.0)), work)
    assert reply.lag >= 0.19
    assert reply.seconds >= reply.lag


def test_liveness_is_asked_while_the_work_goes_on_and_a_late_timer_is_seen(fake, asked):
    server = fake(plan=lambda _: (200, 1.0), live_seconds=0.02)
    work = lambda target: watched(target, HEALTH, open_loop(target, [VERDICT], moments=[0.0]))  # noqa: E731
    replies, watch = asked(server, work)
    assert [reply.status for reply in replies] == [200]
    assert len(watch.liveness) >= 2
    assert min(watch.liveness) >= 0.02
    assert watch.heartbeats
    assert watch.seconds >= 1.0


def test_chunked_answers_are_read_to_their_end_and_the_connection_goes_on(fake, asked):
    async def work(target):
        connection = Connection(target)
        answers = [await connection.answer(VERDICT) for _ in range(2)]
        await connection.close()
        return answers

    for chunked in (False, True):
        answers = asked(fake(plan=lambda n: (200 + n, 0.0), chunked=chunked), work)
        assert [answer.status for answer in answers] == [200, 201]
        assert {answer.body for answer in answers} == {b'{"error": "as planned"}'}


def test_a_connection_that_the_server_closed_is_opened_again(fake, asked):
    async def work(target):
        connection = Connection(target)
        first = await connection.ask(VERDICT)
        await asyncio.sleep(0.05)
        second = await connection.ask(VERDICT)
        await connection.close()
        return first, second

    assert asked(fake(plan=lambda _: (200, 0.0), keeps=False), work) == (200, 200)


def test_no_server_and_no_answer_are_told_apart(fake, asked):
    async def nobody():
        return await Connection(Target(host="127.0.0.1", port=1)).ask(HEALTH)

    assert asyncio.run(nobody()) == -1

    async def impatient(target):
        connection = Connection(target)
        assert await connection.ask(VERDICT) == 200
        # Only now, so that it is not the connection that is given up.
        connection._target = dataclasses.replace(target, patience=0.05)
        return await connection.ask(VERDICT)

    assert asked(fake(plan=lambda n: (200, 60.0 * n)), impatient) == 0


def test_what_this_machine_refuses_is_not_the_servers_fault(monkeypatch):
    async def refuse(*arguments, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", refuse)
    with pytest.raises(UsageError, match="no more connections"):
        asyncio.run(Connection(Target(host="127.0.0.1", port=1)).ask(HEALTH))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command to make a certificate with")
def test_a_certificate_is_checked_and_an_own_authority_may_be_named(fake, tmp_path):
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    asked_for = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", "req", "-x509", "-nodes", *asked_for, *names], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    server = fake(plan=lambda _: (200, 0.0), tls=tls)

    async def ask(certificates):
        async with server.serve():
            connection = Connection(Target.of(f"https://127.0.0.1:{server.port}", certificates))
            answer = await connection.answer(VERDICT)
            await connection.close()
            return answer

    assert asyncio.run(ask(str(certificate))).status == 200
    stranger = asyncio.run(ask(None))
    assert (stranger.status, b"certificate verify failed" in stranger.body) == (-1, True)


def test_the_key_goes_along_and_the_body_is_whole(fake, asked):
    server = fake(plan=lambda _: (200, 0.0))
    asked(server, lambda target: open_loop(target, [VERDICT], moments=[0.0]))
    ((head, body),) = server.verdicts
    assert "Authorization: Bearer secret\r\n" in head
    assert body == b"image"


@pytest.mark.parametrize("url", ["isthmus.example.org", "ftp://host", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(UsageError, match="--url must be an address"):
        Target.of(url)


def test_an_address_names_host_port_path_and_whether_it_is_encrypted():
    assert Target.of("http://host:81/below/") == Target(host="host", port=81, path="/below")
    target = Target.of("https://host")
    assert (target.port, target.tls is not None) == (443, True)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://host", "host"),
        ("http://host:8080", "host:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://host:443/x", "host"),
        ("https://host:80", "host:80"),
    ],
)
def test_the_header_host_names_the_port_where_it_is_not_the_usual_one(url, authority):
    assert Target.of(url).authority == authority
