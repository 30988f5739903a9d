"""The database's fault at the sandbox: set for a while, and ended whatever happens meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import httpx

from smoke.target import described

DATABASE = "convex"
TIMEOUT_S = 5.0
ATTEMPTS = 3


class FaultsError(Exception):
    """A fault could not be set or ended; the message says which request failed, and how."""


class Faults:
    """Where faults are set: `PUT {url}/{service}` sets one, `DELETE` ends it."""

    def __init__(self, client: httpx.Client, url: str, hosts: Sequence[str]) -> None:
        """*hosts*: for whose requests the faults are; empty for everybody's."""
        self._client = client
        self._all = url
        self._url = f"{url}/{DATABASE}"
        self._fault = {"down": True, **({"hosts": list(hosts)} if hosts else {})}

    def end_left_over(self) -> bool:
        """End a fault like ours that is there before we set one: a run that was killed could not end it.

        Whether there was one; where that cannot be found out, whoever sets the fault will say why.
        """
        with suppress(FaultsError, ValueError, AttributeError):
            left = self._ask("GET", self._all).json().get(DATABASE)
            if left and left.keys() == self._fault.keys() and left["down"]:
                self._end()
                return True
        return False

    @contextmanager
    def database_down(self) -> Iterator[None]:
        """The database is down while the block runs. Ctrl-C and SIGTERM end the block, and so the fault.

        Raises:
            FaultsError: the fault was refused, or could not be ended.
        """
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        is_set = False
        try:
            self._ask("PUT", self._url, json=self._fault)
            is_set = True
            yield
        finally:
            # A fault that was refused, or not answered, may be there all the same; its own error says more.
            with nullcontext() if is_set else suppress(FaultsError):
                self._end()
            signal.signal(signal.SIGTERM, before)

    def _end(self) -> None:
        """End the fault, also if told again to stop."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._ask("DELETE", self._url)
                    return
                except FaultsError:
                    if attempt == ATTEMPTS:
                        raise
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, url, timeout=TIMEOUT_S, **request)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise FaultsError(f"--faults-url: {method} {url}: no answer: {reason}") from error
        if not answer.is_success:
            raise FaultsError(f"--faults-url: {described(answer)}")
        return answer
