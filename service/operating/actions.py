"""One function a command: from what was typed to the result that is printed."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from service.messages.kept_messages import Kept, KeptMessages
from service.messages.live_release import LiveReleaseUnknown, ask_live_release
from service.operating.blocked import BlockedNetworks, parse_network
from service.operating.given_up import Chosen, Worked, drop, list_kept, replay
from service.operating.invitation import check_invitations, invite
from service.operating.queue_view import QueueView, view_queue
from service.operating.tenants import Accounts, parse_credits, parse_email, parse_tenant
from service.wiring.operating import Tools


async def show_queue(tools: Tools, asked: Namespace) -> QueueView:
    """Every lane: that of our own release's gate is among them."""
    releases = sorted({tools.settings.release, *asked.gate})
    return await view_queue(tools.store, releases, await _live_release(tools.settings.live_release_url))


async def _live_release(url: str | None) -> str | None:
    try:
        return await ask_live_release(url) if url else None
    except LiveReleaseUnknown:
        return None


async def list_records(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """The newest dead letters or unknown outcomes."""
    return await list_kept(KeptMessages(tools.store, Kept(asked.kept)), asked.limit)


async def replay_records(tools: Tools, asked: Namespace) -> Worked:
    """Put messages back. Half of the queue is left to the webhooks that come meanwhile."""
    kept = Kept(asked.kept)
    return await replay(
        KeptMessages(tools.store, kept),
        kept,
        _chosen(asked),
        longest=-(-tools.settings.max_stream_length // 2),
        may_send_twice=asked.may_send_twice,
    )


async def drop_records(tools: Tools, asked: Namespace) -> Worked:
    """Delete messages."""
    return await drop(KeptMessages(tools.store, Kept(asked.kept)), tools.database, _chosen(asked))


def _chosen(asked: Namespace) -> Chosen:
    return Chosen(tuple(asked.ids), asked.after, asked.through)


async def list_blocked(tools: Tools, _asked: Namespace) -> dict[str, Any]:
    """The blocklist."""
    return {"networks": await BlockedNetworks(tools.store).all()}


async def add_blocked(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """Block a network."""
    network = parse_network(asked.network)
    added = await BlockedNetworks(tools.store).add(network, asked.reason, asked.by, force=asked.force)
    return {**asdict(added), **_takes_effect(tools)}


async def remove_blocked(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """Let a network in again."""
    network = await BlockedNetworks(tools.store).remove(asked.network)
    return {"network": str(network), **_takes_effect(tools)}


def _takes_effect(tools: Tools) -> dict[str, float]:
    return {"takes_effect_within_s": tools.settings.blocklist_refresh_s}


async def list_tenants(tools: Tools, _asked: Namespace) -> dict[str, Any]:
    """All accounts."""
    return {"tenants": await _accounts(tools).all()}


async def show_tenant(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """One account."""
    return await _accounts(tools).one(parse_tenant(asked.tenant))


async def grant_credits(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """Set an account's credits."""
    return await _accounts(tools).grant(parse_tenant(asked.tenant), parse_credits(asked.credits))


async def set_owner(tools: Tools, asked: Namespace) -> dict[str, Any]:
    """Set who is told about an account, and invite them if asked to."""
    tenant, email = parse_tenant(asked.tenant), parse_email(asked.email)
    app_url = check_invitations(tools.settings) if asked.invite else None
    account = await _accounts(tools).give_to(tenant, email)
    if app_url:
        await invite(tools.mailer, tenant, email, app_url)
    return {**account, "invited": asked.invite}


def _accounts(tools: Tools) -> Accounts:
    return Accounts(tools.database, tools.settings.billing_credits)
