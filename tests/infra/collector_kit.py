"""The collector as a process of its own, and what an engine's log driver sends it."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgpack
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from contracts.free_ports import free_ports

PROGRAM = Path(__file__).resolve().parents[2] / "infra" / "collect_logs.py"
SECONDS = 1_796_000_000


def record(line: object, name: str = "runbook-dev-web-1-r-1234567", **more: object) -> bytes:
    """One entry as the driver packs it; *line* is text, or what becomes JSON."""
    fields = {
        "container_id": name * 2,
        "container_name": f"/{name}",
        "source": "stdout",
        "log": line if isinstance(line, str) else json.dumps(line),
        "runbook.role": "web",
        "runbook.release": "r-1234567",
        **more,
    }
    return bytes(msgpack.packb([name, SECONDS, fields, {}]))


@dataclass
class RunningCollector:
    """A collector's process, its port and its folder."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    folder: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, *entries: bytes) -> None:
        """Send them over a connection of their own, and wait until all were taken."""
        with self.connect() as connection:
            connection.sendall(b"".join(entries))
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(1) == b""

    def lines(self, name: str = "*") -> list[dict[str, Any]]:
        return lines_in(self.folder, name)

    def counts(self) -> dict[str, float]:
        """What it answers to Prometheus, without the word that all have."""
        answer = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=60, trust_env=False)
        families = text_string_to_metric_families(answer.raise_for_status().text)
        samples = (sample for family in families for sample in family.samples)
        return {each.name.removeprefix("collector_"): each.value for each in samples}

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def peak_memory_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def lines_in(folder: Path, name: str = "*") -> list[dict[str, Any]]:
    """The lines of a class, or of all but the collector's own, as they lie in *folder*."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{name}/*.jsonl*")):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += map(json.loads, content.splitlines())
    return [line for line in found if name != "*" or line["role"] != "logs"]


@contextmanager
def collector(folder: Path, *options: str) -> Iterator[RunningCollector]:
    """One that takes connections, and has nothing to complain of."""
    port, metrics_port = free_ports(2)
    ports = ["--port", str(port), "--metrics-port", str(metrics_port)]
    with (folder / "said").open("ab") as said:
        command = [sys.executable, str(PROGRAM), "--folder", str(folder), *ports, *options]
        process = subprocess.Popen(command, stderr=said)

    def listens() -> bool:
        assert process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listens)
        yield RunningCollector(process, port, metrics_port, folder)
    finally:
        process.kill()
        process.wait()
        assert (folder / "said").read_text() == ""
