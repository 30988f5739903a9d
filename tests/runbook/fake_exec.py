"""The engine's calls for commands in containers, in the shapes of its API."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace


@dataclass
class FakeExecApi:
    """`run` gives exit code and output of a command in the container of an id or name."""

    run: Callable[[str, list[str]], tuple[int, str]]
    base_url: str = "http+docker://fake"
    api_version: str = "1.41"
    ended: dict[str, tuple[int, str]] = field(default_factory=dict)

    def exec_create(self, container: str, command: list[str], user: str = "") -> dict[str, str]:
        run = f"run-{len(self.ended)}"
        self.ended[run] = self.run(container, command)
        return {"Id": run}

    def post(self, url: str, json: dict[str, bool], timeout: float) -> SimpleNamespace:
        assert (json, timeout > 0) == ({"Detach": False, "Tty": False}, True)
        run = url.split("/")[-2]
        assert url == f"{self.base_url}/v{self.api_version}/exec/{run}/start"
        return answer(self.ended[run][1])

    def exec_inspect(self, run: str) -> dict[str, int]:
        return {"ExitCode": self.ended[run][0]}


def answer(output: str) -> SimpleNamespace:
    """Each line is a write of its own, to the two outputs in turn."""
    lines = [line.encode() for line in output.splitlines(keepends=True)]
    frames = [struct.pack(">BxxxI", 1 + at % 2, len(line)) + line for at, line in enumerate(lines)]
    return SimpleNamespace(raise_for_status=lambda: None, content=b"".join(frames))
