"""A headless Chromium with a profile of its own, which can reach nothing but this machine."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TIMEOUT_S = 120
_ITSELF = "not an origin"
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--enable-logging=stderr",
)


@dataclass(frozen=True)
class Seen:
    """A page as the browser has it: its DOM as text, what the console said, and what the page asked for."""

    dom: str
    console: list[str]
    asked_for: list[str]


@dataclass(frozen=True)
class Browser:
    """The program, with its files in `folder`."""

    folder: Path

    def look(self, url: str, *more: str) -> Seen:
        """Load *url* and say what came of it."""
        log = self.folder / "net.json"
        log.unlink(missing_ok=True)
        done = self._run(url, "--dump-dom", f"--log-net-log={log}", *more)
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return Seen(done.stdout, console, _asked_by_pages(json.loads(log.read_text(encoding="utf-8"))))

    def screenshot(self, url: str, picture: Path, width: int, height: int, *more: str) -> Path:
        """Write *picture*, a PNG of *url* in a window of that many pixels."""
        self._run(url, f"--screenshot={picture}", f"--window-size={width},{height}", *more)
        return picture

    def _run(self, url: str, *more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["chromium", *_OPTIONS, f"--user-data-dir={self.folder / 'profile'}", *more, url],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done


def _asked_by_pages(log: dict[str, Any]) -> list[str]:
    """The addresses that pages asked for; what the browser wants for itself has no page as its origin."""
    requests = [event.get("params", {}) for event in log["events"]]
    return [
        request["url"]
        for request in requests
        if "url" in request and request.get("initiator", _ITSELF) != _ITSELF
    ]
