"""A stand-in for the engine that would build and run an image.

It follows the instructions one by one in mount namespaces. What `FROM python:…` would bring is this machine's own
system with its Python at /usr/local; everything that a stage writes goes into a layer of its own above that.
"""

import dataclasses
import functools
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine_stand_in.dockerfiles import Dockerfile, Instruction, Stage, assignments, expanded

PARTS = {"/": "", "/usr": "/usr", "/etc": "/etc"} | (
    {} if sys.base_prefix == "/usr" else {"/usr/local": sys.base_prefix}
)
"""Where the parts of a root come from: folders of this machine below the layers, or nothing but layers."""

WHOLE = "system"
"""What a layer calls its part of the root itself."""

PART_NAMES = {place: place.strip("/").replace("/", "-") or WHOLE for place in PARTS}
FOLDERS = ("dev", "proc", "tmp", "root", "run", "opt", "var/lib", "usr", "etc")
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
REGISTRY = ("PIP_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_FIND_LINKS", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy")
"""What tells pip on this machine how registries are reached; no part of the image."""


@dataclasses.dataclass(kw_only=True)
class Image:
    """A stage that was built: its layers, the newest first, and what was set in it."""

    layers: list[Path]
    environment: dict[str, str]
    folder: str = "/"
    user: str = "root"

    def mounted(self, at: str, above: Path | None) -> str:
        """Shell commands that mount it: writable into the layer `above`, or read-only."""
        commands = []
        for place, base in PARTS.items():
            lower = ":".join([*(str(part_of(layer, place)) for layer in self.layers), *([base] if base else [])])
            options = f"lowerdir={lower}"
            if above:
                options += f",upperdir={part_of(above, place)},workdir={above}/scratch/{PART_NAMES[place]}"
            commands.append(f"mount -t overlay overlay -o {options} {at}{place}")
        commands += [f"mount --rbind /{name} {at}/{name}" for name in ("dev", "proc")]
        return "\n".join([*commands, *(f"mount -t tmpfs -o mode=1777 tmpfs {at}/{name}" for name in ("tmp", "root"))])

    def program(self, arguments: Sequence[str], mounts: Mapping[str, Path], above: Path, **variables: str) -> list[str]:
        """A command of this machine that runs a program in the image as its user, on a read-only root.

        Args:
            arguments: the program and what it is given; found by the image's PATH.
            mounts: folders of the image and what they are of this machine; only what the user may write is written.
            above: a layer that has the folders mounted on, as an engine makes it.
            variables: to be set besides the image's.
        """
        root = str(above.parent / "running")
        Path(root).mkdir(exist_ok=True)
        for place in mounts:
            part = max((part for part in PARTS if place.startswith(part)), key=len)
            (part_of(above, part) / place.removeprefix(part).lstrip("/")).mkdir(parents=True, exist_ok=True)
        seen = dataclasses.replace(self, layers=[above, *self.layers])
        binds = [f"mount --bind {source} {root}{place}" for place, source in mounts.items()]
        user, _, group = self.user.partition(":")
        environment = _words({**self.environment, **variables})
        enter = f"exec chroot {root} setpriv --reuid {user} --regid {group} --clear-groups --no-new-privs"
        program = f"--bounding-set=-all env -i -C {self.folder} {environment} {shlex.join(arguments)}"
        return namespaced("\n".join([seen.mounted(root, None), *binds, f"{enter} {program}"]))


def part_of(layer: Path, place: str) -> Path:
    """What a layer has of one part of the root."""
    return layer / PART_NAMES[place]


def namespaced(script: str) -> list[str]:
    """A command that runs a shell script in a mount namespace; whatever it execs at the end is that very process."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script]


class Builder:
    """Builds stages of a Dockerfile below a folder, from the context that .dockerignore leaves.

    Attributes:
        folder: what is built lies below it.
        executed: the RUN instructions that were executed.
    """

    def __init__(self, dockerfile: Dockerfile, folder: Path, context: Path, arguments: Mapping[str, str]) -> None:
        self._dockerfile = dockerfile
        self.folder = folder
        self._context = context
        self._arguments = {**dockerfile.arguments, **arguments}
        self._given = arguments
        self._images: dict[str, Image] = {}
        self.executed: list[str] = []

    def built(self, name: str) -> Image:
        """The stage of a name; those that it needs are built before it, each once."""
        if name not in self._images:
            (stage,) = [stage for stage in self._dockerfile.stages if stage.name == name]
            base = expanded(stage.base, self._arguments)
            known = {stage.name for stage in self._dockerfile.stages}
            parent = self.built(base) if base in known else self._started_from
            self._images[name] = self._follow(stage, parent)
        return self._images[name]

    @functools.cached_property
    def _started_from(self) -> Image:
        base, layer = Image(layers=[], environment={"PATH": PATH}), self.new_layer("base")
        for name in FOLDERS:
            (layer / WHOLE / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (layer / WHOLE / name).symlink_to(f"usr/{name}")
        for place in self.wheels:
            (layer / WHOLE / place.relative_to("/")).mkdir(parents=True)
        base.layers = [layer]
        # Python's shared library lies at /usr/local now, as it does in Python's own images.
        upper = self.new_layer("linked")
        self._in(base, upper, "ldconfig", base.environment)
        return dataclasses.replace(base, layers=[upper, layer])

    @property
    def wheels(self) -> list[Path]:
        """Folders of this machine that pip takes files from."""
        return [Path(word) for word in os.environ.get("PIP_FIND_LINKS", "").split() if Path(word).is_dir()]

    def new_layer(self, name: str) -> Path:
        """An empty layer."""
        layer = self.folder / name
        for part in PART_NAMES.values():
            (layer / part).mkdir(parents=True)
            (layer / "scratch" / part).mkdir(parents=True)
        return layer

    def _follow(self, stage: Stage, parent: Image) -> Image:
        layer = self.new_layer(stage.name)
        image = Image(layers=parent.layers, environment=dict(parent.environment), folder=parent.folder)
        arguments: dict[str, str] = {}
        for instruction in stage.instructions:
            variables = {**arguments, **image.environment}
            match instruction.name:
                case "ARG":
                    for name, value in assignments(instruction.rest):
                        arguments[name] = self._given.get(name, value or self._arguments.get(name, ""))
                case "ENV":
                    values = dict(assignments(instruction.rest))
                    image.environment |= {name: expanded(value, variables) for name, value in values.items()}
                case "WORKDIR":
                    image.folder = instruction.rest
                    self._in(image, layer, f"mkdir -p {image.folder}", variables)
                case "COPY":
                    self._copy(image, layer, instruction)
                case "RUN":
                    understood = not instruction.flags and "<<" not in instruction.rest and image.user == "root"
                    assert understood, f"the stand-in cannot execute {instruction}"
                    self._in(image, layer, instruction.rest, variables)
                    self.executed.append(instruction.rest)
                case "USER":
                    image.user = instruction.rest
                case "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                    pass
                case other:
                    raise AssertionError(f"the stand-in does not know {other}")
        image.layers = [layer, *parent.layers]
        return image

    def _in(self, image: Image, layer: Path, command: str, variables: Mapping[str, str]) -> None:
        root = self._mount_point()
        registry = {name: os.environ[name] for name in REGISTRY if name in os.environ}
        enter = f"exec chroot {root} env -i -C {image.folder} {_words({**registry, **variables})} sh -c "
        binds = [f"mount --bind {place} {root}{place}" for place in self.wheels]
        folder = f"mkdir -p {root}{image.folder}"
        script = "\n".join([image.mounted(root, layer), *binds, folder, enter + shlex.quote(command)])
        run = subprocess.run(namespaced(script), capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{command}\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"

    def _copy(self, image: Image, layer: Path, instruction: Instruction) -> None:
        *sources, target = instruction.rest.split()
        place = Path(image.folder, target)
        written = layer / WHOLE / place.relative_to("/")
        roots = [self._context]
        if stage := instruction.flags.get("from"):
            # Linked, not copied: layers are never written again. Nothing below is in a part of its own.
            roots = [below / WHOLE for below in reversed(self.built(stage).layers)]
        for source in sources:
            paths = [path for root in roots if (path := root / source.lstrip("/")).exists()]
            assert paths, f"not there to be copied: {source}"
            for path in paths:
                # The contents of a folder go into the target, a file becomes it, or goes into it.
                into = written / path.name if path.is_file() and target.endswith("/") else written
                into.parent.mkdir(parents=True, exist_ok=True)
                folder, start = (into, f"{path}/.") if path.is_dir() else (into.parent, str(path))
                assert not {part for part in PARTS if part != "/" and (path / part.lstrip("/")).exists()}
                folder.mkdir(parents=True, exist_ok=True)
                how = "-alf" if stage else "-a"
                subprocess.run(["cp", how, "--no-preserve=ownership", start, str(into)], check=True)

    def _mount_point(self) -> str:
        (self.folder / "mounted").mkdir(exist_ok=True)
        return str(self.folder / "mounted")


def _words(variables: Mapping[str, str]) -> str:
    return " ".join(shlex.quote(f"{name}={value}") for name, value in variables.items())
