"""Everything that can be said against the examples of a page."""

import dataclasses
import itertools
import re
from pathlib import Path

from page_examples.data_blocks import problems_of_json, problems_of_python, problems_of_toml, problems_of_yaml
from page_examples.isthmus_commands import files_of
from page_examples.pages import SHELL, Block, blocks
from page_examples.programs import ROOT, problems_of_program, problems_of_variable
from page_examples.shell import Command, ShellError, parse
from page_examples.word_sets import words_of

DATA = {"python": problems_of_python, "toml": problems_of_toml, "yaml": problems_of_yaml, "json": problems_of_json}

OURS = ("deploy/", "tests/", "detector/", "service/", "models/")
"""What begins so is a file of this repository."""

READERS_OWN = words_of(
    "a.png b.jpg photo.png photo.jpg image.png images images.zip images.tgz uploads keys chain.pem key.pem test.npz "
    "train.npz train-4000.npz train held-out held-out.npz my-bundle mine.pt2 SPEC.toml ROBUST.toml squeezenet1000.toml "
    "squeezenet.toml candidate sample RUN values.yaml green.yaml"
)
"""What a reader of a page has, and no command of it makes."""


@dataclasses.dataclass
class Past:
    """What the examples further up on a page have left behind.

    Attributes:
        folder: where the page lies.
        made: files.
        aliases: the words that a name of one's own stands for.
    """

    folder: Path
    made: set[str] = dataclasses.field(default_factory=set)
    aliases: dict[str, list[str]] = dataclasses.field(default_factory=dict)


def problems_of_page(text: str, folder: Path = ROOT) -> list[str]:
    """All problems of all examples of a page in a folder, with the lines where they begin."""
    past = Past(folder)
    return [f"line {block.line}: {problem}" for block in blocks(text) for problem in problems_of_block(block, past)]


def problems_of_block(block: Block, past: Past) -> list[str]:
    """Problems of one example.

    Args:
        past: what earlier examples have left behind; what this one leaves is added.
    """
    if block.language in SHELL:
        return _problems_of_shell(block.text, past)
    if block.language in DATA:
        return DATA[block.language](block.text)
    return [f"what is a block of {block.language}?"] if block.language != "text" else []


def _problems_of_shell(text: str, past: Past) -> list[str]:
    try:
        commands = parse(text)
    except ShellError as error:
        return [str(error)]
    found = [] if commands else ["no command in it"]
    for command in commands:
        _expand(command, past)
        found += [problem for variable in command.variables for problem in problems_of_variable(variable)]
        if command.words:
            found += problems_of_program(command.words)
        found += _problems_of_files(command, past)
    return found


def _expand(command: Command, past: Past) -> None:
    if command.words[:1] == ["alias"]:
        name, _, meaning = command.words[1].partition("=")
        command.words = past.aliases[name] = parse(meaning)[0].words
    elif command.words and command.words[0] in past.aliases:
        command.words = [*past.aliases[command.words[0]], *command.words[1:]]


def _problems_of_files(command: Command, past: Past) -> list[str]:
    words, made = command.words, past.made
    needed, writes = files_of(words) if words and Path(words[0]).name == "isthmus" else ([], [])
    made.update(_plain(name) for name in [*writes, *command.written, *_made_by(words)])
    # `deployment/isthmus` and the like are names of a cluster.
    ours = [] if words[:1] == ["kubectl"] else [word for word in map(_named_in, words) if word.startswith(OURS)]
    missing = [f"there is no {name} in the repository" for name in ours if not any(ROOT.glob(_plain(name)))]
    absent = [name for name in needed if not name.startswith(OURS) and not _is_there(name, made)]
    if words[:1] in (["kubectl"], ["helm"]):
        given = [name for flag, name in itertools.pairwise(words) if flag in {"-f", "--filename", "--values"}]
        missing += [f"there is no {name}" for name in given if not _is_manifest(name, past)]
    return missing + [f"nothing on the page makes {name}" for name in absent]


def _is_manifest(name: str, past: Past) -> bool:
    stands_for = name in past.made | READERS_OWN | {"-"} or "$" in name or "://" in name
    return stands_for or (past.folder / name).exists() or (ROOT / name).exists()


def _named_in(word: str) -> str:
    return word.removeprefix("--").rpartition("=")[2].removeprefix("@").removeprefix("./")


def _made_by(words: list[str]) -> list[str]:
    """Files that tools of the system make, by what stands behind the options that say so, or stands last."""
    if not words:
        return []
    if words[0] in {"mv", "cp", "mkdir", "ln", "touch", "rsync", "tee"}:
        return [words[-1]] if words[0] != "mkdir" else [word for word in words[1:] if not word.startswith("-")]
    options = {"-o", "--output", "-d", "-out", "--out", "-cf", "-czf", "-C"}
    return [value for flag, value in itertools.pairwise(words) if flag in options]


def _is_there(name: str, made: set[str]) -> bool:
    from models.registry import names as registered_names  # noqa: PLC0415
    from service.bundles import shipped_names  # noqa: PLC0415

    plain = _plain(name)
    known = plain in made | READERS_OWN or plain in {*shipped_names(), *registered_names()}
    # Upper-case names stand for the reader's own; absolute paths are those of the reader's machine.
    stands_for = re.fullmatch(r"[A-Z]+(/[A-Za-z.]+)?", plain) or "$" in plain or re.match(r"/|~|[a-z0-9]+:", plain)
    below = any(plain.startswith(f"{folder}/") for folder in made | READERS_OWN)
    return known or bool(stands_for) or below


def _plain(name: str) -> str:
    return name.removeprefix("./").rstrip("/") or name
