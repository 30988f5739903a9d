"""The sandbox's Convex as the database: a process of its own, down or silent on demand."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from chaos_programs import Program
from chaos_waiting import until

from contracts.free_ports import free_port


@dataclass(frozen=True)
class Convex:
    """The sandbox process; its other services are not used."""

    program: Program
    port: int

    @classmethod
    def logging_to(cls, folder: Path) -> Convex:
        """A sandbox that is not started yet."""
        port = free_port()
        command = [sys.executable, "-m", "sandbox"]
        return cls(Program("sandbox", command, folder / "sandbox.log", {"PORT": str(port)}), port)

    @property
    def url(self) -> str:
        """The service's NEXT_PUBLIC_CONVEX_URL."""
        return f"http://127.0.0.1:{self.port}/convex"

    async def ready(self) -> None:
        """Until it answers."""
        await until(self._answers, "the sandbox answers")

    async def fail(self, **fault: Any) -> None:
        """From now on do with each request what *fault* says (see `sandbox/faults.py`)."""
        await self._ask("PUT", "/faults/convex", fault)

    async def mend(self) -> None:
        """End the fault."""
        await self._ask("DELETE", "/faults/convex")

    async def tenant(self, name: str) -> dict[str, Any]:
        """The tenant's account: `used`, `reserved`, `credits`."""
        asked = {"path": "runbook:tenant", "args": {"tenant": name}, "format": "json"}
        answer = await self._ask("POST", "/convex/api/query", asked)
        account: dict[str, Any] = answer["value"]
        return account

    async def _answers(self) -> bool:
        try:
            await self._ask("GET", "/healthz")
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def _ask(self, method: str, path: str, content: Any = None) -> Any:
        async with (
            aiohttp.ClientSession(raise_for_status=True) as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", json=content) as answer,
        ):
            return await answer.json() if answer.status == 200 else None
