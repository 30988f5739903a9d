"""Whatever is asked in whatever order, both databases do what a simple model does."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from database_kit import ConvexBackend, RedisBackend, record, running_convex
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from service.accounts.database import MessageOutcome, Reservation, Tenant

STARTING = 2
TENANTS = ("a", "b")
HOLDING = ("reserved", "unknown")

T = TypeVar("T")

tenants = st.sampled_from(TENANTS)
numbers = st.integers(0, 3)


class Databases(RuleBasedStateMachine):
    """Each rule asks both databases and the model: `states` by message, `used` and `credits` by tenant."""

    redis_url: str
    convex: ConvexBackend

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.stack = asyncio.Runner(), AsyncExitStack()
        redis = RedisBackend(self.redis_url, f"{{wa}}:{uuid.uuid4()}")
        self.convex.tables.__init__()  # type: ignore[misc]  # empties it
        self.databases = [
            self.run(self.stack.enter_async_context(backend.open(STARTING)))
            for backend in (redis, self.convex)
        ]
        self.states: dict[tuple[str, int], str] = {}
        self.credits: dict[str, int | None] = {}
        self.owners: dict[str, str | None] = {}
        self.used: Counter[str] = Counter()

    def run(self, step: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(step)

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def reserved(self, tenant: str) -> int:
        return sum(owner == tenant and state in HOLDING for (owner, _), state in self.states.items())

    @rule(tenant=tenants, number=numbers)
    def reserve(self, tenant: str, number: int) -> None:
        message = (tenant, number)
        known = self.states.get(message) in ("answered", *HOLDING)
        if not known:
            granted = self.credits.setdefault(tenant, STARTING)
            known = granted is None or self.reserved(tenant) + self.used[tenant] < granted
            if known:
                self.states[message] = "reserved"
        expected = Reservation.RESERVED if known else Reservation.NO_CREDIT
        for database in self.databases:
            assert self.run(database.reserve(tenant, f"{tenant}{number}")) is expected

    @rule(tenant=tenants, number=numbers, outcome=st.sampled_from(MessageOutcome))
    def settle(self, tenant: str, number: int, outcome: MessageOutcome) -> None:
        message = (tenant, number)
        if self.states.get(message) != "answered":
            self.credits.setdefault(tenant, STARTING)
            self.used[tenant] += outcome is MessageOutcome.ANSWERED
            self.states[message] = outcome.value
        for database in self.databases:
            self.run(database.settle(record(outcome, f"{tenant}{number}", tenant=tenant)))

    @rule(tenant=tenants, granted=st.none() | st.integers(0, 4), owner=st.none() | st.just("o@example.com"))
    def save_tenant(self, tenant: str, granted: int | None, owner: str | None) -> None:
        self.credits[tenant], self.owners[tenant] = granted, owner
        for database in self.databases:
            saved = self.run(database.save_tenant(tenant, credits=granted, owner_email=owner))
            assert saved == self.account(tenant)

    def account(self, tenant: str) -> Tenant:
        return Tenant(
            tenant, self.credits[tenant], self.reserved(tenant), self.used[tenant], self.owners.get(tenant)
        )

    @invariant()
    def accounts_are_equal(self) -> None:
        expected = [self.account(tenant) for tenant in sorted(self.credits)]
        for database in self.databases:
            assert self.run(database.tenants()) == expected


@pytest.fixture
def convex() -> Iterator[ConvexBackend]:
    """A Convex of its own."""
    with running_convex() as backend:
        yield backend


def test_databases_do_what_a_model_does(redis_url: str, convex: ConvexBackend) -> None:
    """Accounts and answers of both databases are the model's after every step."""
    Databases.redis_url, Databases.convex = redis_url, convex
    bounds = settings(max_examples=30, stateful_step_count=20, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Databases, settings=bounds)  # type: ignore[no-untyped-call]
