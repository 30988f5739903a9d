"""Asks an update that is under way to give up: a gate ends at once, the traffic goes back to where it was."""

from __future__ import annotations

import requests
from docker.errors import DockerException

from infra.errors import Refused
from infra.proxy_control import ProxyControl
from infra.stack_name import prefix_of
from runbook.console import say


def request_stop(stack: str) -> None:
    """Ask whoever updates *stack*; where there is no proxy yet, there is no traffic to give back."""
    try:
        ProxyControl(f"{prefix_of(stack)}-proxy").request_stop()
    except (Refused, DockerException, requests.RequestException) as error:
        say(f"the proxy could not be told ({error}): what is under way goes on to its end")
