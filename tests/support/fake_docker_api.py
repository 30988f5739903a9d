"""A Docker engine's HTTP interface with what a test says is there. It can be read; it starts nothing."""

from __future__ import annotations

import base64
import http.server
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from in_thread import answering

_VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24", "Arch": "amd64"}


@dataclass
class FakeDocker:
    """`containers` and `images`: by name, what inspecting them answers. `files`: by container and path."""

    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    host: str = ""

    def run(self, name: str, **inspected: Any) -> None:
        """Let a container *name* run: *inspected* is what it has besides, `Ports` what listing it says."""
        seen = {"Id": f"id-of-{name}", "Name": f"/{name}", "State": {"Status": "running", "Running": True}}
        config = {"Labels": {}, "Image": "", **inspected.pop("Config", {})}
        host = {"PortBindings": {}, **inspected.pop("HostConfig", {})}
        self.containers[name] = {**seen, "Config": config, "HostConfig": host, **inspected}

    def answer(self, path: str, labels: list[str]) -> Any:
        """What it answers to GET *path*, listing what has all *labels*; None where it has no such thing."""
        if found := re.fullmatch(r"/containers/([^/]+)/json", path):
            by_id = {each["Id"]: each for each in self.containers.values()}
            return (self.containers | by_id).get(found[1])
        if found := re.fullmatch(r"/images/(.+)/json", path):
            return self.images.get(found[1])
        return {
            "/version": _VERSION,
            "/volumes": {"Volumes": []},
            "/networks": [],
            "/info": {"ID": "FAKE", "OperatingSystem": "Debian"},
            "/containers/json": [
                _listed(each) for each in self.containers.values() if _has(each["Config"]["Labels"], labels)
            ],
            "/images/json": [{**each, "RepoTags": [name]} for name, each in self.images.items()],
        }.get(path)

    def archive(self, path: str, file: str) -> bytes | None:
        """The tar archive with a container's *file* that it answers to GET *path*; None if there is none."""
        found = re.fullmatch(r"/containers/id-of-([^/]+)/archive", path)
        text = self.files.get((found[1], file)) if found else None
        if text is None:
            return None
        member, written = tarfile.TarInfo(file.rpartition("/")[2]), io.BytesIO()
        member.size = len(text.encode())
        with tarfile.open(fileobj=written, mode="w") as tar:
            tar.addfile(member, io.BytesIO(text.encode()))
        return written.getvalue()


def _has(found: dict[str, str], labels: list[str]) -> bool:
    return all(found.get(label.partition("=")[0]) == label.partition("=")[2] for label in labels)


def _listed(inspected: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": inspected["Id"],
        "Names": [inspected["Name"]],
        "Labels": inspected["Config"]["Labels"],
        "State": inspected["State"]["Status"],
        "Ports": inspected.get("Ports", []),
    }


@contextmanager
def fake_docker() -> Iterator[FakeDocker]:
    """An engine with nothing in it; `host` is what DOCKER_HOST would be."""
    engine = FakeDocker()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, query = re.sub(r"^/v1\.\d+", "", unquote(parts.path)), parse_qs(parts.query)
            filters = json.loads(query.get("filters", ["{}"])[0])
            answer = engine.answer(path, filters.get("label", []))
            body = engine.archive(path, query.get("path", [""])[0])
            if body is None:
                found = {"message": f"no such thing: {path}"} if answer is None else answer
                body = json.dumps(found).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Type", "application/json")
            else:
                self.send_response(200)
                self.send_header("X-Docker-Container-Path-Stat", base64.b64encode(b"{}").decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.host = f"tcp://127.0.0.1:{server.server_address[1]}"
    with answering(server):
        yield engine
