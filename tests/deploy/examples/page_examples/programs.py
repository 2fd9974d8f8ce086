"""What can be said against an example of a program without running it."""

import ast
import functools
import itertools
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml
from page_examples.isthmus_commands import problems_of_isthmus
from page_examples.routes import problems_of_curl
from page_examples.word_sets import words_of

ROOT = Path(__file__).parents[4]

TOOLS = words_of(
    ". apt-get base64 cat cd chmod chown cp cut date docker-compose echo env export find grep gzip head jq kill ln ls "
    "mkdir mv nproc nvidia-smi openssl printf ps rm rsync set sha256sum sleep sort sqlite3 tail tar tee test touch "
    "umask unzip wc sudo systemctl id install free watch xargs mktemp diff uniq"
)
"""Programs of the system that pages use; only the files in their arguments are looked at."""

KUBECTL = words_of(
    "apply create get describe logs delete rollout scale exec cp port-forward wait top debug label annotate set patch "
    "run config auth explain events drain cordon uncordon"
)
HELM = words_of("install upgrade rollback uninstall history status test template lint get list show diff")
DOCKER = words_of("build run compose exec logs stop stats ps cp pull push tag image inspect save load")


def problems_of_python(words: list[str]) -> list[str]:
    """A script that is there and knows its options, or a module of the standard library."""
    rest = words[1:]
    while rest and rest[0] in {"-P", "-I", "-u"}:
        rest = rest[1:]
    if rest[:2] == ["-m", "pip"]:
        return problems_of_pip(rest[1:])
    if not rest or rest[0] in {"-m", "-c", "-"}:
        return []
    script = ROOT / rest[0]
    if not script.is_file():
        return [f"there is no script {rest[0]}"]
    known = options_of(script)
    return [f"{rest[0]}: no option {word}" for word in rest[1:] if re.match(r"--?[a-z]", word) and word not in known]


@functools.cache
def options_of(script: Path) -> frozenset[str]:
    """The options that a script declares, read from its source."""
    nodes = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(text for text in texts if re.fullmatch(r"--?[a-z][a-z0-9-]*", text)) | {"--help", "-h"}


def problems_of_pip(words: list[str]) -> list[str]:
    """Extras that pyproject.toml does not have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [match for word in words if (match := re.fullmatch(r"(isthmus|\.)\[([\w,-]+)\].*", word))]
    asked = [extra for match in named for extra in match[2].split(",")]
    return [f"pip: there is no extra {extra}" for extra in asked if extra not in project["optional-dependencies"]]


def problems_of_helm(words: list[str]) -> list[str]:
    """Subcommands and values that are not there."""
    found = _problems_of_subcommand(words, HELM)
    defaults = yaml.safe_load((ROOT / "deploy/helm/isthmus/values.yaml").read_text(encoding="utf-8"))
    for flag, value in itertools.pairwise(words):
        if flag in {"--set", "--set-string", "--set-file", "--set-json"}:
            keys = re.findall(r"(?:^|,)([\w.\[\]-]+)=", re.sub(r"\{[^}]*\}", "", value))
            found += [f"helm: values.yaml has no {key}" for key in keys if not _has(defaults, key.split("."))]
    return found


def _has(values: object, keys: list[str]) -> bool:
    for key in keys:
        name = re.sub(r"\[\d+\]$", "", key)
        if not isinstance(values, dict):
            return False
        if name not in values:
            # Tables that are empty by default, and the settings, take names of one's own.
            return not values or _is_setting(name)
        values = values[name]
    return True


def _is_setting(name: str) -> bool:
    from service.settings import ServeSettings  # noqa: PLC0415

    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name) in ServeSettings.model_fields


def problems_of_docker(words: list[str]) -> list[str]:
    """Subcommands and build arguments that are not there."""
    found = _problems_of_subcommand(words, DOCKER)
    declared = set(re.findall(r"^ARG (\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    for flag, value in itertools.pairwise(words):
        if flag == "--build-arg" and value.partition("=")[0] not in declared:
            found.append(f"docker: the Dockerfile has no argument {value.partition('=')[0]}")
        if flag in {"-e", "--env"}:
            found += problems_of_variable(value)
    return found


def problems_of_variable(assignment: str) -> list[str]:
    """A setting in the environment that the service does not have."""
    from service.serving.flags import unknown_variables  # noqa: PLC0415

    return [f"there is no setting {name}" for name in unknown_variables({assignment.partition("=")[0]: ""})]


def problems_of_kubectl(words: list[str]) -> list[str]:
    """Subcommands that are not there."""
    return _problems_of_subcommand(words, KUBECTL)


def _problems_of_subcommand(words: list[str], known: frozenset[str]) -> list[str]:
    return [] if known & set(words[1:6]) else [f"{words[0]}: none of its commands in {' '.join(words)}"]


def nothing(words: list[str]) -> list[str]:
    """A program whose files alone are looked at."""
    return []


CHECKS: dict[str, Callable[[list[str]], list[str]]] = {
    "isthmus": problems_of_isthmus,
    "curl": problems_of_curl,
    "python": problems_of_python,
    "python3": problems_of_python,
    "pip": problems_of_pip,
    "helm": problems_of_helm,
    "docker": problems_of_docker,
    "kubectl": problems_of_kubectl,
    "pytest": nothing,
    "promtool": nothing,
    "amtool": nothing,
    **dict.fromkeys(TOOLS, nothing),
}


def problems_of_program(words: list[str]) -> list[str]:
    """What is wrong with a command, its files left aside."""
    check = CHECKS.get(Path(words[0]).name or words[0])
    return [f"what is {words[0]}?"] if check is None else check(words)
