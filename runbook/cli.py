"""What an operator types: every verb, and the one place where errors become words and exit codes."""

from __future__ import annotations

import sys

import typer

from contracts.targets import TargetsError
from infra.errors import Refused
from runbook.console import say_error
from runbook.errors import RunbookError
from runbook.verbs import VERBS

app = typer.Typer(
    name="runbook",
    help="The deployment runbook of a WhatsApp AI assistant, executable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _verb in VERBS.items():
    if isinstance(_verb, typer.Typer):
        app.add_typer(_verb, name=_name)
    else:
        app.command(_name)(_verb)


def main() -> None:
    """Run the verb on the command line: exit 0 done, 1 refused or failed, 2 usage."""
    try:
        app()
    except RunbookError as error:
        say_error(error.message, error.hint)
    except Refused as error:
        say_error(error.message, error.hint)
    except TargetsError as error:
        say_error(str(error), "mend targets.toml")
    except KeyboardInterrupt:
        say_error("interrupted", "nothing is lost: run the same command again")
    else:
        return
    sys.exit(1)
