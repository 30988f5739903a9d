"""Tenants' accounts as an operator sees and sets them."""

from __future__ import annotations

import pytest
from operator_kit import FakeDatabase

from service.accounts.database import Tenant
from service.operating.invitation import check_invitations, invite
from service.operating.refusal import OperatorRefused
from service.operating.tenants import Accounts, parse_credits, parse_email, parse_tenant
from service.settings import Settings, read_settings
from service.telemetry.mail import Mail

APP_URL = "https://app.example.org"
MAIL_ENVIRONMENT = {
    "NEXT_PUBLIC_APP_URL": APP_URL,
    "RESEND_API_KEY": "re_x",
    "EMAIL_FROM": "Assistant <a@example.org>",
}

ACME = Tenant("acme", credits=10, reserved=1, used=3, owner_email="owner@example.org")


class Post:
    """A mailer that takes mails, or none. `mails`: what it was given."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> bool:
        self.mails.append(mail)
        return self.takes


def settings(monkeypatch: pytest.MonkeyPatch, without: str = "") -> Settings:
    """The settings of a service that can send mail, but for one."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    for name, value in MAIL_ENVIRONMENT.items():
        monkeypatch.setenv(name, "" if name == without else value)
    return read_settings(Settings)


def test_unlimited_is_a_word() -> None:
    """Any other is a number of credits, none being one too."""
    assert parse_credits("unlimited") is None
    assert parse_credits("0") == 0
    assert parse_credits("1000") == 1000


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "Unlimited", "1e3", "٣", "9" * 30, "1 000"])
def test_what_is_no_number_of_credits_is_refused(text: str) -> None:
    """With the value, and what it should be."""
    with pytest.raises(OperatorRefused, match="no number of credits") as refusal:
        parse_credits(text)
    assert repr(text) in refusal.value.message
    assert "unlimited" in refusal.value.hint


@pytest.mark.parametrize("text", ["", "a\nb", "\x1b[2J", "x" * 129])
def test_what_is_no_tenant_is_refused(text: str) -> None:
    """A tenant's id is what an event can hold."""
    with pytest.raises(OperatorRefused, match="no tenant"):
        parse_tenant(text)


@pytest.mark.parametrize(
    "text", ["", "owner", "owner@", "@x.org", "a b@x.org", "a@b@x.org", "a@x.org\n", "a@x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Notices to it would be lost."""
    with pytest.raises(OperatorRefused, match="no e-mail address"):
        parse_email(text)


def test_what_is_an_address_is_taken_as_it_is() -> None:
    """The part before the @ may be anything."""
    assert parse_email("Owner+wa@mail.example.org") == "Owner+wa@mail.example.org"


async def test_an_account_is_shown_with_what_is_left() -> None:
    """Of what was granted, less what is held and used."""
    accounts = Accounts(FakeDatabase({"acme": ACME}), None)
    shown = await accounts.one("acme")
    assert (shown["credits"], shown["reserved"], shown["used"], shown["left"]) == (10, 1, 3, 6)
    assert await accounts.all() == [shown]


async def test_an_unlimited_account_has_no_number_left() -> None:
    """And one that used more than it has now has none left, not less than none."""
    database = FakeDatabase({"a": Tenant("a", None, 0, 7, None), "b": Tenant("b", 5, 1, 7, None)})
    assert [account["left"] for account in await Accounts(database, None).all()] == [None, 0]


async def test_an_account_that_is_not_there_is_an_error() -> None:
    """It says where the names are."""
    with pytest.raises(OperatorRefused, match="tenant 'acme' has no account") as refusal:
        await Accounts(FakeDatabase(), None).one("acme")
    assert "tenants list" in refusal.value.hint


async def test_credits_are_set_and_the_rest_is_kept() -> None:
    """Set, not added: an answer that was lost may be asked for again."""
    accounts = Accounts(FakeDatabase({"acme": ACME}), None)
    for _ in range(2):
        granted = await accounts.grant("acme", 100)
    assert (granted["credits"], granted["used"], granted["owner_email"]) == (100, 3, "owner@example.org")
    assert (await accounts.grant("acme", None))["left"] is None


async def test_an_owner_is_set_and_the_credits_are_kept() -> None:
    """Whoever is named gets the notices from now on."""
    account = await Accounts(FakeDatabase({"acme": ACME}), 7).give_to("acme", "other@example.org")
    assert (account["credits"], account["owner_email"]) == (10, "other@example.org")


async def test_a_new_account_starts_as_one_that_a_message_opens() -> None:
    """Naming an owner grants nothing beyond that; a grant needs no owner."""
    accounts = Accounts(FakeDatabase(), 7)
    assert (await accounts.give_to("new", "owner@example.org"))["credits"] == 7
    assert (await accounts.grant("other", 5))["owner_email"] is None


async def test_an_owner_is_invited_to_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """One mail, to the owner, that leads there."""
    post = Post()
    await invite(post, "acme", "owner@example.org", check_invitations(settings(monkeypatch)))
    (mail,) = post.mails
    assert mail.to == "owner@example.org"
    assert APP_URL in mail.text
    assert "acme" in mail.text


@pytest.mark.parametrize("name", sorted(MAIL_ENVIRONMENT))
def test_without_a_setting_nobody_is_invited(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one is missing is said, before anything is changed."""
    with pytest.raises(OperatorRefused, match=f"nothing was changed: {name} not set") as refusal:
        check_invitations(settings(monkeypatch, without=name))
    assert "--invite" in refusal.value.hint


async def test_an_invitation_that_was_not_taken_is_an_error() -> None:
    """The owner is set all the same, and the command may be repeated."""
    with pytest.raises(OperatorRefused, match="the owner is set, but") as refusal:
        await invite(Post(takes=False), "acme", "owner@example.org", APP_URL)
    assert "run the same command again" in refusal.value.hint
