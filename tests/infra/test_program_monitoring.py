"""What the program declares to watch a stack, and of what it does not watch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from declared_stack import PREFIX, SECRETS, Declared, DeclaredStack, declare
from fake_docker_api import FakeDocker, fake_docker

MONITORS = ("prometheus", "alertmanager", "blackbox", "node-exporter", "redis-exporter", "logs")
ON = {"monitoring": True}
PRODUCTION = {**ON, "sandbox": False}
OUTSIDE = {"ALERT_CHANNEL_URL": "https://hooks.example.org/team-secret", "RESEND_API_KEY": "re_the-mail-key"}


@pytest.fixture
def engine() -> Iterator[FakeDocker]:
    """One without containers."""
    with fake_docker() as engine:
        yield engine


def file_of(declared: DeclaredStack, role: str, name: str) -> str:
    """The text of a monitor's file."""
    uploads = declared[f"{PREFIX}-{role}-conf-seed"].inputs["uploads"]
    uploads = uploads["value"] if isinstance(uploads, dict) else uploads  # as it is marked as a secret
    (found,) = [each["content"] for each in uploads if each["file"] == f"/conf/{name}"]
    return str(found)


def alertmanager(declared: DeclaredStack) -> dict[str, Any]:
    """Its configuration."""
    found: dict[str, Any] = yaml.safe_load(file_of(declared, "alertmanager", "alertmanager.yml"))
    return found


def receiver(config: dict[str, Any], name: str) -> dict[str, Any]:
    """One of Alertmanager's receivers."""
    (found,) = [each for each in config["receivers"] if each["name"] == name]
    return dict(found)


def labels(container: Declared) -> dict[str, str]:
    """By name."""
    return {each["label"]: each["value"] for each in container.inputs["labels"]}


def test_off(engine: FakeDocker) -> None:
    """Without the setting nothing of it is there, and logs are the engine's own files."""
    declared = declare(engine.host)
    assert not [each.name for each in declared.resources if each.name.endswith(MONITORS)]
    assert {each.inputs["logDriver"] for each in declared.containers()} == {"json-file"}
    assert 8084 not in [port["internal"] for port in declared[f"{PREFIX}-proxy"].inputs["ports"]]


def test_on(engine: FakeDocker) -> None:
    """All monitors, and the lines of whatever serves go to the collector; their own do not."""
    declared = declare(engine.host, layout=ON)
    for role in MONITORS:
        assert declared[f"{PREFIX}-{role}"].inputs["logDriver"] == "json-file", role
    served = [each for each in declared.containers() if labels(each)["runbook.role"] not in MONITORS]
    assert {labels(each)["runbook.role"] for each in served} == {"redis", "proxy", "sandbox", "web", "worker"}
    for each in served:
        assert each.inputs["logDriver"] == "fluentd"
        assert each.inputs["logOpts"]["fluentd-async"] == "true"
        assert each.inputs["logOpts"]["fluentd-address"] == "127.0.0.1:24224"


def test_only_loopback(engine: FakeDocker) -> None:
    """The collector has a port for the engine on its machine; pages are behind the proxy's on loopback."""
    declared = declare(engine.host, layout={**ON, "bind": "0.0.0.0"})
    published = {role: declared[f"{PREFIX}-{role}"].inputs.get("ports") for role in MONITORS}
    (port,) = published.pop("logs")
    assert (port["ip"], port["external"]) == ("127.0.0.1", 24224)
    assert set(map(bool, published.values())) == {False}
    pages = [port for port in declared[f"{PREFIX}-proxy"].inputs["ports"] if port["internal"] == 8084]
    assert [port["ip"] for port in pages] == ["127.0.0.1"]


def test_names_stay(engine: FakeDocker) -> None:
    """Prometheus asks by names that all releases' containers have: a release changes nothing of it."""
    declared = declare(engine.host, layout=ON)
    asked = yaml.safe_load(file_of(declared, "prometheus", "prometheus.yml"))["scrape_configs"]
    names = {name for job in asked for found in job.get("dns_sd_configs", []) for name in found["names"]}
    aliases = {
        alias
        for container in declared.containers()
        for network in container.inputs["networksAdvanced"]
        for alias in network["aliases"]
    }
    assert names == {"web", "worker"}
    assert names <= aliases
    assert "r-" not in file_of(declared, "prometheus", "prometheus.yml")


