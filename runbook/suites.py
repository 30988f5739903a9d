"""The smoke and load suites as subprocesses, against a stack or any URL."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from contracts.verdict import Report, Verdict
from contracts.webhook_secret import BASELINE_NAME, NAME, SecretError, read_webhook_secret
from infra.haproxy_config import backend_in
from infra.suite_environment import suite_environment
from infra.suites import Suite, suite_command
from runbook.child import run_child
from runbook.console import print_json, say
from runbook.errors import RunbookError
from runbook.liveness import proxy_of
from runbook.secret_values import known_secrets
from runbook.stack_view import read_history
from runbook.workspace import Workspace, open_workspace


def target_of(stack: str, url: str | None) -> tuple[str, str]:
    """The URL to test and the secret to sign with; a stack's candidate frontend where *url* is not given.

    The candidate frontend keeps every message in the release's gate lane: nobody is messaged.

    Raises:
        RunbookError: no stack, nothing deployed, or no secret.
    """
    given = given_secret(os.environ)
    if url and given:
        return url, given
    workspace = open_workspace(stack)
    return url or candidate_url(workspace), given or webhook_secret(workspace)


def candidate_url(workspace: Workspace) -> str:
    """Where the stack's candidate frontend is. Says so where it does not lead to the live release.

    A release that was refused stays there to be looked at, and one that is being deployed is tested there.
    """
    try:
        url = str(workspace.outputs()["candidate_url"])
    except KeyError as error:
        raise RunbookError(
            f"no update of stack {workspace.stack} has ended well yet: there is nothing to test",
            f"`bin/runbook up --stack {workspace.stack}`",
        ) from error
    proxy = proxy_of(workspace.stack)
    candidate, live = backend_in(proxy.route("candidate") or ""), proxy.live_route()
    if candidate and live and candidate.release != live.release:
        say(f"warning: it leads to {candidate.release}, which is tested now; {live.release} is live")
    return url


def given_secret(env: Mapping[str, str], name: str = NAME) -> str | None:
    """The secret that the environment gives as *name*; None where it gives none.

    Raises:
        RunbookError: it names a file that cannot be read or is empty.
    """
    try:
        return read_webhook_secret(env, name)
    except SecretError as error:
        raise RunbookError(str(error), "name a file that holds the secret") from error


def webhook_secret(workspace: Workspace) -> str:
    """The secret that the live release takes; before the first release, the one that it will take.

    `secrets set` and `secrets rotate` change what the next release takes, not what the live one does.

    Raises:
        RunbookError: there is none.
    """
    secrets, history = known_secrets(workspace), read_history(workspace)
    if digest := history.live_secret(NAME):
        with suppress(KeyError):
            return secrets.values({NAME: digest})[NAME]
    secret = secrets.current.get(NAME)
    if not secret:
        raise RunbookError(f"stack {workspace.stack} has no {NAME}", f"`bin/runbook secrets set {NAME}`")
    return secret


def run(suite: Suite, url: str, secret: str, *more: str, as_json: bool) -> None:
    """Run a suite against *url* and show its report.

    Raises:
        RunbookError: it did not pass, or ended without a report.
    """
    encoding = sys.stderr.encoding or "utf-8"
    env = {NAME: secret}
    if baseline_secret := given_secret(os.environ, BASELINE_NAME):
        env[BASELINE_NAME] = baseline_secret
    with (
        tempfile.TemporaryDirectory() as folder,
        suite_environment(env, encoding=encoding) as environment,
    ):
        file = Path(folder) / "report.json"
        code = run_child(
            suite_command(suite, url, file, *more),
            folder=environment.folder,
            env=environment.variables,
            inherit=False,
            output=sys.stderr.fileno(),  # the suite's own words are progress; the report is the result
        )
        report = read_report(suite, file, code)
    if as_json:
        print_json(report.model_dump(mode="json"))
    if report.verdict is not Verdict.PASS or code != 0:
        failed = f"{len(report.not_passed)} of {len(report.checks)} checks did not pass (exit code {code})"
        raise RunbookError(
            f"{suite}: {report.verdict}: {failed}", "each is above, with value, limit and samples"
        )


def read_report(suite: Suite, file: Path, code: int) -> Report:
    """The report that *suite* wrote before it ended with *code*."""
    try:
        return Report.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        raise RunbookError(
            f"{suite} gave no report (exit code {code})", "what it said is above; is the URL right?"
        ) from error
