import pytest
from starlette.responses import Response

from service.rest.guards.security_headers import ALWAYS


@pytest.mark.parametrize("path", ["/v1/who", "/nowhere", "/v1/fail", "/v1/busy", "/", "/v2/health/live"])
def test_every_answer_tells_browsers_to_run_and_keep_nothing(small_app, ask, path):
    reply = ask(small_app(), path)
    assert all(reply.header(name) == value for name, value in ALWAYS.items())
    assert "default-src 'none'" in reply.header("content-security-policy")
    assert "frame-ancestors 'none'" in reply.header("content-security-policy")
    assert reply.header("cache-control") == "no-store"
    assert reply.header("server") is None


def test_refusals_from_outside_of_the_routes_do_so_too(small_app, ask):
    for headers in ([("Host", "evil.example")], [("Sec-Fetch-Site", "cross-site")]):
        reply = ask(small_app(), headers=headers)
        assert reply.status >= 400
        assert reply.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    ("path", "is_page"),
    [
        ("/", True),
        ("/docs", True),
        ("/docs/assets/start.js", True),
        ("/assets/main.js", True),
        ("/v1/detect", False),
        ("/docsx", False),
        ("/x/assets/", False),
        ("/assets", False),
    ],
)
def test_pages_may_load_their_own_files_and_nothing_else_may(small_app, ask, path, is_page):
    policy = ask(small_app(), path).header("content-security-policy")
    assert ("script-src 'self'" in policy) == is_page
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_route_may_say_how_long_its_answer_is_kept(small_app, ask):
    app = small_app()

    @app.get("/kept")
    async def kept():
        return Response(headers={"Cache-Control": "max-age=60"})

    assert ask(app, "/kept").header("cache-control") == "max-age=60"
