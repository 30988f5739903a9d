"""What watches a stack: Prometheus and its exporters, Alertmanager, and the collector of the logs.

They are reached on the stack's network alone; the proxy has a frontend on loopback for the two with pages.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker

from contracts.targets import Targets
from infra.base_images import Role
from infra.components.hardening import hardened, seed
from infra.components.stack_context import StackContext
from infra.monitoring.dashboard import DASHBOARDS, DATASOURCE, dashboard
from infra.monitoring.destinations import Destinations, alertmanager_config
from infra.monitoring.panels import read_panels
from infra.monitoring.prometheus import blackbox_config, prometheus_config, rules_file
from infra.stack_settings import StackSettings

_COLLECTOR = Path(__file__).parent.with_name("collect_logs.py")
_NOBODY = "65534:65534"
_CONF = "/conf"
_LOGS_FOLDER = "/var/tmp"  # noqa: S108 - every image has it, for all to write: a volume there is so, too
_KEPT_DAYS = 14
_RECORDS_PORT = 24224


@dataclass(frozen=True)
class MonitoringArgs:
    """What the monitors need to know.

    `images`: the name of each role's. `packages`: the image with the service's Python packages.
    `redis_password` and `release_key` are in clear: they go into secret files and a keyed hash.
    """

    context: StackContext
    layout: StackSettings
    targets: Targets
    images: dict[Role, pulumi.Input[str]]
    packages: pulumi.Input[str]
    destinations: Destinations
    redis_password: str
    release_key: str


class Monitoring(pulumi.ComponentResource):
    """The monitors' containers. Each is replaced, in a second, when its configuration changes."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("runbook:infra:Monitoring", "monitoring", None, opts)
        self._args = args
        self._watch()
        self._alert()
        self._export()
        self._collect_logs()
        if Role.GRAFANA in args.images:
            self._draw_dashboard()
        self.register_outputs({})

    def _watch(self) -> None:
        args = self._args
        self._run(
            "prometheus",
            Role.PROMETHEUS,
            [
                "/bin/prometheus",
                f"--config.file={_CONF}/prometheus.yml",
                "--storage.tsdb.path=/prometheus",
                f"--storage.tsdb.retention.time={_KEPT_DAYS}d",
                "--storage.tsdb.retention.size=1GB",
                f"--web.external-url={args.layout.monitoring_url}/prometheus/",
            ],
            files={
                "prometheus.yml": prometheus_config(args.targets, args.context.stack),
                "rules.yml": rules_file(args.targets, args.context.stack, args.layout.worker_replicas),
            },
            data=("prometheus-data", "/prometheus"),
            memory_mb=512,
        )

    def _alert(self) -> None:
        args = self._args
        self._run(
            "alertmanager",
            Role.ALERTMANAGER,
            [
                "/bin/alertmanager",
                f"--config.file={_CONF}/alertmanager.yml",
                "--storage.path=/alertmanager",
                "--data.maintenance-interval=10s",  # what was sent, and what is silent, survives a kill
                "--cluster.listen-address=",  # there is one
                f"--web.external-url={args.layout.monitoring_url}/alertmanager/",
            ],
            files={"alertmanager.yml": alertmanager_config(args.destinations)},
            data=("alertmanager-data", "/alertmanager"),
        )

    def _export(self) -> None:
        """What has no figures of its own: the health report, the machine, Redis."""
        self._run(
            "blackbox",
            Role.BLACKBOX,
            ["/bin/blackbox_exporter", f"--config.file={_CONF}/blackbox.yml"],
            files={"blackbox.yml": blackbox_config()},
        )
        # Of the machine, without anything of it mounted: the kernel shows these to every container, and the
        # root file system lies on the engine's disk.
        self._run(
            "node-exporter",
            Role.NODE,
            [
                "/bin/node_exporter",
                "--collector.disable-defaults",
                *(f"--collector.{name}" for name in ("cpu", "meminfo", "loadavg", "filesystem")),
                "--collector.filesystem.fs-types-exclude=^(proc|sysfs|tmpfs|cgroup.*|mqueue|devpts)$",
            ],
        )
        self._run(
            "redis-exporter",
            Role.REDIS_EXPORTER,
            [
                "/redis_exporter",
                "--redis.addr=redis://redis:6379",
                "--connection-timeout=3s",  # less than a scrape may take: it is to tell that Redis is silent
                f"--redis.password-file={_CONF}/redis.json",
            ],
            files={"redis.json": json.dumps({"redis://redis:6379": self._args.redis_password})},
        )

    def _collect_logs(self) -> None:
        args = self._args
        ports = ["--port", str(_RECORDS_PORT), "--metrics-port", "9100"]
        bounds = ["--days", str(_KEPT_DAYS), "--megabytes", str(args.layout.log_mb)]
        self._run(
            "logs",
            args.packages,
            ["python3", f"{_CONF}/collect_logs.py", "--folder", _LOGS_FOLDER, *ports, *bounds],
            files={"collect_logs.py": _COLLECTOR.read_text(encoding="utf-8")},
            data=("log-data", _LOGS_FOLDER),
            ports=[{"internal": _RECORDS_PORT, "external": args.layout.log_port, "ip": "127.0.0.1"}],
        )

    def _draw_dashboard(self) -> None:
        """Grafana, for everybody to look at; what it keeps of its own goes with its container."""
        self._run(
            "grafana",
            Role.GRAFANA,
            ["/run.sh"],
            files={
                "provisioning/datasources/prometheus.yml": DATASOURCE,
                "provisioning/dashboards/runbook.yml": DASHBOARDS,
                "dashboards/runbook.json": dashboard(
                    self._args.context.stack, read_panels(self._args.targets)
                ),
            },
            memory_mb=256,
            tmpfs={"/tmp": 4, "/var/lib/grafana": 64},  # noqa: S108 - in the container
            envs=[
                "GF_AUTH_ANONYMOUS_ENABLED=true",
                "GF_ANALYTICS_REPORTING_ENABLED=false",
                "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
                f"GF_PATHS_PROVISIONING={_CONF}/provisioning",
                f"GF_SERVER_ROOT_URL={self._args.layout.monitoring_url}/grafana/",
                "GF_SERVER_SERVE_FROM_SUB_PATH=true",
            ],
        )

    def _run(
        self,
        role: str,
        image: Role | pulumi.Input[str],
        command: list[str],
        *,
        files: dict[str, str] | None = None,
        data: tuple[str, str] | None = None,
        memory_mb: int = 64,
        tmpfs: dict[str, int] | None = None,
        **more: Any,
    ) -> None:
        """A container with its *files* in a volume of its own, and a volume for what it keeps, if any."""
        args, context = self._args, self._args.context
        name = f"{context.prefix}-{role}"
        image = args.images[image] if isinstance(image, Role) else image
        volumes: list[docker.ContainerVolumeArgsDict] = []
        seeded: list[pulumi.Resource] = []
        if files:
            conf = context.volume(f"{role}-conf", self)
            volumes.append({"volume_name": conf.name, "container_path": _CONF, "read_only": True})
            seeded.append(self._seed(f"{name}-conf", image, conf, files))
        if data:
            kept = context.volume(data[0], self)
            volumes.append({"volume_name": kept.name, "container_path": data[1]})
        docker.Container(
            name,
            name=name,
            image=image,
            entrypoints=command[:1],
            command=command[1:],
            networks_advanced=context.joined(role),
            volumes=volumes,
            labels=context.labels(role=role, configuration=self._hash(files or {})),
            **hardened(_NOBODY, memory_mb, tmpfs or {"/tmp": 4}),  # noqa: S108 - in the container
            **more,
            opts=pulumi.ResourceOptions(parent=self, depends_on=seeded),
        )

    def _seed(
        self, name: str, image: pulumi.Input[str], volume: docker.Volume, files: dict[str, str]
    ) -> docker.Container:
        return seed(
            name,
            context=self._args.context,
            image=image,
            volume=volume,
            mount=_CONF,
            files={file: pulumi.Output.secret(text) for file, text in files.items()},
            parent=self,
        )

    def _hash(self, files: dict[str, str]) -> str:
        """Of secrets, too: of a plain hash they could be tried."""
        text = "\0".join(f"{name}\0{text}" for name, text in sorted(files.items()))
        return hmac.digest(self._args.release_key.encode(), text.encode(), hashlib.sha256).hex()[:12]
