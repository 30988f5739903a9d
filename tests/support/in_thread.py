"""An HTTP server of the standard library, answering from a thread while a test runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

_POLL_S = 0.02


@contextmanager
def answering(server: ThreadingHTTPServer) -> Iterator[str]:
    """*server* answers for the length of the block; its address. Nobody waits for requests that hang then."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_S})
    with server:
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
