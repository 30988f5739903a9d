"""Serves an application from a thread, with or without TLS."""

from __future__ import annotations

import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Certificate:
    """What a server proves its name with. `speaks_old_tls`: it takes TLS 1.0 and 1.1 as well."""

    certificate: Path
    key: Path
    speaks_old_tls: bool = False


@contextmanager
def serving(app: ASGIApp, tls: Certificate | None = None) -> Iterator[str]:
    """Any application on a free port of loopback, in a thread; gives its base URL."""
    server = uvicorn.Server(_config(app, tls))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def _config(app: ASGIApp, tls: Certificate | None) -> uvicorn.Config:
    options: dict[str, Any] = {}
    if tls:
        ciphers = "ALL:@SECLEVEL=0" if tls.speaks_old_tls else "DEFAULT"
        options = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key, "ssl_ciphers": ciphers}
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1, **options
    )
    config.load()
    if config.ssl:
        old = tls is not None and tls.speaks_old_tls
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old is what is meant
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1 if old else ssl.TLSVersion.TLSv1_2
    return config
