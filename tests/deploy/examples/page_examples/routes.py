"""Whether the service has the route that a curl command asks for."""

import functools
import re
import urllib.parse
from types import SimpleNamespace

from page_examples.word_sets import words_of
from starlette.routing import Match

OPTIONS_WITH_VALUE = words_of(
    "-H -F -d -X -o -u -m --json --data --data-binary --data-urlencode --cacert --max-time --retry"
)
"""Of curl, as far as the pages use them; those that make it a POST are below."""
SWITCHES = words_of("-s -S -sS -f -fs -sf -fsS -i -v -I -G -sG -k -L --fail --silent --show-error --compressed")
POSTING = frozenset({"-F", "-d", "--json", "--data", "--data-binary"})
ELSEWHERE = {9090: ("/metrics", "/api/v1/", "/-/"), 3000: ("/api/",)}
"""Ports of Prometheus (or of the service's metrics) and Grafana, and paths that they have."""


@functools.cache
def _routers() -> tuple[object, ...]:
    from service.rest.app import PARTS  # noqa: PLC0415

    return tuple(route for part in PARTS for route in part.router.routes)


def has_route(method: str, path: str) -> bool:
    """Whether the service answers to this."""
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": [], "app": SimpleNamespace()}
    return any(route.matches(scope)[0] is Match.FULL for route in _routers())  # type: ignore[attr-defined]


def problems_of_curl(words: list[str]) -> list[str]:
    """Unknown options, and addresses that nobody answers."""
    found, urls, method, posts = [], [], None, False
    rest = iter(words[1:])
    for word in rest:
        if word in OPTIONS_WITH_VALUE:
            value = next(rest, "")
            method = value if word == "-X" else method
            posts = posts or word in POSTING
        elif word.startswith("-"):
            found += [] if word in SWITCHES else [f"curl: unknown option {word}"]
        else:
            urls.append(word)
    if not urls:
        found.append("curl: no address")
    for url in (url for url in urls if not url.startswith(("SUBSTITUTED", "$"))):
        found += _problems_of_url(method or ("POST" if posts else "GET"), url)
    return found


def _problems_of_url(method: str, url: str) -> list[str]:
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    port = _port(parts)
    path = re.sub(r"\$\{?\w+\}?", "X", parts.path or "/")
    if port in ELSEWHERE:
        return [] if path.startswith(ELSEWHERE[port]) else [f"{url}: no such path on port {port}"]
    return [] if has_route(method, path) else [f"{url}: the service has no {method} {path}"]


def _port(parts: urllib.parse.SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        return None
