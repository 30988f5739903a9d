from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fake_service import FakeContainerExec
from prometheus_client import CollectorRegistry, generate_latest

from infra.containers import ContainerGone
from runbook.webhook_signer import Counts, Signer, counted, observe_signer
from service.telemetry.metrics import WebMetrics

ROLES = {"runbook.role": "web", "runbook.release": "r-1"}


@dataclass
class Container:
    """As the SDK has it."""

    name: str
    labels: dict[str, str]


@dataclass
class Engine:
    """What `docker.from_env` gives, with these containers of the stack."""

    found: list[Container] = field(default_factory=list)

    @property
    def containers(self) -> Engine:
        return self

    def list(self, filters: dict[str, str], **_more: bool) -> list[Container]:
        assert filters == {"label": "runbook.stack=dev"}
        return self.found


def metrics(previous: int = 0, live: int = 0, gate: int = 0, refused: int = 0) -> str:
    """What a web process answers at /metrics, by the service's own code."""
    found = WebMetrics(CollectorRegistry())
    found.signatures.labels("previous").inc(previous)
    found.signatures.labels("current").inc(live + gate - previous)
    found.webhooks.labels("accepted", "live").inc(live)
    found.webhooks.labels("accepted", "gate").inc(gate)
    found.webhooks.labels("invalid_signature", "live").inc(refused)
    return generate_latest(found.registry).decode()


def answers(*texts: str) -> FakeContainerExec:
    """A web process that gives these metrics in turn."""
    return FakeContainerExec(outputs=[(0, text) for text in texts])


def seen(*webs: FakeContainerExec, at_first: bool = False, waits: list[float] | None = None) -> Signer:
    """What these web processes of the live release prove; others are not asked. *waits*: s between looks."""
    found = [Container(str(number), ROLES) for number in range(len(webs))]
    others = [
        Container("worker", {**ROLES, "runbook.role": "worker"}),
        Container("old", {**ROLES, "runbook.release": "r-0"}),
    ]
    inside: Callable[[str], FakeContainerExec] = lambda name: webs[int(name)]  # noqa: E731
    engine = Engine([*found, *others])
    slept = list[float]() if waits is None else waits
    return observe_signer(
        "acme/runbook/dev",
        "r-1",
        engine,  # type: ignore[arg-type]
        inside,
        slept.append,
        lambda: sum(slept),
        at_first=at_first,
    )


def test_the_services_own_metrics_are_read() -> None:
    """By the names that it gives them; a gate's webhooks and refused ones are nobody's evidence."""
    assert counted(metrics(previous=3, live=5, gate=100, refused=7)) == Counts(3, 5)
    assert counted("") == Counts(0, 0)
    assert counted("webhooks_total 7.0\n") == Counts(0, 0)


def test_only_new_signatures_since_the_start_are_proof_at_once() -> None:
    """All live webhooks were signed with it, in every process."""
    webs = [answers(metrics(live=1)), answers(metrics())]
    assert seen(*webs) is Signer.NEW
    assert [len(web.ran) for web in webs] == [1, 1]


def test_the_old_one_in_use() -> None:
    """In one process is enough."""
    webs = [answers(metrics(5, 9), metrics(5, 12)), answers(metrics(5, 9), metrics(6, 10))]
    assert seen(*webs) is Signer.OLD


def test_the_old_one_stands_still_while_webhooks_come() -> None:
    """It was used once, and is not any more."""
    assert seen(answers(metrics(5, 9), metrics(5, 12))) is Signer.NEW


def test_silence_after_nothing_but_the_old_one() -> None:
    """No webhook came meanwhile: of those before, each was signed with it."""
    assert seen(answers(metrics(4, 4)), answers(metrics(gate=100))) is Signer.OLD


@pytest.mark.parametrize(("previous", "signer"), [(10, Signer.OLD), (9, Signer.NEW)])
def test_the_first_webhook_decides_for_whoever_has_no_time(previous: int, signer: Signer) -> None:
    """A rollback is to take three seconds; who ends a rotation waits for all ten."""
    waits = list[float]()
    web = answers(metrics(9, 30), metrics(9, 30), metrics(previous, 31))
    assert seen(web, at_first=True, waits=waits) is signer
    assert waits == [0.5, 0.5]
    assert seen(answers(metrics(9, 30), metrics(previous, 31)), waits=waits) is signer
    assert waits[2:] == [10.0]


def test_silence_is_waited_for_by_both() -> None:
    """Nobody is harmed by it meanwhile: no request comes."""
    waits = list[float]()
    assert seen(answers(*[metrics(4, 4)] * 21), at_first=True, waits=waits) is Signer.OLD
    assert sum(waits) == 10.0


@pytest.mark.parametrize(
    "webs",
    [
        [],
        [answers(metrics(gate=1000))],
        [answers(metrics(5, 9), metrics(5, 9, gate=100))],
        [answers(metrics(5, 9), metrics(0, 1))],
        [FakeContainerExec(outputs=[(1, "Traceback")])],
        [answers(metrics(live=1)), FakeContainerExec(failure=ContainerGone("gone"))],
        [answers(f"/opt/site/x.py:1: UserWarning: is deprecated\n{metrics(live=1)}")],
        [answers(metrics(5, 9), "<html>Internal error</html>")],
    ],
    ids=[
        *("no process", "a gate alone", "silence", "started again", "no answer", "one is gone"),
        *("a library warns", "no metrics any more"),
    ],
)
def test_no_evidence_is_no_proof(webs: list[FakeContainerExec]) -> None:
    """What cannot be seen is not called unused."""
    assert seen(*webs) is Signer.UNKNOWN
