"""`python -m infra.container_logs NAME…`: the latest lines of containers, for suites that speak HTTP only."""

from __future__ import annotations

import sys

import docker
from docker.errors import DockerException

_LINES = 5000


def main(names: list[str]) -> int:
    """Print them; exit code 1 if a container's cannot be had."""
    engine = docker.from_env()
    for name in names:
        try:
            sys.stdout.buffer.write(engine.containers.get(name).logs(tail=_LINES))
        except DockerException as error:
            print(f"error: the log of {name} cannot be read: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
