"""Prometheus and Alertmanager of Debian, as processes for the length of a block."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from debian_programs import need
from in_thread import answering

from contracts.free_ports import free_ports

_READY_WITHIN_S = 120


@contextmanager
def running_alertmanager(folder: Path, config: str, prefix: str = "") -> Iterator[str]:
    """One with *config*, on a port of its own below *prefix*; its address."""
    port, cluster = free_ports(2)
    options = [
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.route-prefix={prefix or '/'}",
        f"--cluster.listen-address=127.0.0.1:{cluster}",
    ]
    with _running(
        "prometheus-alertmanager", folder, config, options, f"http://127.0.0.1:{port}{prefix}"
    ) as url:
        yield url


@contextmanager
def running_prometheus(folder: Path, config: str, prefix: str = "") -> Iterator[str]:
    """See `running_alertmanager`; what lies in *folder*/data is its storage."""
    (port,) = free_ports(1)
    options = [
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=100y",
        "--rules.alert.resend-delay=1s",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url=http://127.0.0.1:{port}{prefix}",
    ]
    with _running("prometheus", folder, config, options, f"http://127.0.0.1:{port}{prefix}") as url:
        yield url


@contextmanager
def _running(program: str, folder: Path, config: str, options: list[str], url: str) -> Iterator[str]:
    need(program)
    (folder / "config.yml").write_text(config)
    with (folder / "log").open("wb") as log:
        command = [program, f"--config.file={folder}/config.yml", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(url, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(url: str, log: Path) -> None:
    """Until it answers; its log, if it does not."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail(log.read_text())


@contextmanager
def behind_one_port(**by_prefix: str) -> Iterator[str]:
    """The address of a server that passes each GET on to the address which its path's first part names."""

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, prefix, rest = self.path.split("/", 2)
            try:
                answer = httpx.get(f"{by_prefix[prefix]}/{rest}", timeout=_READY_WITHIN_S, trust_env=False)
                status, body = answer.status_code, answer.content
            except (KeyError, httpx.HTTPError):
                status, body = 502, b"nobody there"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Forward)) as url:
        yield url
