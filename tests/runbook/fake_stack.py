"""A stack on a fake engine: a proxy whose live route leads somewhere, releases with their containers."""

from __future__ import annotations

from dataclasses import dataclass, field

from fake_engine import FakeEngine, FakeProxy, Thing
from records import manifest

from infra.haproxy_config import Backend
from infra.live_route import LEASE_END, Canary, LiveRoute, Move, live_config, read_live_route
from infra.manifest import MANIFEST_LABEL, Manifest

SECRETS = "/run/secrets"


@dataclass
class FakeStack:
    """The stack *dev*. Its proxy is there from the beginning, and leads nowhere."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    proxy: FakeProxy = field(
        default_factory=lambda: FakeProxy(
            "id-of-proxy",
            "runbook-dev-proxy",
            {"runbook.stack": "dev", "runbook.role": "proxy"},
            ports={
                f"{port}/tcp": [{"HostIp": "127.0.0.1", "HostPort": f"1{port}"}]
                for port in (8080, 8081, 8083)
            },
        )
    )

    def __post_init__(self) -> None:
        self.engine.containers.found.append(self.proxy)

    def add_release(
        self,
        release: str,
        *,
        secrets: dict[str, str] | None = None,
        made_of: Manifest | None = None,
        number: int = 1,
    ) -> list[Thing]:
        """Containers of *release*, a web and a worker: they say what it is, and hold its secrets."""
        kept = {"WAHA_WEBHOOK_SECRET": "hunter2"} if secrets is None else secrets
        found = []
        for role in ("web", "worker"):
            name = f"runbook-dev-{role}-{number}-{release}"
            each = self.engine.containers.add(name, role=role, release=release)
            each.labels[MANIFEST_LABEL] = (made_of or manifest(release)).model_dump_json()
            each.files |= {f"{SECRETS}/{name}": value for name, value in kept.items()}
            found.append(each)
        return found

    def serve(self, release: str, *moves: Move, canary: str | None = None, canary_until_s: int = 0) -> None:
        """Let the live route lead to *release*, after *moves*; for a while also to a *canary*."""
        share = Canary(backend(canary), 25) if canary else None
        config = live_config(backend(release), moves, share).replace(LEASE_END, str(canary_until_s))
        self.proxy.files["/routes/live.cfg"] = config

    def deploy(self, *releases: str) -> None:
        """Let *releases* have gone live by `up`, one after the other; each has its containers still."""
        for release in releases:
            self.add_release(release)
        self.serve(releases[-1], *moves_of(*releases))

    @property
    def live(self) -> LiveRoute:
        """Where the live route leads now."""
        route = read_live_route(self.proxy.files.get("/routes/live.cfg"))
        assert route is not None
        return route


def backend(release: str) -> Backend:
    """The web servers of *release*."""
    return Backend(release, (f"runbook-dev-web-1-{release}",))


def moves_of(*releases: str, verb: str = "up") -> tuple[Move, ...]:
    """The moves that gave *releases* the traffic, a minute apart."""
    befores = (None, *releases)
    return tuple(
        Move(
            id=f"m-{number}",
            release=release,
            replaced=before,
            verb=verb,
            by="anna@laptop",
            at=f"2026-11-24T12:{10 + number:02}:31+00:00",
        )
        for number, (before, release) in enumerate(zip(befores, releases, strict=False))
    )
