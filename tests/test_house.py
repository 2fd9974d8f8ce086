"""The checks that people and CI run alike, as tests: style, types, imports, and what may not be in the tree."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("service", "detector", "models")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 250, 40


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("lint-imports",),
    ],
    ids=" ".join,
)
def test_the_tree_passes(command: tuple[str, ...]) -> None:
    tool = Path(sys.executable).with_name(command[0])
    run = subprocess.run([str(tool), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_file_and_no_function_holds_two_things() -> None:
    too_long = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > LONGEST_FILE:
            too_long.append(f"{path.relative_to(ROOT)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and body_length(node) > LONGEST_FUNCTION:
                too_long.append(f"{path.relative_to(ROOT)}: {node.name}, {body_length(node)} lines")
    assert not too_long


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of what a function does; the options of a command are its signature, and not counted."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def test_no_module_can_run_what_it_reads() -> None:
    forbidden = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            if isinstance(node, ast.Attribute) and node.attr == "hub":
                names = ["pickle"]
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.split(".")[0] in forbidden]
    assert not found


def test_the_repository_holds_nobody_elses_images() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pictures = [name for name in tracked if Path(name).suffix.lower() in {".jpg", ".jpeg", ".webp", ".npz", ".parquet"}]
    assert not pictures
