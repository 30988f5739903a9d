"""What a kept release is asked before it gets the traffic back: migrations, its secret, a second of smoke."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import requests
from docker.errors import DockerException

from contracts.targets import TargetsError, read_targets
from contracts.verdict import Report
from contracts.webhook_secret import NAME as WEBHOOK_SECRET
from infra import containers
from infra.errors import Refused
from infra.haproxy_config import BASELINE_PORT, CANDIDATE_PORT, Backend, route_config
from infra.history import History
from infra.live_route import LiveRoute
from infra.manifest import Manifest
from infra.migrations import unpassable
from infra.observed import Observed
from infra.proxy_control import ProxyControl
from infra.release_record import ReleaseRecord
from infra.suite_run import run_suite
from infra.suites import suite_command
from runbook.console import say
from runbook.errors import RunbookError
from runbook.liveness import published_url
from runbook.webhook_signer import Signer, observe_signer

_PREVIOUS = f"{WEBHOOK_SECRET}_PREVIOUS"
_PAST_IT = "`bin/runbook rollback --force` moves the traffic without this check"
_ROOM = 1_000_000  # bytes: more than a short run of smoke writes


def check_passable(history: History, manifest: Manifest | None) -> None:
    """See that no migration stands between the live release and an earlier one.

    Raises:
        RunbookError: one that cannot be undone does; says which, and why.
    """
    live = history.live_manifest
    if live and manifest and (lines := unpassable(live.migrations, manifest.migrations)):
        raise RunbookError(
            f"release {manifest.id} is from before a migration that cannot be undone:\n  "
            + "\n  ".join(lines),
            "mend the live release (`bin/runbook hotfix NAME`), or `bin/runbook rollback --force` brings it "
            "back all the same",
        )


def check_signed(release: str, to: list[str], now: list[str], signer: Signer) -> None:
    """See that *release*, which takes the webhook secrets *to*, knows the one that WAHA signs with.

    *now*: those that the live release takes, the current one first; *signer*: which of them WAHA uses, as
    the live release sees it: nothing is known where it takes no webhook at all.

    Raises:
        RunbookError: it does not: every webhook would get 401, and be lost after some retries.
    """
    if now[0] in to:
        return
    if signer is Signer.NEW or (to[0] not in now and signer is Signer.OLD):
        raise RunbookError(
            f"release {release} does not know the {WEBHOOK_SECRET} that WAHA signs with now",
            "give WAHA the old one again first, then `bin/runbook rollback --force`; or mend the live "
            "release: `bin/runbook hotfix NAME`",
        )
    if signer is Signer.UNKNOWN:
        say(f"warning: {release} knows only another {WEBHOOK_SECRET}: does WAHA sign with that one?")


def check_secrets(
    stack: str, observed: Observed, live: LiveRoute, target: str, values: Mapping[str, str] | None = None
) -> None:
    """See that *target* knows the webhook secret that WAHA signs with.

    By its own files, or by *values* (name to secret) where it has no containers yet.

    Raises:
        RunbookError: as `check_signed`.
    """
    now = _webhook_secrets(partial(read_secret, observed, live.release))
    to = _webhook_secrets(values.get if values is not None else partial(read_secret, observed, target))
    if not to or not now:
        say(f"warning: whether {target} knows the {WEBHOOK_SECRET} that WAHA signs with cannot be seen")
    elif to[0] != now[0]:
        known = Signer.NEW if now[0] in to else observe_signer(stack, live.release, at_first=True)
        check_signed(target, to, now, known)


def _webhook_secrets(value_of: Callable[[str], str | None]) -> list[str]:
    """All that a release takes, the current one first; none if they are not known."""
    values = [value_of(name) for name in (WEBHOOK_SECRET, _PREVIOUS)]
    return [secret for value in values if value for secret in value.splitlines()]


def read_secret(observed: Observed, release: str, name: str) -> str | None:
    """A secret of *release* as its containers have it; None where they are gone or have no such."""
    return containers.read_secret(observed.names(release, "web")[:1], name)


def remove_baseline(proxy: ProxyControl) -> None:
    """Close the frontend that smoke measured the live release by; left open, it harms nobody."""
    try:
        if proxy.route("baseline") is not None:
            proxy.remove_route("baseline")
    except (Refused, DockerException, requests.RequestException) as error:
        say(f"warning: the proxy's route baseline stays until the next update: {error}")


def smoke(
    record: ReleaseRecord,
    observed: Observed,
    proxy: ProxyControl,
    to: Backend,
    live: Backend,
    prepare: Callable[[], object],
) -> Report | None:
    """A second of smoke through the candidate frontend; a dependency may be as bad as the live release's is.

    *record* says where the evidence goes. *prepare*, which sees to it that *to* runs, is called while the
    suite starts: that takes half a second.

    Raises:
        RunbookError: the release did not pass; nothing was moved.
    """
    url, against = _frontend(observed, CANDIDATE_PORT), _frontend(observed, BASELINE_PORT)
    secret = read_secret(observed, to.release, WEBHOOK_SECRET) or ""

    def begin() -> None:
        prepare()
        # Both at once: each time that the proxy takes a configuration costs a part of the seconds there are.
        proxy.put_routes(
            {"candidate": route_config("candidate", to), "baseline": route_config("baseline", live)}
        )

    try:
        within_s, report = read_targets().gate.within_s, _writable_folder(record) / "smoke.json"
        options = ("--short", "--baseline", against, "-s", "--begin-on-input")
        command = suite_command("smoke", url, report, *options)
        env = {WEBHOOK_SECRET: secret}
        found = run_suite("smoke", to.release, command, report, env, within_s, prepare=begin)
    except (DockerException, requests.RequestException):  # of the engine; they are OSErrors too
        raise
    except (OSError, TargetsError) as error:
        raise RunbookError(
            f"smoke cannot be run on {to.release}: {error}",
            f"nothing was moved; mend that, or {_PAST_IT}",
        ) from error
    if found.refusal:
        raise RunbookError(
            "\n".join(found.refusal),
            f"nothing was moved; `bin/runbook releases` lists others; {_PAST_IT}",
        )
    return found.report


def _writable_folder(record: ReleaseRecord) -> Path:
    """Where the evidence goes: a folder that cannot be written, or is full, stops no rollback."""
    folder = record.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "smoke.log").write_bytes(bytes(_ROOM))
    except OSError as error:
        instead = Path(tempfile.mkdtemp(prefix="runbook-smoke-"))
        say(f"warning: {folder} cannot be written ({error.strerror}): smoke's report goes to {instead}")
        return instead
    return folder


def _frontend(observed: Observed, port: int) -> str:
    url = published_url(observed.containers, port)
    if url is None:
        raise RunbookError("the stack's proxy does not run", "`bin/runbook up` brings it back")
    return url
