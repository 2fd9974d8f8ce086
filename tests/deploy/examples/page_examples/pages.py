"""The examples, links and names of a page of Markdown."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *$")
SHELL = frozenset({"sh", "bash", "console"})


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        line: the number of its first line, for messages.
        language: as the page says, or as it looks where the page says nothing.
    """

    line: int
    language: str
    text: str


def blocks(text: str) -> Iterator[Block]:
    """Fenced blocks, and indented ones behind an empty line."""
    lines, index = text.splitlines(), 0
    while index < len(lines):
        begin = index + 1
        if fence := FENCE.match(lines[index]):
            end = next(i for i in range(begin, len(lines)) if lines[i].strip() == "```")
            body = "\n".join(line.removeprefix(fence["indent"]) for line in lines[begin:end])
            yield Block(begin + 1, fence["language"] or _looks_like(body), body)
            index = end + 1
        elif lines[index].startswith("    ") and (index == 0 or not lines[index - 1].strip()):
            end = next((i for i in range(index, len(lines)) if not lines[i].startswith("    ")), len(lines))
            body = "\n".join(line[4:] for line in lines[index:end])
            yield Block(begin, _looks_like(body), body)
            index = end
        else:
            index += 1


def _looks_like(body: str) -> str:
    if all(re.fullmatch(r"[\w.-]+/\S+", line) for line in body.splitlines()):
        return "text"
    try:
        return "toml" if tomllib.loads(body) else "sh"
    except tomllib.TOMLDecodeError:
        # No command begins so.
        return "text" if body[:1] in {"[", "{"} else "sh"


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    kept, inside = [], False
    for line in text.splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def spans(text: str) -> list[str]:
    """What stands between backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def links(text: str) -> list[str]:
    """Where the prose leads to."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in addresses, as GitHub calls them."""
    headings = re.findall(r"^#+ +(.+?) *#*$", prose(text), re.MULTILINE)
    plain = [re.sub(r"[`*_]|\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    """Links of a page that lead nowhere in the repository."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists():
            found.append(f"{link}: there is no such file")
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            found.append(f"{link}: there is no such heading")
    return found
