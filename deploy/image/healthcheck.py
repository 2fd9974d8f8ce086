"""Exit code 0 where the server in this container is ready: what the image's HEALTHCHECK asks, with nothing but Python.

It reads the server's own variables, so a port, an address or TLS that they set is what is asked; flags it cannot see.
"""

import http.client
import os
import ssl
import sys

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
SECONDS = 4


def connection() -> http.client.HTTPConnection:
    """To the server, by what it was told to listen on. Who signed its certificate is its clients' business."""
    host = os.environ.get("ISTHMUS_HOST") or "127.0.0.1"
    address = ANYWHERE.get(host, host)
    port = int(os.environ.get("ISTHMUS_PORT") or 8080)
    if not os.environ.get("ISTHMUS_TLS_CERTIFICATE"):
        return http.client.HTTPConnection(address, port, timeout=SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=SECONDS, context=context)


def main() -> str | None:
    """What is wrong, or None."""
    try:
        asked = connection()
        asked.request("GET", "/v2/health/ready")
        status = asked.getresponse().status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the server does not answer: {error!r}"
    return None if status == 200 else f"the server is not ready: status {status}"


if __name__ == "__main__":
    sys.exit(main())
