"""`Route`: which release a frontend of the proxy points at. Moving it is an update of one resource.

The live route moves in steps. A release that does not stand them does not keep the traffic: the route is then
where it was, `refusal` says why, and a `Gate` behind it stops the update. What the proxy has is the truth:
the resource asks before it moves anything, and follows.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from contracts.targets import Rollout
from infra.errors import Refused
from infra.haproxy_config import Backend, RouteName, route_config
from infra.live_route import LiveRoute, Move, live_config, read_live_route, redirected, routing_of
from infra.proxy_control import ProxyControl, RouteMoved
from infra.traffic import TrafficShifter, refusal

_MOVES_WITH = ("release", "servers", "proxy_id", "base", "config")


class RouteProvider(ResourceProvider):
    """Writes the route's file and reloads HAProxy."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Open the frontend."""
        return CreateResult(props["route"], _put(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Move the frontend to another release; returns when the one that lost it has no request left."""
        return UpdateResult(_put(news))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with what the proxy has now, and with what the last update wrote.

        A refusal is of one release: the next update, of whichever release, does not go by it.
        """
        wanted = {**news, "config": _config(news["route"], _wanted(news))}
        changes = any(olds.get(key) != wanted.get(key) for key in _MOVES_WITH) or bool(olds.get("refusal"))
        if isinstance(news["proxy"], str):  # unknown while it is yet to be made
            config = ProxyControl(news["proxy"]).route(news["route"])
            changes |= is_elsewhere(news["release"], read_live_route(config))
        return DiffResult(changes=changes)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """See what the proxy has now, so that a change behind Pulumi's back shows as drift.

        A proxy that cannot be asked must not end the refresh that is to mend it.
        """
        try:
            config = ProxyControl(props["proxy"]).route(props["route"])
        except Refused:
            config = None
        found: dict[str, Any] = {"config": routing_of(config) if config else None}
        live = read_live_route(config) if props["route"] == "live" else None
        if live:
            found |= {"release": live.release, "servers": list(live.to.servers)}
        return ReadResult(id_, {**props, **found})

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
        limits: Rollout,
        in_steps: bool,
        why: dict[str, str],
        last_move: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """*why*: `verb`, `reason` and `by` of the update, `commit` and `branch`, as a `Move` notes them.

        *last_move*: the id of the live route's last move when the update began; it moves after no other.
        """
        inputs = {
            "route": route,
            "release": release,
            "servers": servers,
            "proxy": proxy,
            "proxy_id": proxy_id,
            "base": base,
            "limits": limits.model_dump(mode="json"),
            "in_steps": in_steps,
            "why": why,
            "last_move": last_move,
            "config": None,
            "traffic": None,
            "refusal": None,
        }
        super().__init__(RouteProvider(), route, inputs, opts)


def _wanted(props: dict[str, Any]) -> Backend:
    return Backend(props["release"], tuple(props["servers"]))


def _config(route: RouteName, to: Backend) -> str:
    return routing_of(live_config(to) if route == "live" else route_config(route, to))


def is_elsewhere(release: str, found: LiveRoute | None) -> bool:
    """Whether a route leads to another release than *release*, or to a canary, too.

    A killed update leaves a canary. A rollback changes the routes first, the candidate's to try its release,
    and the state may not have followed.
    """
    return found is not None and (found.release != release or found.canary is not None)


def _put(props: dict[str, Any]) -> dict[str, Any]:
    """The resource's outputs after the move."""
    proxy, wanted = ProxyControl(props["proxy"]), _wanted(props)
    if props["route"] == "live":
        return _shift(proxy, wanted, props)
    proxy.put_route(props["route"], route_config(props["route"], wanted))
    return _outputs(props, wanted)


def _shift(proxy: ProxyControl, wanted: Backend, props: dict[str, Any]) -> dict[str, Any]:
    limits, found = Rollout.model_validate(props["limits"]), proxy.live_route()
    before = found.to if found else None
    if found and found.moves and props.get("last_move") and found.moves[-1].id != props["last_move"]:
        raise RouteMoved.by(found.moves[-1])
    shifter = TrafficShifter(proxy, limits, found.moves if found else ())
    move = Move.now(wanted.release, before.release if before else None, **props["why"])
    if found is None or before is None or before.release == wanted.release:
        shifter.shift_at_once(wanted, None if found else move)
        outputs = _outputs(props, wanted)
    elif not props["in_steps"]:
        config = redirected(proxy.route("live") or "", wanted, (*found.moves, move))
        proxy.put_route("live", config, after=[each.id for each in found.moves[-1:]])
        outputs = _outputs(props, wanted)
    else:
        if proxy.stop_requested():
            raise Refused(f"traffic: asked to stop; {before.release} has the traffic still")
        report = shifter.shift_in_steps(before, wanted, move)
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
        "config": _config(props["route"], at),
        "traffic": traffic,
        "refusal": refused or [],
    }
