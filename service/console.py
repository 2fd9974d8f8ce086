"""Where words go: results to stdout, everything else to stderr."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

results = Console(soft_wrap=True, highlight=False)
messages = Console(stderr=True, soft_wrap=True, highlight=False)


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document on one line of stdout.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
    """
    # ASCII, because a file name may hold bytes that no encoding can write.
    typer.echo(json.dumps(document, allow_nan=False))


def write_error(message: str) -> None:
    """Write one line on stderr."""
    messages.print(printable(" ".join(message.split())), style="red", markup=False)


def printable(text: str | os.PathLike[str]) -> str:
    """Replace what a terminal would take as a command or could not show; file names are a stranger's."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(text))


class _Notices(logging.Handler):
    """Prints through the console, which moves the progress bars out of the way."""

    def emit(self, record: logging.LogRecord) -> None:
        messages.print(printable(record.getMessage()), markup=False)


def show_notices() -> None:
    """Let the service's log reach stderr, one plain line a record."""
    logger = logging.getLogger("service")
    logger.handlers = [_Notices()]
    logger.setLevel(logging.INFO)


def describe_os_error(error: OSError) -> str:
    """Say in one line which file failed and why."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{Path(os.fsdecode(error.filename))}: {reason}" if isinstance(error.filename, str | bytes) else reason
