"""Releases that must not go live: code at the end of one of the service's files, and what must stop it."""

from __future__ import annotations

from dataclasses import dataclass

_TAKE = "service/webhooks/webhook.py"
_COUNTED = "import itertools\n_count, _good = itertools.count(1), Webhook.take\n\n"
_OF_LOAD = 100
"""More valid webhooks than smoke sends to one process: what comes after them is the load gate's."""


@dataclass(frozen=True)
class Broken:
    """*code* at the end of *file*; the check by which the release is refused, as its line begins."""

    file: str
    code: str
    check: str
    says: str = ""
    """What the reason names besides, as a regular expression."""


def _taking(body: str) -> str:
    """Code that replaces the request path by *body*, which may call `_good(self, delivery, answer)`."""
    return f"{_COUNTED}def _broken(self, delivery, answer):\n{body}\nWebhook.take = _broken\n"


BROKEN: dict[str, Broken] = {
    "never healthy": Broken(
        "service/webhooks/web.py",
        "async def _broken(*_: object) -> Response:\n    return JSONResponse({}, status_code=503)\n\n"
        "Web._ready = _broken  # type: ignore\n",
        "ready: fail",
        r"limit \d+ s",
    ),
    "crashes after 10 s": Broken(
        "service/webhooks/web.py",
        "import os, threading\nthreading.Timer(10, os._exit, [7]).start()\n",
        "restarts: fail",
        "web-1",
    ),
    "2 % of webhooks 500": Broken(
        _TAKE,
        _taking(
            f"    number = next(_count)\n    if number > {_OF_LOAD} and number % 50 == 0:\n"
            "        answer(Answer(500, b'{}'))\n    else:\n        _good(self, delivery, answer)\n"
        ),
        "error rate: fail",
        "status 500",
    ),
    "p95 over the limit": Broken(
        _TAKE,
        _taking("    asyncio.get_running_loop().call_later(0.7, _good, self, delivery, answer)\n"),
        "webhook p95: fail",
        "limit 500 ms",
    ),
    "a 4 s stall once": Broken(
        _TAKE,
        _taking(
            f"    wait_s = 4 if next(_count) == {2 * _OF_LOAD} else 0\n"
            "    asyncio.get_running_loop().call_later(wait_s, _good, self, delivery, answer)\n"
        ),
        "slowest webhook: fail",
        "limit 3000 ms",
    ),
    "answers 200 without enqueueing": Broken(
        _TAKE,
        _taking(
            "    try:\n        self._verified(delivery, time.time_ns() // 1_000_000)\n"
            "    except Rejected:\n        _good(self, delivery, answer)\n"
            '    else:\n        answer(Answer(200, b\'{"status":"accepted"}\'))\n'
        ),
        "signed message is answered once",
        "no reply",
    ),
    "replies twice": Broken(
        "service/messages/messenger.py",
        "_once = Sink.send_text\n\nasync def _twice(self, reply):\n"
        "    await _once(self, reply)\n    await _once(self, reply)\n\nSink.send_text = _twice\n",
        "signed message is answered once",
        "2 replies, limit 1",
    ),
    "drops each 50th message": Broken(
        _TAKE,
        _taking(
            f"    number = next(_count)\n    if number > {_OF_LOAD} and number % 50 == 0:\n"
            '        answer(Answer(202, b\'{"status":"accepted"}\'))\n'
            "    else:\n        _good(self, delivery, answer)\n"
        ),
        "lost: fail",
        "accepted, and no reply",
    ),
    "accepts a wrong signature": Broken(
        "service/webhooks/signature.py",
        "Secrets.verify = lambda self, body, headers: 0\n",
        "forged signature is refused",
        r"forged signature is refused \[of another secret\]: fail: 202, limit 401",
    ),
    "leaks 20 MB/s": Broken(
        "service/webhooks/web.py",
        "import threading, time as _time\n\ndef _leak():\n    kept = []\n    while True:\n"
        "        kept.append(b'x' * 4_000_000)\n        _time.sleep(0.2)\n\n"
        "threading.Thread(target=_leak, daemon=True).start()\n",
        "memory growth: fail",
        r"web-\d",
    ),
    "wrong secret": Broken(
        "service/webhooks/signature.py",
        "_begin = Secrets.__init__\n\ndef _wrong(self, secrets):\n"
        "    _begin(self, [secret + b'x' for secret in secrets])\n\nSecrets.__init__ = _wrong\n",
        "signed message is answered once",
        "answered 401",
    ),
    "cannot reach Redis": Broken(
        "service/wiring/outside.py",
        "_good = open_store\n\ndef open_store(settings, *rest):\n"
        "    wrong = settings.redis_url.get_secret_value().replace(':6379', ':6380')\n"
        "    changed = settings.model_copy(update={'redis_url': SecretStr(wrong)})\n"
        "    return _good(changed, *rest)\n",
        "ready: fail",
        "Redis is away",
    ),
    "1.5 times slower than live": Broken(
        _TAKE,
        "import time as _time\n"
        + _taking(
            "    began = _time.perf_counter()\n"
            "    def later(it):\n"
            "        took_s = _time.perf_counter() - began\n"
            "        asyncio.get_running_loop().call_later(0.0007 + took_s / 2, answer, it)\n"
            "    _good(self, delivery, later)\n"
        ),
        "webhook against live",
        "limit",
    ),
    "errors only under burst": Broken(
        _TAKE,
        "_waiting = [0]\n"
        + _taking(
            "    if _waiting[0] >= 30:\n        answer(Answer(500, b'{}'))\n        return\n"
            "    _waiting[0] += 1\n"
            "    def done(it):\n        _waiting[0] -= 1\n        answer(it)\n"
            "    _good(self, delivery, done)\n"
        ),
        "burst: error rate: fail",
        "status 500",
    ),
    "healthy with the database down": Broken(
        "service/telemetry/health.py",
        "_honest = Health._find\n\nasync def _lying(self, probe):\n"
        "    found = await _honest(self, probe)\n"
        "    return Finding(State.UP, 1) if probe.name == 'database' else found\n\n"
        "Health._find = _lying\n",
        "health tells the truth",
        "database",
    ),
}
