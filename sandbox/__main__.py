"""`python -m sandbox` serves; `python -m sandbox healthcheck` exits 0 if the sandbox here answers, else 1."""

from __future__ import annotations

import http.client
import os
import sys

from sandbox.settings import Settings, SettingsError

HEALTHCHECK_TIMEOUT_S = 2


def main(arguments: list[str]) -> int:
    """Run one command; the exit code is 0 done, 1 unhealthy, 2 wrongly called."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    match arguments:
        case []:
            # Imported here, so that the health check, run each few seconds, loads no server.
            from sandbox.server import serve

            serve(settings)
            return 0
        case ["healthcheck"]:
            return 0 if is_healthy(settings) else 1
    print("error: usage: python -m sandbox [healthcheck]", file=sys.stderr)
    return 2


def is_healthy(settings: Settings) -> bool:
    """Whether the sandbox at these settings answers `/healthz` with 200."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(host, settings.port, timeout=HEALTHCHECK_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as error:
        print(f"error: no answer from {host}:{settings.port}: {error}", file=sys.stderr)
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
