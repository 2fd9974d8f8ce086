"""The real server as a process: how it starts, who gets in, how it ends."""

import concurrent.futures
import contextlib
import io
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from models.digits import load_digits_images

# Each of them starts and ends a server of its own.
pytestmark = pytest.mark.slow

ANNA, BERT = "anna-0123456789abcdef", "bert-0123456789abcdef"
OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def picture() -> bytes:
    _, held_out = load_digits_images()
    buffer = io.BytesIO()
    Image.fromarray(held_out.images[0][0].numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def detect(url, picture, client=httpx, **headers):
    headers["Content-Type"] = "image/png"
    return client.post(f"{url}/v1/detect", content=picture, headers=headers, timeout=30)


def run(*flags):
    command = [str(Path(sys.executable).with_name("isthmus")), "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_a_server_says_where_it_is_before_it_is_ready_and_then_gives_verdicts(running_server, picture):
    # Its warming up takes seconds.
    server = running_server("--bundle", "cifar10-resnet20", wait=False)
    first = httpx.get(f"{server.url}/v2/health/ready", timeout=30).status_code
    assert httpx.get(f"{server.url}/v2/health/live", timeout=30).status_code == 200
    while httpx.get(f"{server.url}/v2/health/ready", timeout=30).status_code != 200:
        time.sleep(0.02)
    answer = detect(server.url, picture)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["decision"] in {"clean", "adversarial"}
    assert server.said.read_text() == (
        f"Isthmus serves digits, cifar10-resnet20 on {server.url} to this machine alone, as there are no keys\n"
    )
    listening = next(event for event in server.events if event["event"] == "listening")
    assert listening["port"] == int(server.url.rpartition(":")[2])
    assert first == 503


def test_a_server_under_load_answers_everything_that_it_has_accepted_and_ends_with_0(running_server, picture):
    """Whoever sends until the end either gets a verdict or no connection, and never half an answer."""
    server = running_server("--drain-seconds", "10")
    outcomes, stop = [], threading.Event()

    def send():
        with httpx.Client() as client:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    outcomes.append((began, detect(server.url, picture, client).status_code))
                except httpx.ConnectError:
                    outcomes.append((began, None))
                    return

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        senders = [pool.submit(send) for _ in range(8)]
        try:
            until = time.monotonic() + 60
            while len(outcomes) < 20:
                assert time.monotonic() < until
                time.sleep(0.02)
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            draining = httpx.get(f"{server.url}/v2/health/ready", timeout=30)
            assert (draining.status_code, draining.json()) == (503, {"live": True, "ready": False})
            assert draining.headers["connection"] == "close"
            assert server.process.wait(90) == 0
        finally:
            stop.set()
        for sender in senders:
            sender.result()
    assert len([began for began, _ in outcomes if began < told]) >= 20
    # Of its ten seconds, one that has begun in the first five has as many to get in.
    assert {status for began, status in outcomes if began < told + 5} == {200}
    assert {status for _, status in outcomes} <= {200, None}


def test_a_second_signal_ends_it_at_once(running_server):
    server = running_server("--drain-seconds", "60")
    server.process.send_signal(signal.SIGINT)
    server.wait_for("draining")
    assert server.stop(timeout=30) == 128 + signal.SIGTERM


def test_keys_are_exchanged_while_it_runs_and_stand_nowhere(running_server, tmp_path, picture):
    keys = tmp_path / "keys"
    keys.write_text(f"anna:{ANNA}\n")
    server = running_server("--keys-file", str(keys), "--log-level", "debug")

    def status(key, path="/v1/bundles"):
        return httpx.get(f"{server.url}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=30).status_code

    assert (status(ANNA), status(BERT)) == (200, 401)
    assert httpx.get(f"{server.url}/", auth=("me", ANNA), timeout=30).status_code == 200
    assert detect(server.url, picture, Authorization=f"Bearer {ANNA}").status_code == 200
    new = tmp_path / "keys.new"
    new.write_text(f"bert:{BERT}\n")
    new.rename(keys)
    until = time.monotonic() + 30
    while status(BERT) != 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert (status(ANNA), status(BERT)) == (401, 200)
    status(f"{ANNA}x", f"/v1/{ANNA}?key={ANNA}")
    assert server.stop() == 0
    written = server.log.read_text() + server.said.read_text()
    assert ANNA not in written
    assert BERT not in written
    assert '"key_id": "anna"' in written


def test_every_path_that_is_described_needs_a_key_and_so_do_all_others(running_server):
    server = running_server(ISTHMUS_KEYS=f"anna:{ANNA}")
    headers = {"Authorization": f"Bearer {ANNA}"}
    paths = httpx.get(f"{server.url}/openapi.json", headers=headers, timeout=30).json()["paths"]
    assert len(paths) > 10
    asked = [(method, re.sub("{[^}]*}", "x", path)) for path, methods in paths.items() for method in methods]
    more = [("get", path) for path in ("/", "/docs", "/openapi.json", "/assets/main.js", "/nowhere", "/v2/health")]
    open_paths = {
        path
        for method, path in asked + more
        if httpx.request(method, f"{server.url}{path}", timeout=30).status_code != 401
    }
    assert open_paths == {"/v2/health/live", "/v2/health/ready"}


@pytest.mark.skipif(OPENSSL is None, reason="there is no openssl command to make a certificate with")
def test_it_speaks_tls_with_the_files_that_it_is_given(running_server, tmp_path):
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    asked = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key]
    subprocess.run([OPENSSL, "req", *asked, *named], check=True, capture_output=True)
    trusted = ssl.create_default_context(cafile=str(certificate))
    server = running_server("--tls-certificate", str(certificate), "--tls-key", str(key), verify=trusted)
    assert server.url.startswith("https://")
    assert httpx.get(f"{server.url}/v1/bundles", verify=trusted, timeout=30).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url.replace("https", "http"), timeout=30)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificate)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])))
    with plain, pytest.raises(OSError), old.wrap_socket(plain, server_hostname="127.0.0.1"):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_whoever_would_let_the_network_in_without_keys_is_told_what_to_do(host):
    done = run("--host", host, "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--keys-file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_mistakes_are_told_in_a_line_before_anything_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flags, words in (
            (("--port", port), "the port is taken"),
            (("--port", "x"), "--port (ISTHMUS_PORT)"),
            (("--port", "0", "--keys", "short"), "is not ID:KEY"),
            (("--port", "0", "--keys-file", str(tmp_path / "nowhere")), "No such file"),
            (("--port", "0", "--tls-key", str(tmp_path)), "--tls-certificate"),
            (("--port", "0", "--cors-origin", "*"), "not an origin"),
        ):
            done = run(*flags)
            assert done.returncode == 2, flags
            assert words in done.stderr
            assert len(done.stderr.splitlines()) == 1


def test_a_connection_that_says_nothing_does_not_keep_a_server_from_ending(running_server):
    server = running_server()
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.closing(socket.create_connection((host, int(port)), timeout=30)) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\n")
        assert server.stop() == 0
        # Where its time to send a head had run out, it would have been told so.
        assert silent.recv(4096) == b""
