"""What an operator types: every verb, and the one place where errors become words and exit codes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, Never

import typer

from contracts.errors import TargetsError
from infra.errors import Refused
from runbook.console import deliver_result, prepare_streams, say_error
from runbook.toolchain.docker_context import use_context
from runbook.verbs import VERBS, load_verb

_INTERRUPTED = 130
"""The exit code that Typer gives a command which was interrupted; it says nothing of its own."""


def run_command_line(arguments: Sequence[str] | None = None) -> None:
    """Run the verb that *arguments* begin with; by default, those that this process was started with."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    app = typer.Typer(
        name="runbook",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    # With a callback a single verb is typed by its name, too.
    @app.callback(help="The deployment runbook of a WhatsApp AI assistant, executable.")
    def prepare(stack: Annotated[str, typer.Option("--stack", hidden=True)] = "") -> None:
        if stack:  # many type it there
            raise typer.BadParameter(
                f"--stack comes after the verb, as in `bin/runbook outputs --stack {stack}`"
            )
        if "--help" not in words:
            use_context()

    for name in words[:1] if words and words[0] in VERBS else VERBS:
        verb = load_verb(name)
        if isinstance(verb, typer.Typer):
            app.add_typer(verb, name=name)
        else:
            app.command(name)(verb)
    app(words, prog_name="bin/runbook")


def main(command: Callable[[], object] = run_command_line) -> None:
    """Run *command*, the verb on the command line: exit 0 done, 1 refused or failed, 2 usage."""
    for stop in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(stop) is signal.SIG_DFL:  # `nohup` has SIGHUP ignored, and means it
            signal.signal(stop, _interrupt)
    prepare_streams()
    try:
        _run(command)
    finally:
        deliver_result()


def _run(command: Callable[[], object]) -> None:
    """Run *command*; every error becomes words, and an exit code."""
    try:
        command()
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
        say_error("interrupted", "run the same command again: it goes on from what is there")
    except Exception as error:
        if (words := _words_for(error)) is None:
            raise
        say_error(*words)
    else:
        return
    sys.exit(1)


def _words_for(error: Exception) -> tuple[str, str] | None:
    """What to say of *error*, and a hint; None for a fault of our own."""
    # Not before one fails: loading them takes a tenth of the time of a question to the logs.
    import requests
    from docker.errors import DockerException

    match error:
        case Refused():
            return error.message, error.hint
        case TargetsError():
            return str(error), "mend targets.toml"
        case DockerException() | requests.RequestException():
            hint = "does `docker version` answer? then run the same command again"
            return f"the Docker engine: {error}", hint
        case OSError():
            return f"this machine: {error}", "mend the cause and run the same command again"
    return None


def _interrupt(_signal: int, _frame: FrameType | None) -> Never:
    """Told to end, stop as at Ctrl-C: in order, and nothing that we started is left at work."""
    raise KeyboardInterrupt
