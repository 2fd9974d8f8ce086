"""The real command line, which takes an example apart without running it."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from page_examples.word_sets import words_of

from service.cli import app

UsageError: Any = typer.BadParameter.__base__
"""Of click, or of the copy of it in newer typers: whatever says that a command line is wrong."""

MADE = frozenset({"out", "prototypes", "triton", "export", "fiftyone", "state"})
"""Parameters that name what a command writes."""

NEEDED = words_of(
    "bundle bundles classifier classifiers auxiliary auxiliary_classifiers weights images held_out train data test "
    "image paths runs verify prototypes_from directory"
)
"""Parameters that name what must be there."""


@functools.cache
def _root() -> Any:
    return typer.main.get_command(app)


def commands() -> dict[str, Any]:
    """The commands of isthmus by name."""
    return dict(_root().commands)


def context_of(words: list[str]) -> Any:
    """What the command line makes of an example, all values read.

    Raises:
        UsageError: it would refuse it.
    """
    root = _root()
    if words[1:] in (["--help"], []):
        return root.context_class(root)
    context = root.make_context("isthmus", list(words[1:]))
    name, command, rest = root.resolve_command(context, [*context._protected_args, *context.args])
    if "--help" in rest:
        return root.context_class(command)
    inner = command.make_context(name, rest, parent=context)
    if name == "serve":
        _check_settings(inner.params)
    return inner


def _check_settings(flags: dict[str, Any]) -> None:
    from service.errors import InputError  # noqa: PLC0415
    from service.serving.flags import settings_of  # noqa: PLC0415

    try:
        settings_of(flags)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def problems_of_isthmus(words: list[str]) -> list[str]:
    """What the command line says against an example."""
    try:
        context_of(words)
    except UsageError as error:
        return [f"{' '.join(words)}: {error.format_message()}"]
    return []


def flags_of(command: Any) -> set[str]:
    """Every flag of a command."""
    parameters = command.get_params(command.context_class(command))
    return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)}


@functools.cache
def all_flags() -> frozenset[str]:
    """Every flag of every command."""
    return frozenset().union(flags_of(_root()), *(flags_of(command) for command in commands().values()))


def problems_of_mention(span: str) -> list[str]:
    """A command that the prose mentions, perhaps with a part of its options: whether all of them are known."""
    words = span.split()
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:]
    if not rest:
        return []
    command = commands().get(rest[0])
    if command is None:
        return [] if re.search(r"[^a-z-]", rest[0]) else [f"`{span}`: isthmus has no command {rest[0]}"]
    known = flags_of(command) | flags_of(_root())
    return [f"`{span}`: no option {word}" for word in rest if word.startswith("--") and word not in known]


def files_of(words: list[str]) -> tuple[list[str], list[str]]:
    """Files that an example needs, and files that it makes."""
    try:
        parameters = context_of(words).params
    except UsageError:
        return [], []
    needed = [value for name in sorted(NEEDED & parameters.keys()) for value in _texts(parameters[name])]
    made = [value for name in sorted(MADE & parameters.keys()) for value in _texts(parameters[name])]
    return [value.rpartition("=")[2] for value in needed], made


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)
