"""A webhook secret rotated as `bin/runbook secrets rotate` does it, with real web processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sender import Sender
from service_kit import CLIENT, Processes, Running
from steady_client import SteadyClient

from runbook.rotation import rotated

NAME, PREVIOUS = "WAHA_WEBHOOK_SECRET", "WAHA_WEBHOOK_SECRET_PREVIOUS"
FIRST, SECOND, THIRD = "the first secret", "the second secret", "the third secret"


def files(folder: Path, secrets: dict[str, str]) -> dict[str, str]:
    """The environment of a process that is given *secrets* as a release is: as files."""
    folder.mkdir()
    for name, value in secrets.items():
        (folder / name).write_text(value)
    # The kit gives each web process a secret of its own: not this one.
    return {NAME: "", **{f"{name}_FILE": str(folder / name) for name in secrets}}


def signatures(web: Running) -> dict[str, float]:
    """How many webhooks *web* has verified, by whether the present secret signed them."""
    text = CLIENT.get(f"{web.url}/metrics").text
    return {
        sample.labels["secret"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "webhook_signatures_total"
    }


def test_both_secrets_are_taken_under_load(processes: Processes, tmp_path: Path) -> None:
    """100 webhooks/s signed with each secret at once: every one is accepted, and they are told apart."""
    web = processes.web(**files(tmp_path / "web", rotated({NAME: FIRST}, NAME, SECOND)))
    old, new = Sender(FIRST), Sender(SECOND)
    with (
        SteadyClient(web.port, old, connections=2, per_s=100) as first,
        SteadyClient(web.port, new, connections=2, per_s=100) as second,
    ):
        first.wait_for_sent(200)
        second.wait_for_sent(200)
    assert first.failures + second.failures == []
    assert signatures(web) == {"current": len(new.accepted), "previous": len(old.accepted)}


def test_no_webhook_is_refused_while_the_release_and_then_the_sender_change(
    processes: Processes, tmp_path: Path
) -> None:
    """Signed with the old one before and after the new release takes over, then with the new one: no 401."""
    before = processes.web(**files(tmp_path / "before", {NAME: FIRST}))
    after = processes.web(**files(tmp_path / "after", rotated({NAME: FIRST}, NAME, SECOND)))
    for web, secret in ((before, FIRST), (after, FIRST), (after, SECOND)):
        sender = Sender(secret)
        with SteadyClient(web.port, sender, connections=2, per_s=200) as client:
            client.wait_for_sent(100)
        assert client.failures == []
        assert len(sender.accepted) >= 100


@pytest.mark.parametrize("secret", [FIRST, SECOND, THIRD])
def test_rotated_twice_all_three_are_taken(processes: Processes, tmp_path: Path, secret: str) -> None:
    """Whoever was given none of the new ones yet is not refused."""
    current = {NAME: FIRST}
    for value in (SECOND, THIRD):
        current |= rotated(current, NAME, value)
    web = processes.web(**files(tmp_path / "web", current))
    with SteadyClient(web.port, Sender(secret), connections=1, per_s=50) as client:
        client.wait_for_sent(10)
    assert client.failures == []


def test_after_the_end_the_old_one_is_refused(processes: Processes, tmp_path: Path) -> None:
    """What the release has not been given is 401: the test above would see it."""
    web = processes.web(**files(tmp_path / "web", {NAME: SECOND}))
    with SteadyClient(web.port, Sender(FIRST), connections=1, per_s=50) as client:
        client.wait_for_sent(3)
    assert client.failures
    assert all(failure.startswith("401 ") for failure in client.failures)
