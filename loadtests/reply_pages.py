"""What the two places that keep replies answer: the gate's pages, and the WAHA stand-in's whole list."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError


class RepliesError(Exception):
    """The replies could not be read; the message says why."""


class Reply(BaseModel):
    """One recorded reply. `time` is when it was recorded, in ms since the epoch."""

    model_config = ConfigDict(frozen=True)

    replyTo: str | None = None  # noqa: N815 - the field's name in both answers
    time: float


class Page(BaseModel):
    """A page of the gate's replies and the cursor to go on from."""

    model_config = ConfigDict(frozen=True)

    replies: list[Reply]
    next: str


_SENT = TypeAdapter(list[Reply])


def parse_page(body: bytes) -> Page:
    """The gate's answer to `GET /api/gate/replies`.

    Raises:
        RepliesError: it has another shape.
    """
    try:
        return Page.model_validate_json(body)
    except ValidationError as error:
        raise RepliesError(f"not a page of replies: {_first(error)}") from error


def parse_sent(body: bytes) -> list[Reply]:
    """The WAHA stand-in's list of what was sent, oldest first.

    Raises:
        RepliesError: it has another shape.
    """
    try:
        return _SENT.validate_json(body)
    except ValidationError as error:
        raise RepliesError(f"not a list of sent messages: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc']))} {problem['msg']}".strip()
