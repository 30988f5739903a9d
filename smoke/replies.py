"""Where the replies are read: the release's own gate lane, or the list of what was really sent."""

from __future__ import annotations

from typing import Any, Protocol

import httpx
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from contracts.webhook import REPLIES_PATH
from smoke.target import Target, described

PAGE_LIMIT = 1000
MAX_PAGES = 1000


class RepliesError(Exception):
    """The replies cannot be read; the message shows the answer."""


class Reply(BaseModel):
    """One reply: where it went, the full id of the message it answers, and what it says."""

    chat_id: str = Field(alias="chatId")
    reply_to: str | None = Field(alias="replyTo")
    text: str = ""


class Replies(Protocol):
    """A source of replies."""

    def of_chat(self, chat_id: str) -> list[Reply]:
        """The replies recorded so far in one chat, oldest first."""
        ...


class GateReplies:
    """The replies that the release under test recorded in its gate lane instead of sending them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cursor = "0"
        self._replies: list[Reply] = []

    def of_chat(self, chat_id: str) -> list[Reply]:
        """Read what is new, then pick the chat's.

        Raises:
            RepliesError: an answer is not a page of replies, or the pages do not end.
        """
        for _ in range(MAX_PAGES):
            page = self._next_page()
            self._replies += page.replies
            self._cursor = page.next
            if len(page.replies) < PAGE_LIMIT:
                return [reply for reply in self._replies if reply.chat_id == chat_id]
        raise RepliesError(f"{REPLIES_PATH}: no end after {MAX_PAGES} full pages")

    def _next_page(self) -> _Page:
        response = self._target.get(REPLIES_PATH, after=self._cursor, limit=PAGE_LIMIT)
        if response.status_code == 404:
            raise RepliesError(
                f"{described(response)}: only the candidate frontend has the gate lane; "
                "for the public one give --replies-url"
            )
        page: _Page = _parsed(response, _PAGE)
        return page


class SentReplies:
    """The texts that the sandbox's WAHA was made to send."""

    def __init__(self, target: Target, url: str) -> None:
        self._target = target
        self._url = url

    def of_chat(self, chat_id: str) -> list[Reply]:
        """Ask for the chat's.

        Raises:
            RepliesError: the answer is not a list of sent texts.
        """
        replies: list[Reply] = _parsed(self._target.get(self._url, chatId=chat_id), _LIST)
        return replies


class _Page(BaseModel):
    replies: list[Reply]
    next: str


_PAGE = TypeAdapter(_Page)
_LIST = TypeAdapter(list[Reply])


def _parsed(response: httpx.Response, shape: TypeAdapter[Any]) -> Any:
    try:
        if response.status_code == 200:
            return shape.validate_json(response.content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RepliesError(f"{described(response)}: not replies: {where}: {first['msg']}") from error
    raise RepliesError(f"{described(response)}: not replies")
