"""What Prometheus asks, and how often: everything by a name on the stack's network, which no release changes.

The configuration is JSON, which is YAML, too.
"""

from __future__ import annotations

import json
from typing import Any

from contracts.targets import Targets
from infra.haproxy_config import WEB_PORT
from infra.monitoring.rules import SERVICES, duration

PROMETHEUS_PORT, ALERTMANAGER_PORT, BLACKBOX_PORT = 9090, 9093, 9115
NODE_PORT, REDIS_EXPORTER_PORT, WORKER_PORT, LOGS_PORT = 9100, 9121, 9100, 9100
_HEALTH_URL = "http://proxy:8080/api/health"


def prometheus_config(targets: Targets, stack: str) -> str:
    """Prometheus' own configuration file."""
    monitor = targets.monitor
    return json.dumps(
        {
            "global": {
                "scrape_interval": duration(monitor.scrape_each_s),
                "scrape_timeout": duration(min(10.0, monitor.scrape_each_s)),
                "evaluation_interval": duration(monitor.scrape_each_s),
                "external_labels": {"stack": stack},
            },
            "rule_files": ["/conf/rules.yml"],
            "alerting": {
                "alertmanagers": [
                    {
                        "path_prefix": "/alertmanager",
                        "static_configs": [{"targets": [f"alertmanager:{ALERTMANAGER_PORT}"]}],
                    }
                ]
            },
            "scrape_configs": [
                _probe("health", targets, [{"targets": [_HEALTH_URL]}], "health"),
                _probe(
                    "services",
                    targets,
                    [{"targets": [_HEALTH_URL], "labels": {"service": name}} for name in SERVICES],
                    "health_$1",
                ),
                _by_name("web", WEB_PORT, monitor.scrape_each_s),
                _by_name("worker", WORKER_PORT, monitor.scrape_each_s),
                _fixed("proxy", "proxy:8404", "/metrics"),
                _fixed("logs", f"logs:{LOGS_PORT}", "/metrics"),
                _fixed("blackbox", f"blackbox:{BLACKBOX_PORT}", "/metrics"),
                _fixed("redis", f"redis-exporter:{REDIS_EXPORTER_PORT}", "/metrics"),
                _fixed("node", f"node-exporter:{NODE_PORT}", "/metrics"),
                _fixed("prometheus", f"localhost:{PROMETHEUS_PORT}", "/prometheus/metrics"),
                _fixed("alertmanager", f"alertmanager:{ALERTMANAGER_PORT}", "/alertmanager/metrics"),
            ],
        },
        indent=1,
    )


def blackbox_config() -> str:
    """The probes: the health report as a whole, and each service in it."""
    http: dict[str, Any] = {"preferred_ip_protocol": "ip4", "follow_redirects": False}
    services = {
        f"health_{name}": {
            "prober": "http",
            "http": {
                **http,
                "valid_status_codes": [200, 503],
                "fail_if_body_matches_regexp": [rf'"{name}":\s*\{{"status":\s*"down"'],
            },
        }
        for name in SERVICES
    }
    return json.dumps(
        {
            "modules": {
                "health": {"prober": "http", "http": {**http, "valid_status_codes": [200]}},
                **services,
            }
        },
        indent=1,
    )


def _probe(job: str, targets: Targets, asked: list[dict[str, Any]], module: str) -> dict[str, Any]:
    """A job of the blackbox exporter. A slow answer has to end before the probe's time does, to be seen."""
    monitor = targets.monitor
    return {
        "job_name": job,
        "metrics_path": "/probe",
        "scrape_interval": duration(monitor.probe_each_s),
        "scrape_timeout": duration(min(2 * targets.health.answer_s, monitor.probe_each_s)),
        "static_configs": asked,
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__address__"], "target_label": "instance"},
            {"source_labels": ["service"], "target_label": "__param_module", "replacement": module},
            {"target_label": "__address__", "replacement": f"blackbox:{BLACKBOX_PORT}"},
        ],
    }


def _by_name(name: str, port: int, each_s: float) -> dict[str, Any]:
    """All containers with this network alias, whichever release they are of."""
    return {
        "job_name": name,
        "dns_sd_configs": [
            {"names": [name], "type": "A", "port": port, "refresh_interval": duration(each_s)}
        ],
    }


def _fixed(job: str, address: str, path: str) -> dict[str, Any]:
    return {"job_name": job, "metrics_path": path, "static_configs": [{"targets": [address]}]}
