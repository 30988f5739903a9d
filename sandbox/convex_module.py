"""The module of convex/runbook.ts in memory: the same functions, with the same semantics and arguments."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_MESSAGES = 10_000
KEPT_ENTRIES = 200_000
"""Of the log and of the ledger; bounded, so that a load test cannot fill the memory."""

TENANTS_PER_PAGE = 1000

Account = dict[str, Any]
"""tenant, credits (None: unlimited), reserved, used, ownerEmail."""


@dataclass
class Tables:
    """What the functions work on: accounts by tenant, states by message, and the latest of the log."""

    tenants: dict[str, Account] = field(default_factory=dict)
    ledger: OrderedDict[str, str] = field(default_factory=OrderedDict)
    messages: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))

    def account(self, tenant: str, credits_: float | None) -> Account:
        """The tenant's account, opened with *credits_* if there is none."""
        if tenant not in self.tenants:
            names = ("tenant", "credits", "reserved", "used", "ownerEmail")
            self.tenants[tenant] = dict(zip(names, (tenant, _number(credits_), 0.0, 0.0, None), strict=True))
        return self.tenants[tenant]

    def set_state(self, message: str, state: str) -> None:
        """Note where *message* stands, and forget the oldest when there are too many."""
        self.ledger[message] = state
        if len(self.ledger) > KEPT_ENTRIES:
            self.ledger.popitem(last=False)


@dataclass(frozen=True)
class Argument:
    """How Convex words an argument's validator, and whether a value matches it."""

    validator: str
    matches: Callable[[Any], bool]


@dataclass(frozen=True)
class Function:
    """A named function: `query` or `mutation`, its arguments, and what it does."""

    type: str
    args: Mapping[str, Argument]
    run: Callable[..., Any]

    @property
    def validator(self) -> str:
        """All arguments' validator in Convex's words."""
        fields = ", ".join(f"{name}: {argument.validator}" for name, argument in sorted(self.args.items()))
        return f"v.object({{{fields}}})"


def _ping(_tables: Tables) -> None:
    return None


def _reserve(tables: Tables, tenant: str, message: str, startingCredits: float | None) -> str:  # noqa: N803
    state = tables.ledger.get(message)
    if state in ("answered", "reserved", "unknown"):
        return "reserved"
    account = tables.account(tenant, startingCredits)
    if account["credits"] is not None and account["reserved"] + account["used"] >= account["credits"]:
        return "no_credit"
    account["reserved"] += 1
    tables.set_state(message, "reserved")
    return "reserved"


def _settle(tables: Tables, *, startingCredits: float | None, **record: Any) -> None:  # noqa: N803
    message, outcome = record["message"], record["outcome"]
    state = tables.ledger.get(message)
    if state in ("answered", outcome):
        return
    account = tables.account(record["tenant"], startingCredits)
    account["reserved"] += (outcome == "unknown") - (state in ("reserved", "unknown"))
    account["used"] += outcome == "answered"
    tables.set_state(message, outcome)
    tables.messages.append(record)


def _tenant(tables: Tables, tenant: str) -> Account | None:
    return tables.tenants.get(tenant)


def _tenants(tables: Tables, after: str) -> list[Account]:
    ids = sorted(tenant for tenant in tables.tenants if tenant > after)
    return [tables.tenants[tenant] for tenant in ids[:TENANTS_PER_PAGE]]


def _save_tenant(tables: Tables, tenant: str, credits: float | None, ownerEmail: str | None) -> Account:  # noqa: A002, N803
    account = tables.account(tenant, credits)
    account |= {"credits": _number(credits), "ownerEmail": ownerEmail}
    return account


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


OUTCOMES = ("answered", "failed", "unknown", "no_credit", "stored")

_STRING = Argument("v.string()", lambda value: isinstance(value, str))
_NUMBER = Argument("v.float64()", _is_number)
_CREDITS = Argument("v.union(v.float64(), v.null())", lambda value: value is None or _is_number(value))
_OWNER = Argument("v.union(v.string(), v.null())", lambda value: value is None or isinstance(value, str))
_LITERALS = ", ".join(f'v.literal("{outcome}")' for outcome in OUTCOMES)
_OUTCOME = Argument(f"v.union({_LITERALS})", lambda value: value in OUTCOMES)
_RECORD = {
    **dict.fromkeys(("message", "tenant", "session", "chatId", "payloadId", "text", "reply"), _STRING),
    "outcome": _OUTCOME,
    "receivedMs": _NUMBER,
    "endedMs": _NUMBER,
}

FUNCTIONS: Mapping[str, Function] = {
    "runbook:ping": Function("query", {}, _ping),
    "runbook:reserve": Function(
        "mutation", {"tenant": _STRING, "message": _STRING, "startingCredits": _CREDITS}, _reserve
    ),
    "runbook:settle": Function("mutation", {**_RECORD, "startingCredits": _CREDITS}, _settle),
    "runbook:tenant": Function("query", {"tenant": _STRING}, _tenant),
    "runbook:tenants": Function("query", {"after": _STRING}, _tenants),
    "runbook:saveTenant": Function(
        "mutation", {"tenant": _STRING, "credits": _CREDITS, "ownerEmail": _OWNER}, _save_tenant
    ),
}
