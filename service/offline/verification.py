"""`isthmus audit --verify`: what it says and what it ends with."""

from pathlib import Path

from service.console import printable, results, write_json
from service.offline.folder.verifying import verify
from service.progress import progress_bars

EXIT_DAMAGED = 2


def run_verification(folder: Path, *, is_json: bool) -> int:
    """Check what an audit wrote, say what is wrong, and return the exit code.

    Raises:
        InputError: the folder holds no audit.
        OSError: the disk failed.
    """
    with progress_bars() as progress:
        problems = verify(folder, progress)
    if is_json:
        write_json({"folder": str(folder), "is_intact": not problems, "problems": problems})
    else:
        for problem in problems:
            results.print(printable(problem), markup=False)
        if not problems:
            results.print(printable(f"{folder} is intact"), markup=False)
    return EXIT_DAMAGED if problems else 0
