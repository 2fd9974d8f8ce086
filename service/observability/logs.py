"""The log: one line a record on stderr, JSON or text, written by a thread of its own.

Whoever logs only puts the record into a bounded queue. Where lines come faster than they can be written, further ones
are dropped and counted (`isthmus_log_dropped_total`): a slow disk or a full pipe never holds up a request.
"""

import atexit
import contextlib
import logging
import queue
import sys
import threading
from typing import TextIO

from service.observability import context
from service.observability.log_formats import JsonFormatter, TextFormatter
from service.settings import ServeSettings

QUEUE_LINES = 10_000
LINES_AT_ONCE = 256
CLOSING_SECONDS = 5.0

AUDIT = "service.audit"
"""Its lines, one a verdict, are written at any log level."""

OWN = ("service", "detector", "models", "uvicorn", "py.warnings")
"""Loggers that follow the setting; others write warnings at most."""

REDIRECTED = ("", *OWN, "uvicorn.error", "uvicorn.access", AUDIT)


class QueueingHandler(logging.Handler):
    """Hands records over without waiting.

    Attributes:
        n_dropped: records for which there was no place.
    """

    def __init__(self, capacity: int = QUEUE_LINES) -> None:
        super().__init__()
        self.records: queue.Queue[logging.LogRecord | None] = queue.Queue(capacity)
        self.n_dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.args:
            # What it refers to may be another by the time that it is written.
            record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if not hasattr(record, "request_id"):
            record.request_id = context.request_id.get()
        try:
            self.records.put_nowait(record)
        except queue.Full:
            self.n_dropped += 1


class LogWriter(threading.Thread):
    """Writes what the handler was given, many lines at once where many wait."""

    def __init__(self, handler: QueueingHandler, formatter: logging.Formatter, stream: TextIO) -> None:
        super().__init__(name="log", daemon=True)
        self._records = handler.records
        self._formatter = formatter
        self._stream = stream

    def run(self) -> None:
        while self._write_some():
            pass

    def _write_some(self) -> bool:
        """Wait for a record and write all that are there; False after the last."""
        records = [self._records.get()]
        with contextlib.suppress(queue.Empty):
            while len(records) < LINES_AT_ONCE:
                records.append(self._records.get_nowait())
        lines = [self._line(record) for record in records if record is not None]
        # Nobody reads any more, or the disk is full; whoever logged can do nothing about it.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write("".join(lines))
            self._stream.flush()
        return None not in records

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self._formatter.format(record) + "\n"
        except Exception as error:  # a record that cannot be said must not end the log
            return f"a line of {record.name} could not be written: {type(error).__name__}\n"


class Logs:
    """The log of a server, from being configured until `close`."""

    def __init__(self, settings: ServeSettings, stream: TextIO) -> None:
        self._handler = QueueingHandler()
        formatter = JsonFormatter() if settings.log_format == "json" else TextFormatter()
        self._writer = LogWriter(self._handler, formatter, stream)
        self._before = [_state(logging.getLogger(name)) for name in REDIRECTED]
        level = logging.getLevelNamesMapping()[settings.log_level.upper()]
        for name in REDIRECTED:
            _redirect(logging.getLogger(name), [] if name else [self._handler], logging.NOTSET)
        for name in OWN:
            logging.getLogger(name).setLevel(level)
        logging.getLogger().setLevel(max(level, logging.WARNING))
        logging.getLogger(AUDIT).setLevel(logging.INFO)
        logging.captureWarnings(True)
        self._writer.start()
        atexit.register(self.close)

    def close(self) -> None:
        """Write what waits, and give the loggers back as they were. Safe to call again."""
        atexit.unregister(self.close)
        if not self._before:
            return
        logging.captureWarnings(False)
        for logger, handlers, level, propagates in self._before:
            _redirect(logger, handlers, level)
            logger.propagate = propagates
        self._before = []
        # Where the writer is stuck and the queue full, the rest of the log is lost, the server not.
        with contextlib.suppress(queue.Full):
            self._handler.records.put(None, timeout=CLOSING_SECONDS)
        self._writer.join(CLOSING_SECONDS)


def configure_logging(settings: ServeSettings, stream: TextIO | None = None) -> Logs:
    """Send every log, uvicorn's and warnings too, to one place, in one form.

    Args:
        settings: `log_format` and `log_level` of them.
        stream: where to write; by default stderr.
    """
    return Logs(settings, stream or sys.stderr)


def dropped_lines() -> int:
    """Lines dropped so far by the log in use."""
    return sum(handler.n_dropped for handler in logging.getLogger().handlers if isinstance(handler, QueueingHandler))


def _state(logger: logging.Logger) -> tuple[logging.Logger, list[logging.Handler], int, bool]:
    return logger, logger.handlers, logger.level, logger.propagate


def _redirect(logger: logging.Logger, handlers: list[logging.Handler], level: int) -> None:
    logger.handlers = handlers
    logger.propagate = True
    logger.setLevel(level)
