import errno
import resource
import socket
import ssl

import pytest

from service.errors import InputError
from service.serving.listening import SPARE_FILES, address_of, connections_for, open_socket, open_tls
from service.settings import ServeSettings

KEYS = "anna:anna-0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_keys(host):
    settings = ServeSettings(host=host, port=0)
    try:
        listener = open_socket(settings)
    except InputError as error:
        assert host == "::1"
        pytest.skip(f"there is no IPv6 here: {error}")
    with listener:
        assert (
            address_of(listener, settings)
            == f"http://{'[::1]' if host == '::1' else listener.getsockname()[0]}:{listener.getsockname()[1]}"
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "0"])
def test_strangers_need_keys_and_nothing_is_bound_before_that_is_known(host, monkeypatch):
    monkeypatch.setattr(socket.socket, "bind", lambda *_: pytest.fail("bound"))
    with pytest.raises(InputError, match="--keys-file"):
        open_socket(ServeSettings(host=host, port=0))


def test_with_keys_the_network_may_come():
    settings = ServeSettings(host="0.0.0.0", port=0, keys=KEYS)
    with open_socket(settings) as listener:
        assert address_of(listener, settings).startswith("http://0.0.0.0:")


def test_an_address_that_is_taken_or_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="the port is taken"):
        open_socket(ServeSettings(port=taken.getsockname()[1]))
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1"):
        open_socket(ServeSettings(host="192.0.2.1", port=0, keys=KEYS))
    for nowhere in ("", "no such host", "x" * 300, "a..b"):
        with pytest.raises(InputError, match="there is no address"):
            open_socket(ServeSettings(host=nowhere, port=0))


def test_tls_needs_both_files_and_they_must_be_what_they_are_called(tmp_path):
    file = tmp_path / "file.pem"
    file.write_text("-----BEGIN NOTHING-----\n")
    assert open_tls(ServeSettings()) is None
    for one in ({"tls_certificate": file}, {"tls_key": file}):
        with pytest.raises(InputError, match="give both"):
            open_tls(ServeSettings(**one))
    with pytest.raises(InputError, match="not PEM files"):
        open_tls(ServeSettings(tls_certificate=file, tls_key=file))
    with pytest.raises(InputError, match="No such file"):
        open_tls(ServeSettings(tls_certificate=tmp_path / "nowhere", tls_key=file))


def test_a_key_with_a_password_does_not_ask_the_terminal(tmp_path, monkeypatch):
    """OpenSSL asks where it is given no way to get a password."""
    asked = []

    def load(self, certificate, key, password=None):
        asked.append(password())
        raise ssl.SSLError(errno.EINVAL, "bad decrypt")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    with pytest.raises(InputError, match="a key with a password"):
        open_tls(ServeSettings(tls_certificate=tmp_path, tls_key=tmp_path))
    assert asked == [b""]


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "raised", "connections"),
    [
        (1024, 4096, 10, 1024, 40),
        (1024, 1_000_000, 1024, 4096 + SPARE_FILES, 4096),
        (1024, 2048, 1024, 2048, 2048 - SPARE_FILES),
        (100, 100, 1024, 100, 1),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1024, resource.RLIM_INFINITY, 4096),
    ],
)
def test_connections_are_as_many_as_files_may_be_open(monkeypatch, soft, hard, wanted, raised, connections):
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    assert connections_for(wanted) == connections
    assert limits == [raised, hard]
