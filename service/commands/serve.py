"""isthmus serve."""

import inspect
from typing import Any

import typer
from typer.core import TyperCommand


class ServeCommand(TyperCommand):
    """A command whose flags are the server's settings; they are read when they are needed, not for other commands."""

    def get_params(self, ctx: Any) -> Any:
        """The flags, in the order of the settings."""
        if not self.params:
            self.params = _flags()
        return super().get_params(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run it with whatever flags were given."""
        return ctx.invoke(run, **ctx.params)


def run(**flags: Any) -> None:
    """Serve verdicts over HTTP: a native API, the Open Inference Protocol, metrics, and a page for people.

    Every flag is an environment variable, too, which the flag wins over. SIGTERM or Ctrl+C: no longer ready, then
    everything that was accepted is answered; a second one stops at once. Exit code: 0 after everything was answered.
    """
    from service.serving.flags import settings_of  # noqa: PLC0415

    settings = settings_of(flags)
    from service.serving.start import run_server  # noqa: PLC0415

    raise typer.Exit(run_server(settings))


# Typer makes flags of what a function takes; here they are made of the settings.
run.__signature__ = inspect.Signature()  # type: ignore[attr-defined]


def _flags() -> list[Any]:
    from service.serving.flags import is_repeatable, is_switch  # noqa: PLC0415
    from service.settings import ServeSettings  # noqa: PLC0415

    def take(**flags: Any) -> None: ...

    parameters = []
    for name in ServeSettings.model_fields:
        kind = list[str] if is_repeatable(name) else bool if is_switch(name) else str
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_option(name), annotation=kind | None)
        )
    take.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    take.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    only_flags = typer.Typer(add_completion=False)
    only_flags.command()(take)
    return typer.main.get_command(only_flags).params


def _option(name: str) -> Any:
    from service.serving.flags import default_of, flag_of, is_switch, kind_of, variable_of  # noqa: PLC0415
    from service.settings import ServeSettings  # noqa: PLC0415

    flag = flag_of(name)
    return typer.Option(
        None,
        f"{flag}/--no-{flag.removeprefix('--')}" if is_switch(name) else flag,
        help=f"{ServeSettings.model_fields[name].description} ({variable_of(name)})",
        show_default=default_of(name) or False,
        metavar=None if is_switch(name) else kind_of(name),
    )
