"""The sandbox's Convex has the module's functions, and words its answers as Convex does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.convex_module import FUNCTIONS, KEPT_MESSAGES, Tables

MODULE = Path(__file__).parents[2] / "convex" / "runbook.ts"

RESERVE = {"tenant": "t", "message": "m1", "startingCredits": 1}
SETTLE = {
    "message": "m1",
    "tenant": "t",
    "session": "default",
    "chatId": "15551234567@c.us",
    "payloadId": "false_15551234567@c.us_m1",
    "text": "hello",
    "reply": "hi",
    "outcome": "answered",
    "receivedMs": 1,
    "endedMs": 2,
    "startingCredits": 1,
}


async def call(client: httpx.AsyncClient, kind: str, name: str, args: object, **more: Any) -> dict[str, Any]:
    """What Convex answers to a call of the module's function *name*."""
    body = {"path": f"runbook:{name}", "args": args, "format": "json", **more}
    answer = await client.post(f"/convex/api/{kind}", json=body)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_functions_and_arguments_are_those_of_the_module() -> None:
    """The stand-in has exactly the functions of convex/runbook.ts, of one type, with the same arguments."""
    declared = re.findall(
        r"export const (\w+) = internal(Query|Mutation)\(\{\s*args: \{(.*?)\},\s*returns:",
        MODULE.read_text(),
        re.S,
    )
    of_module = {
        f"runbook:{name}": (kind.lower(), set(re.findall(r"(?:^|,)\s*(\w+)(?=:|,|\s*$)", args)))
        for name, kind, args in declared
    }
    of_stand_in = {name: (function.type, set(function.args)) for name, function in FUNCTIONS.items()}
    assert of_stand_in == of_module


async def test_a_success_has_the_value_in_floating_point(client: httpx.AsyncClient) -> None:
    """A function that succeeds is 200 with its value; numbers are Convex's, which have a fraction."""
    reserved = await call(client, "mutation", "reserve", RESERVE)
    answer = await client.post(
        "/convex/api/query", json={"path": "runbook:tenant", "args": [{"tenant": "t"}], "format": "json"}
    )
    assert reserved == {"status": "success", "value": "reserved", "logLines": []}
    assert '"credits":1.0,"reserved":1.0,"used":0.0,"ownerEmail":null' in answer.text


async def test_convex_says_its_version_in_plain_text(client: httpx.AsyncClient) -> None:
    """`/version` is there for a probe without side effects."""
    version = await client.get("/convex/version")
    assert version.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("kind", "name", "args", "message"),
    [
        ("query", "balance", {}, "Could not find public function for 'runbook:balance'."),
        (
            "query",
            "reserve",
            RESERVE,
            "Trying to execute runbook.js:reserve as Query, but it is defined as Mutation.",
        ),
        ("query", "tenant", {}, "ArgumentValidationError: Object is missing the required field `tenant`."),
        ("query", "ping", {"a": 1}, "ArgumentValidationError: Object contains extra field `a`"),
        (
            "mutation",
            "settle",
            {**SETTLE, "outcome": "lost"},
            'ArgumentValidationError: Value does not match validator.\nPath: .outcome\nValue: "lost"\n',
        ),
        (
            "mutation",
            "reserve",
            {**RESERVE, "startingCredits": True},
            "Validator: v.union(v.float64(), v.null())",
        ),
    ],
)
async def test_a_failure_is_worded_as_convex_words_it(
    client: httpx.AsyncClient, kind: str, name: str, args: dict[str, Any], message: str
) -> None:
    """A function that fails is 200 with `status: error` and Convex's own message, and has done nothing."""
    answer = await call(client, kind, name, args)
    assert answer["status"] == "error"
    assert re.match(r"\[Request ID: [0-9a-f]{16}\] Server Error\n", answer["errorMessage"])
    assert message in answer["errorMessage"]
    assert (await call(client, "query", "tenants", {"after": ""}))["value"] == []


@pytest.mark.parametrize(
    "body", [{"args": {}}, {"path": "runbook:ping"}, {"path": "runbook:ping", "args": {}, "format": "xml"}]
)
async def test_what_is_no_call_is_a_json_400(client: httpx.AsyncClient, body: object) -> None:
    """A body without path or arguments, or of another format, is refused with a code."""
    answer = await client.post("/convex/api/query", json=body)
    assert (answer.status_code, set(json.loads(answer.text))) == (400, {"code", "message"})


async def test_the_log_is_bounded(client: httpx.AsyncClient) -> None:
    """A load test cannot fill the memory: of the log, the latest are kept."""
    tables = Tables()
    settle = FUNCTIONS["runbook:settle"].run
    for number in range(KEPT_MESSAGES + 5):
        settle(tables, **{**SETTLE, "message": f"m{number}"})
    assert [len(tables.messages), tables.messages[0]["message"]] == [KEPT_MESSAGES, "m5"]