def test_no_secret_is_shown(engine: FakeDocker) -> None:
    """Neither an address nor a key stands where `docker inspect` shows it, nor a plain hash of one."""
    declared = declare(engine.host, layout=PRODUCTION, secrets={**SECRETS, **OUTSIDE})
    for container in declared.containers():
        shown = json.dumps(dict(container.inputs))
        for value in (*SECRETS.values(), *OUTSIDE.values()):
            assert value not in shown, container.name
    other = declare(
        engine.host, layout=PRODUCTION, secrets={**SECRETS, **OUTSIDE, "RELEASE_KEY": "another-key"}
    )
    name = f"{PREFIX}-alertmanager"
    assert labels(declared[name])["runbook.configuration"] != labels(other[name])["runbook.configuration"]


def test_sandbox_hears(engine: FakeDocker) -> None:
    """A dev stack's alerts stay in the dev stack."""
    config = alertmanager(declare(engine.host, layout=ON))
    assert receiver(config, "channel")["slack_configs"][0]["api_url"].startswith("http://sandbox:9000/")
    assert config["global"]["smtp_smarthost"] == "sandbox:2525"
    assert not config["global"]["smtp_require_tls"]


def test_a_server_called_sandbox(engine: FakeDocker) -> None:
    """Where the stack has no sandbox it is somebody's, and mail to it is encrypted."""
    mail = {"alert_mail_to": "team@example.org", "alert_mail_from": "alerts@example.org"}
    config = alertmanager(declare(engine.host, layout={**PRODUCTION, **mail, "alert_smtp": "sandbox:587"}))
    assert config["global"]["smtp_require_tls"]


@pytest.mark.parametrize(("port", "tls"), [(587, True), (465, False)])
def test_outside(engine: FakeDocker, port: int, tls: bool) -> None:
    """Elsewhere mail goes by Resend's SMTP with its key, encrypted, unless another server is named."""
    mail = {"alert_mail_to": "team@example.org", "alert_mail_from": "alerts@example.org"}
    layout = {**PRODUCTION, **mail, "alert_smtp": f"smtp.resend.com:{port}"}
    config = alertmanager(declare(engine.host, layout=layout, secrets={**SECRETS, **OUTSIDE}))
    assert config["global"] == {
        "smtp_smarthost": f"smtp.resend.com:{port}",
        "smtp_from": "alerts@example.org",
        "smtp_auth_username": "resend",
        "smtp_auth_password": OUTSIDE["RESEND_API_KEY"],
        "smtp_require_tls": tls,
    }
    assert receiver(config, "mail")["email_configs"][0]["to"] == "team@example.org"
    assert receiver(config, "channel")["slack_configs"][0]["api_url"] == OUTSIDE["ALERT_CHANNEL_URL"]
    # By routes of their own: a mail server that never answers holds up no post.
    routes = [each["receiver"] for each in config["route"]["routes"][1:]]
    assert routes == ["mail", "channel"]
    assert all(each["continue"] for each in config["route"]["routes"][1:])


def test_sandbox_hears_what_nobody_else_is_named_for(engine: FakeDocker) -> None:
    """A channel of one's own takes away neither the sandbox's mail nor its heartbeat; nor does mail."""
    secrets = {**SECRETS, "ALERT_CHANNEL_URL": OUTSIDE["ALERT_CHANNEL_URL"]}
    config = alertmanager(declare(engine.host, layout=ON, secrets=secrets))
    assert receiver(config, "channel")["slack_configs"][0]["api_url"] == OUTSIDE["ALERT_CHANNEL_URL"]
    assert config["global"]["smtp_smarthost"] == "sandbox:2525"
    assert config["global"]["smtp_auth_password"], "the sandbox takes any, but one"
    assert receiver(config, "heartbeat")["webhook_configs"][0]["url"].startswith("http://sandbox:9000/")
    mail = {"alert_mail_to": "team@example.org", "alert_mail_from": "alerts@example.org"}
    config = alertmanager(declare(engine.host, layout={**ON, **mail}))
    assert config["global"]["smtp_smarthost"] == "smtp.resend.com:587"
    assert config["global"]["smtp_require_tls"]
    assert receiver(config, "channel")["slack_configs"][0]["api_url"].startswith("http://sandbox:9000/")


def test_nobody_hears_that_alerting_ends(engine: FakeDocker) -> None:
    """A team without a dead man's switch is told how to have one."""
    declared = declare(engine.host, layout=PRODUCTION, secrets={**SECRETS, **OUTSIDE})
    assert "nobody hears where alerting itself ends" in "".join(declared.log)


