"""`Route`: which release a frontend of the proxy points at. Moving it is an update of one resource."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from infra.haproxy_config import RouteName, route_config
from infra.live_release import LiveRelease
from infra.proxy_control import ProxyControl

_MOVES_WITH = ("release", "servers", "proxy_id", "base", "config")


class RouteProvider(ResourceProvider):
    """Writes the route's file and reloads HAProxy; the live route also tells the workers who is live."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Open the frontend."""
        return CreateResult(props["route"], _move(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Move the frontend to another release; returns when the old one has no request left."""
        return UpdateResult(_move(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with what the proxy has, as the last update or refresh saw it."""
        wanted = {**news, "config": _config(news)}
        return DiffResult(changes=any(olds.get(key) != wanted.get(key) for key in _MOVES_WITH))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """See what the route's file says now, so that a change by hand shows as drift."""
        return ReadResult(id_, {**props, "config": ProxyControl(props["proxy"]).route(props["route"])})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Close the frontend."""
        ProxyControl(props["proxy"]).remove_route(props["route"])


class Route(Resource):
    """One frontend of the proxy. `release` is the id it points at."""

    release: pulumi.Output[str]

    def __init__(
        self,
        route: RouteName,
        *,
        release: str,
        servers: list[str],
        proxy: pulumi.Input[str],
        proxy_id: pulumi.Input[str],
        base: str,
        redis: pulumi.Input[str],
        drain_s: float,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "route": route,
            "release": release,
            "servers": servers,
            "proxy": proxy,
            "proxy_id": proxy_id,
            "base": base,
            "redis": redis,
            "drain_s": drain_s,
            "config": None,
        }
        super().__init__(RouteProvider(), route, inputs, opts)


def _config(props: dict[str, Any]) -> str:
    return route_config(props["route"], props["release"], props["servers"])


def _move(props: dict[str, Any]) -> dict[str, Any]:
    config = _config(props)
    proxy = ProxyControl(props["proxy"])
    proxy.put_route(props["route"], config)
    if props["route"] == "live":
        LiveRelease(props["redis"]).set(props["release"])
    if not proxy.wait_drained(props["drain_s"]):
        pulumi.log.warn(
            f"route {props['route']}: some connections of the previous release were still open after "
            f"{props['drain_s']:g} s; they end with it"
        )
    return {**props, "config": config}
