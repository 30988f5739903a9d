"""`python -m service web|worker`; in their containers `healthcheck`, `metrics`, an operator's commands."""

from __future__ import annotations

import sys

OPERATOR_NOUNS = ("queue", "blocklist", "tenants")

USAGE = """usage: python -m service web | worker | healthcheck web | healthcheck worker | metrics
       python -m service queue | blocklist | tenants [--help]
Settings come from the environment: HOST, PORT, REDIS_URL, ... (see service/settings.py)."""


def main(arguments: list[str]) -> int:
    """Run one of the processes; exit code 0: done, 1: not healthy or not there, 2: usage, settings."""
    # Imported only where used: the health check and the metrics run every few seconds in each container.
    if arguments in (["healthcheck", "web"], ["healthcheck", "worker"]):
        from service import healthcheck

        healthy = healthcheck.check_web() if arguments[1] == "web" else healthcheck.check_worker()
        return 0 if healthy else 1
    if arguments == ["metrics"]:
        from service import scrape

        return scrape.print_metrics()
    if arguments in (["web"], ["worker"]):
        return _run(arguments[0])
    if arguments[:1] and arguments[0] in OPERATOR_NOUNS:
        from service.operating import commands as operator_commands

        return operator_commands.main(arguments)
    print(USAGE, file=sys.stderr)
    return 2


def _run(process: str) -> int:
    from service import processes
    from service.settings import SettingsError, WebSettings, WorkerSettings, read_settings

    try:
        if process == "web":
            processes.run_web(read_settings(WebSettings))
        else:
            processes.run_worker(read_settings(WorkerSettings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
