"""Small text files in which Linux says what it knows: proc(5), cgroups(7). A file that is not there says nothing."""

from pathlib import Path

ROOT = Path("/")
OWN_STATUS = Path("proc/self/status")


def read_lines(path: Path) -> list[str]:
    """The lines of a file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def first_value(path: Path, name: str) -> str:
    """The first value of that name in a file of `name : value` lines; empty where there is none."""
    lines = (line.partition(":") for line in read_lines(path))
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def whole_numbers(path: Path) -> dict[str, int]:
    """By name, the lines that are a name and a whole number, and perhaps a unit."""
    parts = (line.replace(":", " ").split() for line in read_lines(path))
    return {part[0]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdecimal()}


def whole_number(path: Path) -> int | None:
    """The number that is all of the file; None where it holds something else."""
    text = "".join(read_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def bytes_of_this_process(field: str, root: Path = ROOT) -> int | None:
    """A size that the system keeps of this process, such as `VmRSS`; None where it does not say."""
    kibibytes = whole_numbers(root / OWN_STATUS).get(field)
    return None if kibibytes is None else 1024 * kibibytes
