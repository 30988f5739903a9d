import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.toolchain.environment import PLUGINS, is_dev, pulumi_environment


def test_the_backend_is_the_checkout_unless_one_is_given(tmp_path: Path) -> None:
    """State lies in .pulumi-state, which is made; a backend of the operator's is left as it is."""
    assert pulumi_environment(None, {}, tmp_path)["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.pulumi-state"
    assert (tmp_path / ".pulumi-state").is_dir()
    given = {"PULUMI_BACKEND_URL": "s3://bucket"}
    assert pulumi_environment(None, given, tmp_path / "other")["PULUMI_BACKEND_URL"] == "s3://bucket"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("stack", ["dev", "dev-alice", "organization/runbook/dev"])
def test_dev_stacks_get_a_passphrase_that_stays(stack: str, tmp_path: Path) -> None:
    """It is made once, is long, and nobody else may read it."""
    first = Path(pulumi_environment(stack, {}, tmp_path)["PULUMI_CONFIG_PASSPHRASE_FILE"])
    kept = first.read_text()
    assert len(kept) >= 32
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert Path(pulumi_environment("dev", {}, tmp_path)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text() == kept


def test_two_first_commands_agree_on_the_passphrase(tmp_path: Path) -> None:
    """Stacks made side by side can read each other's secrets: the file is made once."""

    def read(_number: int) -> str:
        return Path(pulumi_environment("dev", {}, tmp_path)["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(32)))) == 1


@pytest.mark.parametrize("stack", ["prod", "develop", "staging-dev", "dev/prod"])
def test_other_stacks_must_bring_their_passphrase(stack: str, tmp_path: Path) -> None:
    """No passphrase is made up for a stack that others must be able to open."""
    with pytest.raises(RunbookError, match=stack) as error:
        pulumi_environment(stack, {}, tmp_path)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in error.value.hint
    assert not is_dev(stack)


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_given_passphrase_is_left_alone(name: str, stack: str, tmp_path: Path) -> None:
    """What the operator set is not replaced, nor repeated in what we add."""
    added = pulumi_environment(stack, {name: "given"}, tmp_path)
    assert "given" not in added.values()
    assert not any("PASSPHRASE" in each for each in added)


def test_pulumi_cloud_needs_no_passphrase(tmp_path: Path) -> None:
    """There the service encrypts."""
    added = pulumi_environment("prod", {"PULUMI_BACKEND_URL": "https://api.pulumi.com"}, tmp_path)
    assert not any("PASSPHRASE" in each for each in added)


def test_plugins_come_first_on_path_and_once(tmp_path: Path) -> None:
    """However often the environment is made from itself."""
    first = pulumi_environment(None, {"PATH": "/a:/b"}, tmp_path)
    again = pulumi_environment(None, first, tmp_path)
    assert first["PATH"] == again["PATH"] == f"{PLUGINS}:/a:/b"


@pytest.mark.parametrize("writable", [True, False])
def test_a_home_that_cannot_be_written_is_replaced(
    writable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PULUMI_HOME is the operator's own, unless nothing can be written there."""
    monkeypatch.setattr(os, "access", lambda _path, _mode: writable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    added = pulumi_environment(None, {"PULUMI_HOME": str(tmp_path / "home")}, tmp_path)
    assert added.get("PULUMI_HOME") == (None if writable else str(tmp_path / "cache/runbook/pulumi-home"))
