import io
import json
import logging
import threading
import warnings

import pytest

from service.observability import context
from service.observability.logs import AUDIT, Logs, QueueingHandler, configure_logging, dropped_lines
from service.settings import ServeSettings


@pytest.fixture
def written():
    """Configures the log, runs a function, and gives back the lines."""

    def write(act, **settings) -> list[str]:
        stream = io.StringIO()
        logs = configure_logging(ServeSettings(**settings), stream)
        try:
            act()
        finally:
            logs.close()
        return stream.getvalue().splitlines()

    return write


def parsed(lines: list[str]) -> list[dict]:
    return [json.loads(line) for line in lines]


def test_a_line_is_an_object_with_time_level_event_and_fields(written):
    def act():
        context.request_id.set("r-1")
        logging.getLogger("service.x").warning("tried %d times", 3, extra={"bundle": "toy", "seconds": float("nan")})

    (line,) = parsed(written(lambda: run_in_context(act)))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "service.x",
        "event": "tried 3 times",
        "request_id": "r-1",
        "bundle": "toy",
        "seconds": None,
    }


def run_in_context(act) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_text_can_forge_a_line_or_command_a_terminal(written, log_format: str):
    hostile = 'a\n2030-01-01 INFO root logged in\r\x1b[2J\x7f\u202e\u2028\ud800" x=y'

    def act():
        logging.getLogger("service").info("from %s", hostile, extra={"name_of_file": hostile, "nested": [hostile]})

    lines = written(act, log_format=log_format)
    assert len(lines) == 1
    assert lines[0].isprintable()


def test_credentials_are_never_written(written):
    def act():
        logger = logging.getLogger("service")
        logger.info(
            "header Authorization: Bearer s3cr3t-token-0123", extra={"key": "s3cr3t", "note": "basic czNjcjN0OnQ="}
        )
        try:
            raise ValueError("Bearer s3cr3t-token-0123")
        except ValueError:
            logger.exception("failed")

    text = "\n".join(written(act))
    assert "s3cr3t" not in text
    assert "czNjcjN0" not in text
    assert "Bearer [hidden]" in text


def test_an_exception_comes_with_its_traceback(written):
    def act():
        try:
            raise RuntimeError("boom")
        except RuntimeError:
            logging.getLogger("service").exception("failed")

    (line,) = parsed(written(act))
    assert "RuntimeError: boom" in line["exception"]
    text = written(act, log_format="text")
    assert text[0].endswith("failed")
    assert all(part.startswith("    ") for part in text[1:])


def test_the_level_holds_for_our_own_loggers_and_others_only_warn(written):
    def act():
        for name in ("service.a", "uvicorn.error", "somebody.else"):
            logging.getLogger(name).info("info of %s", name)
            logging.getLogger(name).warning("warning of %s", name)

    assert [line["event"] for line in parsed(written(act, log_level="info"))] == [
        "info of service.a",
        "warning of service.a",
        "info of uvicorn.error",
        "warning of uvicorn.error",
        "warning of somebody.else",
    ]
    assert written(act, log_level="error") == []


def test_audit_lines_are_written_at_any_level(written):
    assert len(written(lambda: logging.getLogger(AUDIT).info("verdict"), log_level="error")) == 1


def test_python_warnings_become_lines(written):
    def act():
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old", stacklevel=1)

    assert any("old" in line["event"] for line in parsed(written(act)))


def test_texts_are_cut(written):
    (line,) = written(lambda: logging.getLogger("service").info("x" * 10**6))
    assert len(line) < 20_000


def test_what_cannot_be_said_does_not_end_the_log(written):
    class Mute:
        def __str__(self) -> str:
            raise TypeError

    def act():
        logging.getLogger("service").info("first", extra={"thing": Mute()})
        logging.getLogger("service").info("second")

    first, second = written(act)
    assert "could not be written" in first
    assert json.loads(second)["event"] == "second"


def test_a_writer_that_is_stuck_holds_nobody_up_and_lines_are_dropped_and_counted():
    released = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            released.wait(60)
            return super().write(text)

    handler = QueueingHandler(capacity=100)
    stream = Stuck()
    logs = configure_logging(ServeSettings(), stream)
    try:
        logging.getLogger().handlers = [handler]
        for number in range(150):
            logging.getLogger("service").info("line %d", number)
        assert dropped_lines() == 50
    finally:
        released.set()
        logs.close()


def test_closing_gives_the_loggers_back_and_can_be_repeated(written):
    root, service = logging.getLogger(), logging.getLogger("service")
    before = (root.handlers, root.level, service.handlers, service.level, service.propagate)
    logs: Logs = configure_logging(ServeSettings(), io.StringIO())
    assert root.handlers != before[0]
    logs.close()
    logs.close()
    assert (root.handlers, root.level, service.handlers, service.level, service.propagate) == before


def test_a_closed_stream_is_no_error():
    stream = io.StringIO()
    logs = configure_logging(ServeSettings(), stream)
    stream.close()
    logging.getLogger("service").info("nobody reads this")
    logs.close()


def test_lines_of_many_threads_are_all_written(written):
    def act():
        def log(which: int) -> None:
            for number in range(200):
                logging.getLogger("service").info("line", extra={"which": which, "number": number})

        threads = [threading.Thread(target=log, args=(which,)) for which in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = parsed(written(act))
    assert {(line["which"], line["number"]) for line in lines} == {(w, n) for w in range(8) for n in range(200)}
