"""The command line: which commands there are, and what every failure looks like.

Importing this module and asking for help leave torch alone; each command imports what it needs when it runs.
"""

import importlib.metadata
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.commands import (
    audit,
    bench,
    calibrate,
    compare,
    demo,
    detect,
    early_exit,
    evaluate,
    explain,
    export,
    info,
    inspect_model,
    serve,
    study,
    train,
    view,
)
from service.console import describe_os_error, results, show_notices, write_error
from service.errors import InputError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class Application(TyperGroup):
    """A group of commands in which whatever a user can put right ends in one line on stderr."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            write_error("interrupted")
            raise typer.Exit(EXIT_INTERRUPTED) from interrupt
        except BrokenPipeError:
            raise
        except OSError as error:
            write_error(describe_os_error(error))
            raise typer.Exit(EXIT_BAD_INPUT) from error
        except ValueError as error:
            if not _can_be_put_right(error):
                raise
            write_error(str(error))
            raise typer.Exit(EXIT_BAD_INPUT) from error


def _can_be_put_right(error: ValueError) -> bool:
    if isinstance(error, InputError):
        return True
    from detector.types import DetectorError  # noqa: PLC0415
    from models.errors import ModelError  # noqa: PLC0415

    return isinstance(error, DetectorError | ModelError)


app = typer.Typer(
    cls=Application,
    name="isthmus",
    help="Tell whether an image that reaches a classifier is adversarial.",
    epilog="Exit codes: 0 done, 2 bad input, 3 something was flagged and --fail-on asked for it, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _say_version(is_asked: bool) -> None:
    if is_asked:
        results.print(f"isthmus {importlib.metadata.version('isthmus')}", highlight=False)
        raise typer.Exit


@app.callback()
def prepare(
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            envvar="ISTHMUS_THREADS",
            min=1,
            help="Threads for one computation; by default torch decides.",
            show_default=False,
        ),
    ] = None,
    _: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version and leave."),
    ] = False,
) -> None:
    """Set what holds for every command."""
    show_notices()
    if threads is not None:
        # torch reads it when it is imported, which has not happened yet.
        os.environ["OMP_NUM_THREADS"] = str(threads)


app.command("demo")(demo.run)
app.command("detect")(detect.run)
app.command("audit")(audit.run)
app.command("bench")(bench.run)
app.command("calibrate")(calibrate.run)
app.command("early-exit")(early_exit.run)
app.command("evaluate")(evaluate.run)
app.command("compare")(compare.run)
app.command("explain")(explain.run)
app.command("export")(export.run)
app.command("info")(info.run)
app.command("inspect-model")(inspect_model.run)
app.command("serve", cls=serve.ServeCommand)(serve.run)
app.command("study")(study.run)
app.command("train")(train.run)
app.command("view")(view.run)


def main() -> None:
    """Run the command line and leave with its exit code."""
    app()
