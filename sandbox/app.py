"""The composition: each service under its own path and behind its fault, the control endpoints first."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from sandbox.alert_receivers import channel_app, heartbeat_app
from sandbox.bodies import in_shape
from sandbox.clerk import clerk_app
from sandbox.control import control_error, control_routes, refuse_fault
from sandbox.convex import convex_app
from sandbox.convex_module import Tables
from sandbox.faults import FaultError, Faults, Faulty
from sandbox.inngest import Inngest
from sandbox.kept import Kept
from sandbox.model import model_app
from sandbox.resend import resend_app
from sandbox.sentry import sentry_app
from sandbox.upstash import upstash_app
from sandbox.waha import ApiKey, Sent, waha_app
from sandbox.waha_webhook import WahaWebhook


def create_app(
    waha_api_key: str | None = None,
    upstash_redis_url: str | None = None,
    inngest: Inngest | None = None,
    waha_webhook: WahaWebhook | None = None,
    mails: Kept | None = None,
) -> Starlette:
    """The whole sandbox; WAHA wants *waha_api_key*, if any, until it is told another.

    Upstash is there if it has a Redis. *mails* is where Resend's e-mails are kept.
    """
    inngest = inngest or Inngest()
    sent, api_key = Sent(), ApiKey(waha_api_key)
    events, mails, posts, pings = Kept(), mails or Kept(), Kept(), Kept()
    services: dict[str, ASGIApp] = {
        "waha": waha_app(sent, api_key, waha_webhook),
        "convex": convex_app(Tables()),
        "clerk": clerk_app(),
        "inngest": inngest.app(),
        "sentry": sentry_app(events),
        "resend": resend_app(mails),
        "ai": model_app(),
        "channel": channel_app(posts),
        "heartbeat": heartbeat_app(pings),
        **({"upstash": upstash_app(upstash_redis_url)} if upstash_redis_url else {}),
    }
    faults = Faults(list(services))
    mounts = [Mount(f"/{name}", app=Faulty(app, name, faults)) for name, app in services.items()]
    # Inngest's package drops the path of a base URL: at the root it finds Inngest too.
    at_root = Faulty(services["inngest"], "inngest", faults)
    roots = [Route(path, at_root, methods=["POST"]) for path in ("/e/{key}", "/fn/register")]
    kept = {
        "/sentry/events": events,
        "/resend/sent": mails,
        "/channel/posts": posts,
        "/heartbeat/pings": pings,
    }
    return Starlette(
        routes=[*control_routes(faults, sent, api_key, kept, inngest.deliveries), *mounts, *roots],
        exception_handlers={**in_shape(control_error), FaultError: refuse_fault},
    )
