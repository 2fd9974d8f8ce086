"""Where the server listens, and what must be there first: keys for strangers, files for TLS."""

import errno
import ipaddress
import os
import resource
import socket
import ssl

from service.errors import InputError
from service.settings import ServeSettings

SPARE_FILES = 128
"""Open files that are no connections."""


def open_socket(settings: ServeSettings) -> socket.socket:
    """Take the address, without listening yet.

    Raises:
        InputError: there is no such address, or it is taken, or strangers could reach it without a key.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise InputError(
            f"there is no address {settings.host!r} to listen on; give --host one of this machine"
        ) from None
    if not settings.needs_keys and not ipaddress.ip_address(address[0]).is_loopback:
        raise InputError(
            f"{settings.host} can be reached from other machines, and without keys anybody could ask; "
            "write ID:KEY lines into a file and name it with --keys-file, or listen on 127.0.0.1"
        )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror
        raise InputError(f"cannot listen on {settings.host} port {settings.port}: {reason}") from None
    return listener


def address_of(listener: socket.socket, settings: ServeSettings) -> str:
    """The address as an URL, with the port that was taken."""
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def open_tls(settings: ServeSettings) -> ssl.SSLContext | None:
    """The certificate to speak TLS with; None where none is asked for.

    Raises:
        InputError: the files are not a certificate and its key without a password.
    """
    if settings.tls_certificate is None and settings.tls_key is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise InputError("TLS needs two files, --tls-certificate and --tls-key; give both, or neither")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password to give, OpenSSL would ask the terminal for one.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: b"")
    except OSError as error:
        reason = "not PEM files that belong together, or a key with a password"
        if not isinstance(error, ssl.SSLError):
            reason = os.strerror(error.errno or 0)
        raise InputError(f"{settings.tls_certificate} and {settings.tls_key} cannot be used: {reason}") from None
    return context


def connections_for(requests_at_once: int) -> int:
    """Connections that may be open: some for each request, as far as the system lets a process open files.

    Raises the soft limit of open files where that is needed.
    """
    wanted = 4 * requests_at_once
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + SPARE_FILES:
        raised = wanted + SPARE_FILES if hard == resource.RLIM_INFINITY else min(hard, wanted + SPARE_FILES)
        soft = max(soft, raised)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE_FILES))
