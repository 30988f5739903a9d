"""The database in Convex: the functions of convex/runbook.ts over the HTTP API (see docs/convex.md).

Each function is one transaction there and may be called again, so a call whose answer was lost, or that
Convex was too busy for, is tried again within the time limit of the whole call. What a function says about
its failure is not passed on: Convex quotes the arguments, and they hold texts of messages.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
import orjson
import stamina

from service.accounts.database import DatabaseFailed, MessageRecord, Reservation, Tenant
from service.response_body import UNCOMPRESSED, BodyTooLong, read_body

ATTEMPTS = 4

LOGGED_CHARACTERS = 65_536
"""As long as a WhatsApp text can be. Two of them fit the mebibyte that a document of Convex may have."""

MAX_ANSWER_BYTES = 1024 * 1024
"""A page of a thousand tenants has less, however long their names are."""

_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
"""Convex answers 503 for a transaction that others on the same account kept from being done."""

_JSON = {"Content-Type": "application/json"}

_REQUEST_ID = re.compile(r"\[Request ID: ([0-9a-f]{1,32})\]")
_CODE = re.compile(r"[A-Za-z]{1,64}")

_HINT = "check that convex/runbook.ts is deployed there as it is here, and that CONVEX_DEPLOY_KEY is its key"

T = TypeVar("T")


class _Busy(DatabaseFailed):
    """Convex did not do it now, and may do it in a moment."""


def convex_session(url: str, deploy_key: str) -> aiohttp.ClientSession:
    """Connections to the deployment at *url*; with a key (or "") that lets us run internal functions.

    Within a running loop only; whoever calls this closes it.
    """
    return aiohttp.ClientSession(
        base_url=f"{url}/",
        headers=UNCOMPRESSED | ({"Authorization": f"Convex {deploy_key}"} if deploy_key else {}),
        timeout=aiohttp.ClientTimeout(total=None),  # the calls have one
    )


class ConvexDatabase:
    """See `Database`. *timeout_s* bounds each function, what is tried again included."""

    def __init__(
        self, http: aiohttp.ClientSession, starting_credits: int | None, *, timeout_s: float
    ) -> None:
        self._http = http
        self._starting_credits = starting_credits
        self._timeout_s = timeout_s

    async def ping(self) -> None:
        """See `Database.ping`."""
        await self._call("query", "ping", _nothing)

    async def reserve(self, tenant: str, message: str) -> Reservation:
        """See `Database.reserve`."""
        return await self._call(
            "mutation",
            "reserve",
            Reservation,
            tenant=tenant,
            message=message,
            startingCredits=self._starting_credits,
        )

    async def settle(self, record: MessageRecord) -> None:
        """See `Database.settle`."""
        await self._call(
            "mutation",
            "settle",
            _nothing,
            message=record.identity,
            tenant=record.tenant,
            session=record.session,
            chatId=record.chat_id,
            payloadId=record.payload_id,
            text=_logged(record.text),
            reply=_logged(record.reply),
            outcome=record.outcome.value,
            receivedMs=record.received_ms,
            endedMs=record.ended_ms,
            startingCredits=self._starting_credits,
        )

    async def tenant(self, tenant: str) -> Tenant | None:
        """See `Database.tenant`."""
        return await self._call("query", "tenant", _tenant_or_none, tenant=tenant)

    async def tenants(self) -> list[Tenant]:
        """See `Database.tenants`."""
        found: list[Tenant] = []
        while page := await self._call("query", "tenants", _page, after=found[-1].id if found else ""):
            found += page
        return found

    async def save_tenant(
        self,
        tenant: str,
        *,
        credits: int | None,  # noqa: A002 - see `Database.save_tenant`
        owner_email: str | None,
    ) -> Tenant:
        """See `Database.save_tenant`."""
        return await self._call(
            "mutation", "saveTenant", _tenant, tenant=tenant, credits=credits, ownerEmail=owner_email
        )

    async def _call(self, kind: str, name: str, read: Callable[[Any], T], **args: Any) -> T:
        """What *read* makes of a function's value. A function is called again while that may help."""
        body = {"path": f"runbook:{name}", "args": args, "format": "json"}
        try:
            async with asyncio.timeout(self._timeout_s):
                return read(await self._insist(f"api/{kind}", body))
        except TimeoutError as error:
            raise DatabaseFailed(f"Convex did not answer runbook:{name} in {self._timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise DatabaseFailed(f"Convex could not be asked: {type(error).__name__}") from error
        except BodyTooLong as error:
            raise DatabaseFailed(f"Convex answered runbook:{name} too long: {error}") from error
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise DatabaseFailed(f"Convex answered runbook:{name} with something else: {_HINT}") from error

    async def _insist(self, path: str, body: dict[str, Any]) -> Any:
        async for attempt in stamina.retry_context(
            on=(_Busy, aiohttp.ClientConnectionError),
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.1,
        ):
            with attempt:
                return await self._post(path, body)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        # A redirect would take texts, and perhaps the key, to another host.
        sending = self._http.post(path, data=orjson.dumps(body), headers=_JSON, allow_redirects=False)
        async with sending as response:
            if response.status in _TRY_AGAIN:
                raise _Busy(f"Convex refused {body['path']}: HTTP {response.status}")
            # A proxy's own errors are HTML.
            is_json = response.content_type == "application/json"
            content = await read_body(response, MAX_ANSWER_BYTES) if is_json else b""
        answer: Any = orjson.loads(content) if content else None
        if response.status != 200:
            raise DatabaseFailed(f"Convex refused {body['path']}: {_refusal(response.status, answer)}")
        if answer["status"] != "success":
            raise DatabaseFailed(
                f"Convex failed in {body['path']}{_request(answer['errorMessage'])}: {_HINT}"
            )
        return answer["value"]


def _refusal(status: int, answer: Any) -> str:
    """The status and Convex's code for it, as `BadAdminKey`."""
    code = answer.get("code") if isinstance(answer, dict) else None
    return f"HTTP {status} {code}" if isinstance(code, str) and _CODE.fullmatch(code) else f"HTTP {status}"


def _request(message: str) -> str:
    """Which request it was: a production deployment tells that and nothing else."""
    found = _REQUEST_ID.search(message)
    return f" (request {found[1]} in its logs)" if found else ""


def _nothing(_value: Any) -> None:
    return None


def _tenant_or_none(account: dict[str, Any] | None) -> Tenant | None:
    return None if account is None else _tenant(account)


def _page(accounts: list[dict[str, Any]]) -> list[Tenant]:
    return [_tenant(account) for account in accounts]


def _tenant(account: dict[str, Any]) -> Tenant:
    """The account; Convex's numbers are floating point."""
    credits_ = account["credits"]
    return Tenant(
        id=account["tenant"],
        credits=None if credits_ is None else int(credits_),
        reserved=int(account["reserved"]),
        used=int(account["used"]),
        owner_email=account["ownerEmail"],
    )


def _logged(text: str) -> str:
    """What the log keeps of a text; a model may answer lone surrogates, which UTF-8 cannot hold."""
    return text[:LOGGED_CHARACTERS].encode(errors="replace").decode()
