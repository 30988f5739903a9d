"""What each base image is: the official image's name, and the Debian packages and settings that equal it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path

SUITE = "bookworm"
TAG = "debian12"
TAG_DIGITS = 12

UNUSED_FILES = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
)
"""Files that nothing in a container reads; dpkg leaves them out while it unpacks."""


class Role(StrEnum):
    """What a base image is for."""

    PYTHON = "python"
    REDIS = "redis"
    HAPROXY = "haproxy"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    BLACKBOX = "blackbox"
    NODE = "node"
    REDIS_EXPORTER = "redisexporter"
    GRAFANA = "grafana"


SERVING = (Role.PYTHON, Role.REDIS, Role.HAPROXY)
"""What every stack has."""

MONITORS = (Role.PROMETHEUS, Role.ALERTMANAGER, Role.BLACKBOX, Role.NODE, Role.REDIS_EXPORTER)
"""What a stack with monitoring has, too; where their official images are had, Grafana with them."""


@dataclass(frozen=True)
class User:
    """The user that the official image runs its program as, and the folder that is his."""

    name: str
    uid: int
    home: str

    def hooks(self) -> list[str]:
        """The mmdebstrap options that give the package's own user this number and folder."""
        return [
            f'--customize-hook=chroot "$1" groupmod --gid {self.uid} {self.name}',
            f'--customize-hook=chroot "$1" usermod --uid {self.uid} --home {self.home} {self.name}',
            f'--customize-hook=install -d -o {self.uid} -g {self.uid} "$1{self.home}"',
        ]


@dataclass(frozen=True)
class Recipe:
    """One base image. `changes` are Dockerfile instructions as `docker import --change` takes them.

    `hooks` are mmdebstrap's, for what the official image has at another place. Roles with the same `shared`
    name are in one Debian image.
    """

    official: str
    packages: tuple[str, ...]
    changes: tuple[str, ...]
    user: User | None = None
    hooks: tuple[str, ...] = ()
    shared: str = ""

    def command(self, archive: Path) -> list[str]:
        """The mmdebstrap command that writes this image's file system to *archive*."""
        packages = ",".join(("bash", *self.packages))  # health checks connect through bash's /dev/tcp
        excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in UNUSED_FILES]
        hooks = [*(self.user.hooks() if self.user else []), *self.hooks]
        return [
            "mmdebstrap",
            "--variant=essential",
            f"--include={packages}",
            *excludes,
            *hooks,
            SUITE,
            str(archive),
        ]

    def digest(self) -> str:
        """Changes whenever anything does that the built image depends on."""
        content = [*self.command(Path("root.tar")), *self.changes]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:TAG_DIGITS]


_MONITOR_PARTS = ("alertmanager", "blackbox-exporter", "node-exporter", "redis-exporter")
_monitor = partial(
    Recipe,
    packages=("prometheus", *(f"prometheus-{part}" for part in _MONITOR_PARTS)),
    changes=("USER nobody", "WORKDIR /"),
    hooks=(
        '--customize-hook=ln -s prometheus-alertmanager "$1/usr/bin/alertmanager"',
        '--customize-hook=ln -s prometheus-blackbox-exporter "$1/usr/bin/blackbox_exporter"',
        '--customize-hook=ln -s prometheus-node-exporter "$1/usr/bin/node_exporter"',
        '--customize-hook=ln -s /usr/bin/prometheus-redis-exporter "$1/redis_exporter"',
        '--customize-hook=install -d -o 65534 -g 65534 "$1/prometheus" "$1/alertmanager"',
    ),
    shared="monitors",
)
"""All monitors in one Debian image: most of it is the system around them."""

RECIPES = {
    Role.PYTHON: Recipe(
        official="python:3.11-slim",
        packages=("python3", "ca-certificates"),
        changes=("ENV LANG=C.UTF-8", 'CMD ["python3"]'),
    ),
    Role.REDIS: Recipe(
        official="redis:7",
        packages=("redis-server",),
        changes=("WORKDIR /data", "VOLUME /data", "EXPOSE 6379", 'CMD ["redis-server"]'),
        user=User("redis", 999, "/data"),
    ),
    Role.HAPROXY: Recipe(
        official="haproxy:2.8",
        packages=("haproxy",),
        changes=(
            "USER haproxy",
            "WORKDIR /var/lib/haproxy",
            'CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]',
        ),
        user=User("haproxy", 99, "/var/lib/haproxy"),
    ),
    Role.PROMETHEUS: _monitor("prom/prometheus:v2.53.3"),
    Role.ALERTMANAGER: _monitor("prom/alertmanager:v0.27.0"),
    Role.BLACKBOX: _monitor("prom/blackbox-exporter:v0.25.0"),
    Role.NODE: _monitor("prom/node-exporter:v1.8.2"),
    Role.REDIS_EXPORTER: _monitor("oliver006/redis_exporter:v1.62.0"),
    Role.GRAFANA: Recipe(official="grafana/grafana:11.2.0", packages=(), changes=()),  # Debian has none
}


def repository(role: Role) -> str:
    """The name, without a tag, of the Debian images of *role*."""
    return f"runbook/{RECIPES[role].shared or role}"


def plain_tag(role: Role) -> str:
    """The tag of whichever Debian image of *role* was built last."""
    return f"{repository(role)}:{TAG}"


def content_tag(role: Role) -> str:
    """What the tags of the Debian images of *role* that the present recipe makes begin with."""
    return f"{plain_tag(role)}-{RECIPES[role].digest()}"


def dated_tag(role: Role, day: date) -> str:
    """The tag of the Debian image of *role* with the packages that there were on *day*."""
    return f"{content_tag(role)}-{day:%Y%m%d}"
