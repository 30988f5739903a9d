"""What `infra` says to people when it cannot go on.

Refused             something was asked for that cannot or must not be done
└── PartMissing     a part of this machine is missing and could not be had
"""

from __future__ import annotations

_HINT = "\nhint: "


class Refused(Exception):
    """A refusal in words for people: reported without a traceback by providers and the program alike.

    `message` says what was wrong, with the value; `hint`, where there is one, what to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """The message, and the hint on a line of its own."""
        return f"{self.message}{_HINT}{self.hint}" if self.hint else self.message


class PartMissing(Refused):
    """A tool, package or image that this machine needs is missing and could not be installed or built."""


def split_hint(text: str) -> tuple[str, str]:
    """Message and hint of a `Refused` that came as text, through Pulumi's engine."""
    message, _, hint = text.partition(_HINT)
    return message, hint


def encodable(text: str) -> str:
    """*text* as UTF-8 can hold it: each byte of an argument or a variable that was none becomes `?`."""
    return text.encode("utf-8", "replace").decode()


def printable(text: object) -> str:
    """*text* from outside: nothing in it can end the line or steer the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text))
