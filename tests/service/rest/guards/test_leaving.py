import threading

from service.rest.guards.leaving import Leaving


def test_while_the_server_drains_answers_close_their_connections(ask):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    draining = threading.Event()
    assert ask(Leaving(app, draining)).header("connection") is None
    draining.set()
    assert ask(Leaving(app, draining)).header("connection") == "close"
