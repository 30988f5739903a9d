"""Resend's SMTP (`smtp.resend.com`), without TLS: its mails are kept beside the e-mails of the HTTP API."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import secrets
import uuid
from collections.abc import AsyncIterator
from email.message import EmailMessage
from typing import Any

from sandbox.bodies import MAX_BODY_BYTES
from sandbox.kept import Kept

MAX_LINE_BYTES = 65_536
MAX_RECIPIENTS = 50
MAX_SESSIONS = 100
MAX_SESSION_S = 60.0

# LOGIN comes first: Go's clients, Alertmanager among them, refuse PLAIN where there is no TLS.
_EXTENSIONS = f"250-sandbox\r\n250-AUTH LOGIN PLAIN\r\n250 SIZE {MAX_BODY_BYTES}"


@contextlib.asynccontextmanager
async def smtp_server(mails: Kept, host: str, port: int, api_key: str | None = None) -> AsyncIterator[int]:
    """Take mail for the length of the block, for *api_key* (any, if there is none); the port."""
    sessions: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(task := asyncio.current_task())
        try:
            # A client that is slow, has gone or sends a line without end loses its connection.
            with contextlib.suppress(OSError, ValueError, EOFError, TimeoutError):
                async with asyncio.timeout(MAX_SESSION_S):
                    await _Session(reader, writer, mails, api_key).run(busy=len(sessions) > MAX_SESSIONS)
        finally:
            sessions.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=MAX_LINE_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in filter(None, sessions):
            session.cancel()


class _Session:
    """One connection: commands by turns with their replies."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mails: Kept, api_key: str | None
    ) -> None:
        self._reader, self._writer, self._mails, self._api_key = reader, writer, mails, api_key
        self._has_login, self._has_sender, self._to = False, False, list[str]()

    async def run(self, *, busy: bool) -> None:
        """Greet, and answer each command until QUIT or the end of the connection."""
        reply = "421 4.7.0 Too many connections" if busy else "220 sandbox ESMTP"
        await self._say(reply)
        while not reply.startswith(("221", "421")):
            verb, _, rest = (await self._line()).decode("latin-1").partition(" ")
            reply = await self._reply(verb.upper(), rest.strip())
            await self._say(reply)

    async def _reply(self, verb: str, rest: str) -> str:
        match verb:
            case "EHLO" | "HELO" | "RSET" | "NOOP":
                self._has_sender = self._has_sender and verb == "NOOP"
                return _EXTENSIONS if verb == "EHLO" else "250 2.0.0 OK"
            case "QUIT":
                return "221 2.0.0 Bye"
            case "AUTH":
                return await self._login(*rest.partition(" ")[::2])
            case "MAIL" | "RCPT" | "DATA" if not self._has_login:
                return "530 5.7.0 Authentication required"
            case "MAIL" if rest.upper().startswith("FROM:"):
                self._has_sender, self._to = True, []
                return "250 2.1.0 OK"
            case "RCPT" if self._has_sender and rest.upper().startswith("TO:"):
                if len(self._to) == MAX_RECIPIENTS:
                    return "452 4.5.3 Too many recipients"
                self._to.append(rest[3:].strip().partition(">")[0].removeprefix("<"))
                return "250 2.1.5 OK"
            case "DATA" if self._has_sender and self._to:
                self._has_sender = False
                return await self._take_mail()
            case "MAIL" | "RCPT" | "DATA":
                return "503 5.5.1 Bad sequence of commands"
        return "502 5.5.1 Command not implemented"

    async def _login(self, mechanism: str, initial: str) -> str:
        prompts = {"PLAIN": [b""], "LOGIN": [b"Username:", b"Password:"]}.get(mechanism.upper())
        if prompts is None:
            return "504 5.5.4 Unrecognized authentication type"
        answers = [initial] if initial else []
        for prompt in prompts[len(answers) :]:
            await self._say(f"334 {base64.b64encode(prompt).decode()}")
            answers.append((await self._line()).decode("latin-1"))
        try:
            given = b"\0".join(base64.b64decode(answer, validate=True) for answer in answers).split(b"\0")
        except ValueError:
            return "501 5.5.2 Cannot decode the response"
        wanted = self._api_key.encode() if self._api_key else given[-1]
        self._has_login = given[-2:-1] == [b"resend"] and secrets.compare_digest(given[-1] or b"-", wanted)
        return "235 2.7.0 OK" if self._has_login else "535 5.7.8 Authentication credentials invalid"

    async def _take_mail(self) -> str:
        await self._say("354 End data with <CR><LF>.<CR><LF>")
        content, size = bytearray(), 0
        while (line := await self._line()) != b".":
            size += len(line) + 2
            if size <= MAX_BODY_BYTES:
                content += line.removeprefix(b".") + b"\n"
        if size > MAX_BODY_BYTES:
            return "552 5.3.4 Message too big"
        try:
            mail = {"id": str(uuid.uuid4()), "idempotencyKey": None, "to": self._to, **_parts(bytes(content))}
        except Exception as error:  # the library's parser raises all kinds of errors on odd mail
            return f"554 5.6.0 Cannot read the message: {type(error).__name__}"
        self._mails.add(mail)
        return f"250 2.0.0 OK {mail['id']}"

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line.rstrip(b"\r\n")

    async def _say(self, reply: str) -> None:
        self._writer.write(f"{reply}\r\n".encode())
        await self._writer.drain()


def _parts(content: bytes) -> dict[str, Any]:
    """Sender, subject and bodies in the HTTP API's names; a body that the mail has not is left out."""
    message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
    bodies = {name: message.get_body((kind,)) for name, kind in (("text", "plain"), ("html", "html"))}
    found = {"from": str(message["From"] or ""), "subject": str(message["Subject"] or "")}
    return {**found, **{name: body.get_content() for name, body in bodies.items() if body is not None}}
