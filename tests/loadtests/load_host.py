"""Locust, loaded; a host for the load gate's runs."""

from __future__ import annotations

import sys

import locust.main
from forking_host import serve


def run(arguments: list[str]) -> int:
    """What the `locust` command does."""
    sys.argv = ["locust", *arguments]
    locust.main.main()
    return 0


if __name__ == "__main__":
    serve(run)
