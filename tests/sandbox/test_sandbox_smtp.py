"""Mail by SMTP: kept in the HTTP API's shape, refused as Resend refuses it, and harmless whatever comes."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import pytest

from sandbox import smtp
from sandbox.bodies import MAX_BODY_BYTES
from sandbox.kept import Kept
from sandbox.smtp import MAX_LINE_BYTES, MAX_RECIPIENTS, smtp_server

KEY = "re_123"
PLAIN = b"AUTH PLAIN AHJlc2VuZAByZV8xMjM=\r\n"  # resend, re_123
HEAD = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n"


@pytest.fixture
def mails() -> Kept:
    """Where the server's mails are kept."""
    return Kept()


@pytest.fixture
async def port(mails: Kept) -> AsyncIterator[int]:
    """The port of a server that wants `KEY`."""
    async with smtp_server(mails, "127.0.0.1", 0, KEY) as port:
        yield port


async def talk(port: int, *sent: bytes) -> list[str]:
    """What is answered to *sent*, after which nothing more comes; a line each, none if we are cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(sent)
    writer.write_eof()
    try:
        async with asyncio.timeout(60):
            return (await reader.read()).decode().splitlines()
    except ConnectionError:
        return []
    finally:
        writer.close()


def codes(lines: list[str]) -> list[int]:
    """The reply codes of *lines*, the greeting's left out."""
    return [int(line[:3]) for line in lines[1:]]


def send(port: int, mail: EmailMessage, user: str = "resend", key: str = KEY) -> None:
    """As any client of the standard library sends."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.login(user, key)
        client.send_message(mail)


def mail_with(**parts: str) -> EmailMessage:
    """A mail with these bodies (`plain`, `html`)."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Alarm <a@b.c>", "d@e.f, g@h.i", "Größe ✓"
    for number, (kind, text) in enumerate(parts.items()):
        (mail.add_alternative if number else mail.set_content)(text, subtype=kind)
    return mail


async def test_a_mail_is_kept_as_the_http_api_keeps_it(port: int, mails: Kept) -> None:
    """Sender, recipients, subject and both bodies, decoded, dots at a line's begin among them."""
    await asyncio.to_thread(send, port, mail_with(plain=".ä\n..\n", html="<p>ö</p>\n"))
    (kept,) = mails.listed()
    assert kept.pop("id")
    assert kept == {
        "idempotencyKey": None,
        "from": "Alarm <a@b.c>",
        "to": ["d@e.f", "g@h.i"],
        "subject": "Größe ✓",
        "text": ".ä\n..\n",
        "html": "<p>ö</p>\n",
    }


async def test_a_body_that_is_not_there_is_left_out(port: int, mails: Kept) -> None:
    """As the HTTP API leaves out what was not sent."""
    await asyncio.to_thread(send, port, mail_with(html="<p>only</p>"))
    assert "text" not in mails.listed()[0]


@pytest.mark.parametrize(("user", "key"), [("resend", "re_other"), ("root", KEY), ("resend", "")])
async def test_a_wrong_login_is_535(port: int, mails: Kept, user: str, key: str) -> None:
    """Another user or key than Resend's; nothing is kept."""
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        await asyncio.to_thread(send, port, mail_with(plain=""), user, key)
    assert refused.value.smtp_code == 535
    assert mails.listed() == []


async def test_without_a_key_any_is_taken() -> None:
    """But one there must be, and Resend's user."""
    async with smtp_server(Kept(), "127.0.0.1", 0) as port:
        plain = b"AUTH PLAIN\r\nAHJlc2VuZAB4\r\n"  # resend, x
        none = b"AUTH PLAIN AHJlc2VuZAA=\r\nAUTH PLAIN AHJvb3QAeA==\r\n"  # resend without a key; root, x
        assert codes(await talk(port, plain, none)) == [334, 235, 535, 535]


