"""A release as the gate meets it, bare: the proxy's candidate frontend, two web processes, a worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from debian_programs import need
from reference_target import SECRET

from benchmarks.programs import Program, is_listening, python, running
from benchmarks.servers import is_ready, redis_server, redis_url
from contracts.free_ports import free_port
from infra.haproxy_config import CANDIDATE_PORT, WEB_PORT, Backend, base_config, route_config

HEALTH_PORT = 8404


@dataclass(frozen=True)
class BareRelease:
    """What runs. `candidate`: the frontend where whatever comes stays in the gate's lane."""

    candidate: Program
    webs: list[Program]
    worker: Program
    sandbox: Program

    @property
    def logs_command(self) -> str:
        """Prints what all of its processes have logged."""
        return f"cat {' '.join(str(program.log) for program in (*self.webs, self.worker))}"

    @property
    def faults_url(self) -> str:
        """Where its outside services are given faults."""
        return f"{url_of(self.sandbox)}/faults"


def url_of(program: Program) -> str:
    """Where *program* is asked."""
    return f"http://127.0.0.1:{program.port}"


@contextmanager
def bare_release(folder: Path) -> Iterator[BareRelease]:
    """A release that is ready, on a Redis and a sandbox of its own."""
    need("redis-server", "haproxy")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(folder))
        sandbox = stack.enter_context(_python("sandbox", ["sandbox"], folder, {}))
        sandbox.wait_until(is_listening)
        env = {
            "REDIS_URL": redis_url(redis),
            "WAHA_API_URL": f"{url_of(sandbox)}/waha",
            "NEXT_PUBLIC_CONVEX_URL": f"{url_of(sandbox)}/convex",
            "AI_API_URL": f"{url_of(sandbox)}/ai",
        }
        web_env = {**env, "WAHA_WEBHOOK_SECRET": SECRET, "TRUST_PROXY": "true", "DRAIN_DELAY_S": "0"}
        worker_env = {**env, "HEARTBEAT_FILE": str(folder / "heartbeat")}
        webs = [
            stack.enter_context(_python(f"web-{number}", ["service", "web"], folder, web_env))
            for number in (1, 2)
        ]
        worker = stack.enter_context(_python("worker", ["service", "worker"], folder, worker_env))
        candidate = stack.enter_context(_proxy(folder, [web.port for web in webs]))
        worker.wait_until(is_listening)
        for program in (*webs, candidate):
            program.wait_until(is_ready)
        yield BareRelease(candidate, webs, worker, sandbox)


@contextmanager
def _python(name: str, module: list[str], folder: Path, env: dict[str, str]) -> Iterator[Program]:
    """`python -m` *module* at a port of its own."""
    port = free_port()
    ports = {"PORT": str(port), "METRICS_PORT": str(port)}
    with running(name, python(*module), folder=folder, port=port, env={**env, **ports}) as program:
        yield program


@contextmanager
def _proxy(folder: Path, web_ports: list[int]) -> Iterator[Program]:
    """HAProxy with the project's own configuration; only its addresses are ports of this machine."""
    port, names = free_port(), [f"web-{number}" for number, _ in enumerate(web_ports)]
    replaced = {
        "/run/haproxy": str(folder),
        f"bind :{HEALTH_PORT}": f"bind 127.0.0.1:{free_port()}",
        f"bind :{CANDIDATE_PORT}": f"bind 127.0.0.1:{port}",
        **{f"{name}:{WEB_PORT}": f"127.0.0.1:{at}" for name, at in zip(names, web_ports, strict=True)},
    }
    config = base_config(sandbox=False) + route_config("candidate", Backend("r-bare", tuple(names)))
    for old, new in replaced.items():
        assert old in config, f"the proxy's configuration has no {old!r} any more"
        config = config.replace(old, new)
    (folder / "haproxy.cfg").write_text(config)
    command = ["haproxy", "-W", "-db", "-f", str(folder / "haproxy.cfg")]
    with running("haproxy", command, folder=folder, port=port) as program:
        yield program
