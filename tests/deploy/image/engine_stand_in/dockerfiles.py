"""A Dockerfile as stages and instructions, and what .dockerignore leaves of a build's context."""

import dataclasses
import re
import shlex
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: its name, its flags without `--`, and the rest with lines joined."""

    name: str
    flags: dict[str, str]
    rest: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """`base` is as written, with its variables."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def all(self, name: str) -> list[Instruction]:
        """The instructions of one name."""
        return [instruction for instruction in self.instructions if instruction.name == name]

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets, as written."""
        return {name: value for env in self.all("ENV") for name, value in assignments(env.rest)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """Stages in their order, and the arguments before the first."""

    arguments: dict[str, str]
    stages: tuple[Stage, ...]


def parsed(text: str) -> Dockerfile:
    """Read a Dockerfile of the plain kind: no here-documents, no parser directives."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in logical:
        name, _, rest = line.partition(" ")
        flags = dict(re.findall(r"--([a-z-]+)=(\S+)", match[0])) if (match := re.match(r"(--\S+\s+)+", rest)) else {}
        rest = rest[match.end() :] if match else rest.strip()
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(name=alias, base=base, instructions=()))
        elif not stages:
            assert name == "ARG", line
            arguments |= assignments(rest)
        else:
            added = (*stages[-1].instructions, Instruction(name=name, flags=flags, rest=rest))
            stages[-1] = dataclasses.replace(stages[-1], instructions=added)
    return Dockerfile(arguments=arguments, stages=tuple(stages))


def assignments(text: str) -> list[tuple[str, str]]:
    """NAME=VALUE pairs; a name alone has an empty value."""
    return [(word.partition("=")[0], word.partition("=")[2]) for word in shlex.split(text)]


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced; a name that is not there is a mistake."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables[match[1]], text)


def in_context(ignore: str, path: str) -> bool:
    """Whether .dockerignore leaves a file in the build's context: the last line that speaks of it or a folder above."""
    is_left = True
    for line in ignore.splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#"):
            regex = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            regex = regex.replace(r"\[", "[").replace(r"\]", "]")
            if re.fullmatch(f"{regex}(/.*)?", path):
                is_left = line.startswith("!")
    return is_left
