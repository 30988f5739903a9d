"""Inngest's event API: `POST {base}/e/{event key}`. An event's id is its identity to Inngest for 24 hours."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

MESSAGE_RECEIVED = "whatsapp/message.received"
"""The event's name: what our function is triggered by."""


class NotTold(Exception):
    """Inngest did not say that it has the event; it may have it. The message says why, without content."""


class Events:
    """Sends events. The package's own client would wait out 5 attempts of 30 s; ours are counted in Redis."""

    def __init__(self, client: httpx.AsyncClient, event_key: str) -> None:
        """*client* has the API's base URL and a timeout."""
        self._client = client
        self._path = f"/e/{quote(event_key, safe='')}"

    async def send(self, event_id: str, data: dict[str, Any]) -> None:
        """Return once Inngest has the event, which it takes once for each id.

        Raises:
            NotTold: and nothing else.
        """
        event = {"name": MESSAGE_RECEIVED, "id": event_id, "data": data}
        try:
            response = await self._client.post(self._path, json=event)
        except httpx.HTTPError as error:
            raise NotTold(f"Inngest could not be reached: {type(error).__name__}") from error
        if not response.is_success:
            raise NotTold(f"Inngest refused the event: HTTP {response.status_code}")
