"""As much of a shell's grammar as examples use: words, quotes, comments, substitutions, redirections, here-texts."""

import dataclasses
import re

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclasses.dataclass
class Command:
    """One simple command.

    Attributes:
        words: program and arguments, quotes taken off.
        variables: NAME=VALUE before the program.
        written: files that redirections write.
        read: files that redirections read.
    """

    words: list[str] = dataclasses.field(default_factory=list)
    variables: list[str] = dataclasses.field(default_factory=list)
    written: list[str] = dataclasses.field(default_factory=list)
    read: list[str] = dataclasses.field(default_factory=list)


class ShellError(ValueError):
    """What no shell would take."""


def parse(text: str) -> list[Command]:
    """The simple commands of a text, those of its substitutions behind them."""
    reader = _Reader(_without_prompts(text))
    reader.read_all()
    inner = [command for part in reader.substitutions for command in parse(part)]
    return [command for command in reader.commands if command.words or command.variables] + inner


def _without_prompts(text: str) -> str:
    lines = text.splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return text
    return "\n".join(line[2:] for line in lines if line.startswith("$ "))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.commands = [Command()]
        self.substitutions: list[str] = []
        self._word: str | None = None
        self._redirection = ""
        self._here_ends: list[str] = []

    def read_all(self) -> None:
        while self.at < len(self.text):
            self._step(self.text[self.at])
        self._end_word()

    def _step(self, letter: str) -> None:
        if letter == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            if following != "\n":
                self._add(following)
            self.at += 2
        elif letter == "'":
            self._add(self._until("'", self.at + 1))
        elif letter == '"':
            self._double_quoted()
        elif self.text.startswith("$(", self.at):
            self._add(self._substitution())
        elif letter == "#" and self._word is None:
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        elif letter in " \t":
            self._end_word()
            self.at += 1
        elif letter in "\n;&|()":
            self._operator(letter)
        elif letter in "<>":
            self._redirect(letter)
        else:
            self._add(letter)
            self.at += 1

    def _add(self, part: str) -> None:
        self._word = (self._word or "") + part

    def _until(self, end: str, begin: int) -> str:
        found = self.text.find(end, begin)
        if found < 0:
            raise ShellError(f"no closing {end} behind {self.text[begin : begin + 30]!r}")
        self.at = found + 1
        return self.text[begin:found]

    def _double_quoted(self) -> None:
        self._add("")
        self.at += 1
        while True:
            if self.at >= len(self.text):
                raise ShellError('no closing "')
            letter = self.text[self.at]
            if letter == '"':
                self.at += 1
                return
            if self.text.startswith("$(", self.at):
                self._add(self._substitution())
                continue
            if letter == "\\" and self.text[self.at + 1] in '"\\$`\n':
                self.at += 1
                letter = self.text[self.at]
            self._add(letter)
            self.at += 1

    def _substitution(self) -> str:
        depth, begin = 0, self.at + 2
        for index in range(self.at + 1, len(self.text)):
            depth += {"(": 1, ")": -1}.get(self.text[index], 0)
            if depth == 0:
                self.substitutions.append(self.text[begin:index])
                self.at = index + 1
                return "SUBSTITUTED"
        raise ShellError("no closing ) behind $(")

    def _operator(self, letter: str) -> None:
        self._end_word()
        self.commands.append(Command())
        self.at += 1
        if letter == "\n":
            for end in self._here_ends:
                self.at = self.text.find(f"\n{end}", self.at - 1) + len(end) + 1
            self._here_ends.clear()

    def _redirect(self, letter: str) -> None:
        if self._word is not None and self._word.isdigit():
            self._word = None
        self._end_word()
        match = re.compile(r"<<-?|>>|>&\d?|[<>]").match(self.text, self.at)
        assert match, letter
        self.at = match.end()
        if "&" not in match[0]:
            self._redirection = match[0]

    def _end_word(self) -> None:
        word, self._word = self._word, None
        if word is None:
            return
        command, kind, self._redirection = self.commands[-1], self._redirection, ""
        if kind.startswith("<<"):
            self._here_ends.append(word)
        elif kind:
            (command.read if kind == "<" else command.written).append(word)
        elif not command.words and ASSIGNMENT.match(word):
            command.variables.append(word)
        else:
            command.words.append(word)
