"""A refusal says what the containers themselves complained of."""

from __future__ import annotations

import json

from infra.log_digest import log_digest


def line(level: str, msg: str, **fields: object) -> str:
    """One of the service's log."""
    return json.dumps({"level": level, "msg": msg, "time": 1, **fields})


def test_the_most_frequent_come_first_with_where_and_how_often() -> None:
    """With the details that name a cause."""
    away = line("warning", "Redis is away, waiting", error="StoreAway")
    down = line("error", "Dependency is down", service="redis", error="StoreAway")
    logs = {"worker-1": f"{away}\n{away}\n", "web-1": f"{down}\n{line('info', 'Webhook received')}\n"}
    assert log_digest(logs) == [
        "worker-1 says: Redis is away, waiting: error StoreAway (2 times)",
        "web-1 says: Dependency is down: service redis, error StoreAway (1 times)",
    ]


def test_a_refused_webhook_is_no_complaint() -> None:
    """The smoke suite sends many: they are as they should be."""
    assert log_digest({"web-1": line("warning", "Invalid webhook signature", webhook=True)}) == []


def test_a_program_that_did_not_even_start_says_why() -> None:
    """Its traceback's last line, not the places."""
    text = (
        'Traceback (most recent call last):\n  File "x.py", line 1\n    raise Error: x\nImportError: no y\n'
    )
    assert log_digest({"web-1": text}) == ["web-1 says: ImportError: no y (1 times)"]


def test_what_is_long_or_odd_stays_a_line() -> None:
    """JSON that is no object, a level that is none, a text without end."""
    logs = {"web-1": "\n".join(["[]", "3", line("loud", "x"), f"ValueError: {'y' * 1000}"])}
    (only,) = log_digest(logs)
    assert len(only) < 250
