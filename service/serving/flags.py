"""How the settings of the server are called on the command line and in the environment, all from one table.

Nothing here imports torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import SecretStr, ValidationError

from service.errors import InputError
from service.settings import ServeSettings

NO_SETTINGS = {"ISTHMUS_TEST_DATA", "ISTHMUS_ONNX_PROVIDERS"}


def is_repeatable(name: str) -> bool:
    """Whether a setting holds several values, and its flag may be given several times."""
    return get_origin(ServeSettings.model_fields[name].annotation) is tuple


def is_switch(name: str) -> bool:
    """Whether a setting is on or off."""
    return ServeSettings.model_fields[name].annotation is bool


def is_secret(name: str) -> bool:
    """Whether a setting's value may not be shown."""
    return SecretStr in _types(ServeSettings.model_fields[name].annotation)


def flag_of(name: str) -> str:
    """The flag of a setting: `--queue-images` for `queue_images`; in the singular where it may be repeated."""
    singular = name.removesuffix("s") if is_repeatable(name) else name
    return f"--{singular.replace('_', '-')}"


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{ServeSettings.model_config['env_prefix']}{name.upper()}"


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: misspelt, most likely."""
    prefix = str(ServeSettings.model_config["env_prefix"])
    known = {variable_of(name) for name in ServeSettings.model_fields}
    return sorted(name for name in environment if name.startswith(prefix) and name not in known | NO_SETTINGS)


def kind_of(name: str) -> str:
    """What a setting takes, in one word."""
    kinds = _types(ServeSettings.model_fields[name].annotation)
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "PATH" if Path in kinds else "TEXT"


def default_of(name: str) -> str | None:
    """What a setting is where nobody says anything, in words; None where it is nothing."""
    default = ServeSettings.model_fields[name].default
    if default is None or default == ():
        return None
    if is_switch(name):
        return "on" if default else "off"
    return ", ".join(default) if isinstance(default, tuple) else str(default)


def settings_of(flags: Mapping[str, Any]) -> ServeSettings:
    """The settings that flags and the environment make together; a flag wins over its variable.

    Args:
        flags: by the setting's name; None and empty ones count as not given.

    Raises:
        InputError: a value is not what the setting takes.
    """
    given = {name: value for name, value in flags.items() if value is not None and value not in ([], ())}
    try:
        return ServeSettings(**given)
    except ValidationError as error:
        raise InputError("; ".join(_describe(dict(detail)) for detail in error.errors())) from None


def _describe(detail: dict[str, Any]) -> str:
    name = str(detail["loc"][0])
    if name not in ServeSettings.model_fields:
        return f"{name}: there is no such setting"
    came = "" if is_secret(name) else f", not {str(detail['input'])[:100]!r}"
    return f"{flag_of(name)} ({variable_of(name)}): {detail['msg']}{came}"


def _types(annotation: Any) -> set[Any]:
    """Every type that is named in an annotation, at any depth."""
    return {annotation}.union(*(_types(inner) for inner in get_args(annotation)))