async def test_login_is_by_plain_or_by_login(port: int) -> None:
    """PLAIN at once or asked for, LOGIN with the user at once or asked for."""
    by_plain = b"AUTH PLAIN\r\nAHJlc2VuZAByZV8xMjM=\r\n"
    by_login = b"AUTH LOGIN\r\ncmVzZW5k\r\ncmVfMTIz\r\nauth login cmVzZW5k\r\ncmVfMTIz\r\n"
    assert codes(await talk(port, PLAIN, by_plain, by_login)) == [235, 334, 235, 334, 334, 235, 334, 235]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"EHLO me\r\nNOOP\r\nRSET\r\nQUIT\r\n", [250, 250, 250, 250, 250, 221]),
        (HEAD, [530, 530, 530]),
        (PLAIN + b"DATA\r\nRCPT TO:<a@b.c>\r\nMAIL TO:<a@b.c>\r\n", [235, 503, 503, 503]),
        (PLAIN + HEAD[:-6] + b"RSET\r\nDATA\r\n", [235, 250, 250, 250, 503]),
        (PLAIN + HEAD[:-6] + b"NOOP\r\nDATA\r\n.\r\n", [235, 250, 250, 250, 354, 250]),
        (PLAIN + HEAD + b".\r\nDATA\r\n", [235, 250, 250, 354, 250, 503]),
        (b"AUTH CRAM-MD5\r\nAUTH PLAIN !\r\nAUTH PLAIN \xff\r\nAUTH PLAIN AA==\r\n", [504, 501, 501, 535]),
        (b"GET / HTTP/1.1\r\n\r\n\x16\x03\x01\r\nSTARTTLS\r\n", [502, 502, 502, 502]),
        (PLAIN + b"MAIL FROM:<>\r\n" + b"RCPT TO:<a@b.c>\r\n" * (MAX_RECIPIENTS + 1),
         [235, *[250] * (MAX_RECIPIENTS + 1), 452]),
    ],
)  # fmt: skip
async def test_each_command_has_its_reply(port: int, sent: bytes, expected: list[int]) -> None:
    """Out of order, without a login or unknown, as RFC 5321 and 4954 have it."""
    assert codes(await talk(port, sent)) == expected


async def test_a_mail_that_is_too_big_is_refused_and_the_next_is_taken(port: int, mails: Kept) -> None:
    """It is read to its end, but not kept in memory."""
    big = b"x" * 1000 + b"\r\n"
    lines = await talk(port, PLAIN, HEAD, big * (MAX_BODY_BYTES // 1000), b".\r\n", HEAD, b"\r\nhi\r\n.\r\n")
    assert codes(lines) == [235, 250, 250, 354, 552, 250, 250, 354, 250]
    assert [mail["text"] for mail in mails.listed()] == ["hi\n"]


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Type: text/plain; charset=nonsense\r\n\r\nhi\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\n!\r\n",
        b"From: \xff <\r\nSubject: =?utf-8?b?!?=\r\nContent-Type: multipart/mixed\r\n\r\n",
        b"\x00\r\n",
    ],
)
async def test_an_odd_mail_has_an_answer(port: int, content: bytes) -> None:
    """Kept or refused, and the connection goes on."""
    *_, taken, noop = codes(await talk(port, PLAIN, HEAD, content, b".\r\nNOOP\r\n"))
    assert taken in (250, 554)
    assert noop == 250


async def test_who_goes_away_or_sends_no_line_end_hurts_nobody(port: int, mails: Kept) -> None:
    """Half a mail is none, a line without end closes its connection; the next client is served."""
    assert codes(await talk(port, PLAIN, HEAD, b"Subject: half\r\n")) == [235, 250, 250, 354]
    assert codes(await talk(port, b"x" * 3 * MAX_LINE_BYTES)) == []
    assert mails.listed() == []
    assert codes(await talk(port, b"NOOP\r\n")) == [250]


async def test_who_is_slow_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session has a time in which it must end."""
    monkeypatch.setattr(smtp, "MAX_SESSION_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(60):
        assert (await reader.read()).startswith(b"220 ")
    writer.close()


async def test_too_many_sessions_are_told_to_come_again(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """421, and the connection is closed."""
    monkeypatch.setattr(smtp, "MAX_SESSIONS", 0)
    assert (await talk(port))[0].startswith("421 ")


async def test_the_end_of_the_server_ends_its_sessions() -> None:
    """Also of a client that says nothing."""
    async with smtp_server(Kept(), "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()