def test_nobody_hears(engine: FakeDocker) -> None:
    """It is said, with what to set; the stack is watched all the same."""
    declared = declare(engine.host, layout=PRODUCTION)
    assert "alerts reach nobody" in "".join(declared.log)
    assert alertmanager(declared)["receivers"] == [{"name": "nobody"}]


def test_heartbeat(engine: FakeDocker) -> None:
    """The alert that always fires goes to the dead man's switch alone."""
    secrets = {**SECRETS, "ALERT_HEARTBEAT_URL": "https://hc.example.org/ping/secret"}
    config = alertmanager(declare(engine.host, layout=PRODUCTION, secrets=secrets))
    (watchdog,) = [each for each in config["route"]["routes"] if each["matchers"] == ['alertname="Watchdog"']]
    assert watchdog["receiver"] == "heartbeat"


def test_mail_without_sender(engine: FakeDocker) -> None:
    """Refused before anything is made: the mail server would."""
    with pytest.raises(Exception, match="alert_mail_from should be"):
        declare(engine.host, layout={**PRODUCTION, "alert_mail_to": "team@example.org"})


def test_what_was_seen_stays(engine: FakeDocker) -> None:
    """No update deletes it; but it stands in no way where the monitoring is turned off."""
    declared = declare(engine.host, layout=ON)
    for part in ("prometheus-data", "alertmanager-data", "log-data"):
        volume = declared[f"{PREFIX}-{part}"]
        assert (volume.retain_on_delete, volume.protect) == (True, False), part


def test_log_port_taken(engine: FakeDocker) -> None:
    """As by another stack's collector: named before anything is made; its own is no obstacle."""
    engine.run(f"{PREFIX}-logs", HostConfig={"PortBindings": {"24224/tcp": [{"HostPort": "24224"}]}})
    engine.run("port-of-ours", Ports=[{"IP": "127.0.0.1", "PublicPort": 24224}])
    declare(engine.host, layout=ON)
    del engine.containers[f"{PREFIX}-logs"]
    with pytest.raises(Exception, match=r"port 24224 of 127\.0\.0\.1 is taken: container port-of-ours"):
        declare(engine.host, layout=ON)


@pytest.mark.parametrize(
    ("layout", "secrets", "said"),
    [
        ({"alert_mail_to": "not an address", "alert_mail_from": "a@x"}, {}, "alert_mail_to"),
        ({"alert_mail_to": "a@x; b@x", "alert_mail_from": "a@x"}, {}, "alert_mail_to"),
        ({"alert_smtp": "smtp.example.org"}, {}, "alert_smtp"),
        ({"alert_smtp": "smtp.example.org:99999"}, {}, "alert_smtp"),
        ({"alert_smtp": "https://smtp.example.org:587"}, {}, "alert_smtp"),
        ({"alert_smtp": "::1:25"}, {}, "alert_smtp"),
        ({"alert_mail_to": "{{x}}@b.c", "alert_mail_from": "a@x"}, {}, "alert_mail_to"),
        ({"alert_mail_to": "a\x7f@x", "alert_mail_from": "a@x"}, {}, "alert_mail_to"),
        *(
            ({}, {"ALERT_CHANNEL_URL": url}, "secrets.ALERT_CHANNEL_URL")
            for url in (
                "hooks.slack.com/services/x",
                "https://h:abc/x",
                "https://h h/x",
                "https://h/%zz",
                "https://h/\x7f",
            )
        ),
        ({}, {"ALERT_HEARTBEAT_URL": "https://h/%zz"}, "secrets.ALERT_HEARTBEAT_URL"),
        ({}, {"ALERT_SMTP_PASSWORD": "a\x7fb"}, "secrets.ALERT_SMTP_PASSWORD"),
        ({}, {"ALERT_HEARTBEAT_URL": "https://"}, "secrets.ALERT_HEARTBEAT_URL"),
    ],
)
def test_wrong_destination(
    engine: FakeDocker, layout: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    """Refused with the key's name: Alertmanager would not start, or send nothing."""
    with pytest.raises(Exception, match=said):
        declare(engine.host, layout={**PRODUCTION, **layout}, secrets={**SECRETS, **secrets})


def test_emoji(engine: FakeDocker) -> None:
    """JSON writes it in a way that YAML does not read."""
    mail = {"alert_mail_to": "team@example.org", "alert_mail_from": "Deploy \N{ROCKET} <alerts@example.org>"}
    declared = declare(engine.host, layout={**PRODUCTION, **mail})
    assert "\N{ROCKET}" in file_of(declared, "alertmanager", "alertmanager.yml")
