"""`Route`: which release a frontend of the proxy points at. Moving it is an update of one resource.

The live route moves in steps. A release that does not stand them does not keep the traffic: the route is then
where it was, `refusal` says why, and a `Gate` behind it stops the update.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from contracts.targets import Switch
from infra.haproxy_config import Backend, RouteName, route_config
from infra.live_release import LiveRelease
from infra.proxy_control import ProxyControl
from infra.traffic import Mover, refusal

_MOVES_WITH = ("release", "servers", "proxy_id", "base", "config")


class RouteProvider(ResourceProvider):
    """Writes the route's file and reloads HAProxy; the live route also tells the workers who is live."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Open the frontend."""
        return CreateResult(props["route"], _moved(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Move the frontend to another release; returns when the one that lost it has no request left."""
        return UpdateResult(_moved(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with what the proxy has, as the last update or refresh saw it.

        A refusal is of one release: the next update, of whichever release, does not go by it.
        """
        wanted = {**news, "config": route_config(news["route"], _wanted(news))}
        moves = any(olds.get(key) != wanted.get(key) for key in _MOVES_WITH)
        return DiffResult(changes=moves or bool(olds.get("refusal")))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """See what the route's file says now, so that a change by hand shows as drift."""
        return ReadResult(id_, {**props, "config": ProxyControl(props["proxy"]).route(props["route"])})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Close the frontend."""
        ProxyControl(props["proxy"]).remove_route(props["route"])


class Route(Resource):
    """One frontend of the proxy.

    `release` is the id it points at, `traffic` what the steps showed (a `Report`, or None where there were
    none), `refusal` the lines that say why the release asked for did not keep the traffic.
    """

    release: pulumi.Output[str]
    traffic: pulumi.Output[dict[str, Any] | None]
    refusal: pulumi.Output[list[str]]

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
        limits: Switch,
        in_steps: bool,
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
            "limits": limits.model_dump(mode="json"),
            "in_steps": in_steps,
            "config": None,
            "traffic": None,
            "refusal": None,
        }
        super().__init__(RouteProvider(), route, inputs, opts)


def _wanted(props: dict[str, Any]) -> Backend:
    return Backend(props["release"], tuple(props["servers"]))


def _moved(props: dict[str, Any]) -> dict[str, Any]:
    """The resource's outputs after the move."""
    proxy, wanted = ProxyControl(props["proxy"]), _wanted(props)
    if props["route"] != "live":
        proxy.put_route(props["route"], route_config(props["route"], wanted))
        return _outputs(props, wanted)
    limits = Switch.model_validate(props["limits"])
    mover = Mover(proxy, LiveRelease(props["redis"]).set, limits)
    before = proxy.leads_to("live")
    if before is None or before.release == wanted.release or not props["in_steps"]:
        mover.at_once(wanted)
        outputs = _outputs(props, wanted)
    else:
        report = mover.in_steps(before, wanted)
        refused = refusal(report, wanted.release, limits)
        outputs = _outputs(props, before if refused else wanted, report.model_dump(mode="json"), refused)
    if not proxy.wait_drained(limits.drain_s):
        pulumi.log.warn(
            f"route live: some connections of the previous release were still open after "
            f"{limits.drain_s:g} s; they end with it"
        )
    return outputs


def _outputs(
    props: dict[str, Any],
    at: Backend,
    traffic: dict[str, Any] | None = None,
    refused: list[str] | None = None,
) -> dict[str, Any]:
    return {
        **props,
        "release": at.release,
        "servers": list(at.servers),
        "config": route_config(props["route"], at),
        "traffic": traffic,
        "refusal": refused or [],
    }
