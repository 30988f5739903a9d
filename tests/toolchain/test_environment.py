import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from runbook.errors import RunbookError
from runbook.toolchain.environment import (
    PASSPHRASE,
    PASSPHRASE_FILE,
    PLUGINS,
    file_backend,
    is_dev,
    passphrase_hint,
    pulumi_environment,
)


def test_the_backend_is_the_checkout_unless_one_is_given(tmp_path: Path) -> None:
    """State lies in .pulumi-state, which is made; a backend of the operator's is left as it is."""
    assert pulumi_environment(None, {}, tmp_path)["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/.pulumi-state"
    assert (tmp_path / ".pulumi-state").is_dir()
    odd = tmp_path / "100% of it's #1?"
    odd.mkdir()
    assert file_backend(pulumi_environment(None, {}, odd)["PULUMI_BACKEND_URL"]) == odd / ".pulumi-state"
    given = {"PULUMI_BACKEND_URL": "s3://bucket"}
    assert pulumi_environment(None, given, tmp_path / "other")["PULUMI_BACKEND_URL"] == "s3://bucket"
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("stack", ["dev", "dev-alice", "organization/runbook/dev"])
def test_dev_stacks_get_a_passphrase_that_stays(stack: str, tmp_path: Path) -> None:
    """It is made once, is long, and nobody else may read it."""
    first = Path(pulumi_environment(stack, {}, tmp_path)[PASSPHRASE_FILE])
    kept = first.read_text()
    assert len(kept) >= 32
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert Path(pulumi_environment("dev", {}, tmp_path)[PASSPHRASE_FILE]).read_text() == kept


def test_two_first_commands_agree_on_the_passphrase(tmp_path: Path) -> None:
    """Stacks made side by side can read each other's secrets: the file is made once."""

    def read(_number: int) -> str:
        return Path(pulumi_environment("dev", {}, tmp_path)[PASSPHRASE_FILE]).read_text()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(32)))) == 1


@pytest.mark.parametrize("stack", ["prod", "develop", "staging-dev", "dev/prod"])
def test_other_stacks_must_bring_their_passphrase(stack: str, tmp_path: Path) -> None:
    """No passphrase is made up for a stack that others must be able to open."""
    with pytest.raises(RunbookError, match=stack) as error:
        pulumi_environment(stack, {}, tmp_path)
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in error.value.hint
    assert not is_dev(stack)


@pytest.mark.parametrize(
    ("stack", "backend"), [("prod", ""), ("prod", "s3://bucket"), ("dev", "s3://bucket")]
)
def test_a_given_passphrase_is_left_alone(stack: str, backend: str, tmp_path: Path) -> None:
    """What the operator set is not replaced, nor repeated in what we add."""
    added = pulumi_environment(stack, {PASSPHRASE: "given", "PULUMI_BACKEND_URL": backend}, tmp_path)
    assert "given" not in added.values()
    assert not any("PASSPHRASE" in each for each in added)


@pytest.mark.parametrize("given", ["", "of another project"])
def test_a_dev_stack_is_opened_by_its_own_passphrase(given: str, tmp_path: Path) -> None:
    """Not by one that the shell has for another project: for Pulumi that would come before the file."""
    own = Path(pulumi_environment("dev", {}, tmp_path)[PASSPHRASE_FILE]).read_text()
    added = pulumi_environment("dev", {PASSPHRASE: given, PASSPHRASE_FILE: "/of/another/project"}, tmp_path)
    assert {PASSPHRASE: given, **added}[PASSPHRASE] == own
    assert pulumi_environment("dev", {PASSPHRASE_FILE: "/nowhere"}, tmp_path)[PASSPHRASE_FILE].endswith(
        "/.pulumi-state/passphrase"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file or directory"), ("folder", "Is a directory"), ("\n", "is empty")],
)
def test_a_passphrases_file_that_is_none_is_named(content: str | None, said: str, tmp_path: Path) -> None:
    """With its variable, before the CLI is asked."""
    file = tmp_path / "theirs"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_text(content)
    with pytest.raises(RunbookError, match=said) as refusal:
        pulumi_environment("prod", {PASSPHRASE_FILE: str(file)}, tmp_path)
    assert refusal.value.message.startswith(f"PULUMI_CONFIG_PASSPHRASE_FILE: '{file}'")


def test_a_passphrases_file_is_found_from_the_clis_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative name is the operator's folder's."""
    (tmp_path / "theirs").write_text("open sesame")
    monkeypatch.chdir(tmp_path)
    added = pulumi_environment("prod", {PASSPHRASE_FILE: "theirs"}, tmp_path)
    assert added[PASSPHRASE_FILE] == str(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({PASSPHRASE: ""}, "PULUMI_CONFIG_PASSPHRASE is set, and empty: `unset PULUMI_CONFIG_PASSPHRASE`"),
        ({PASSPHRASE: "x"}, "PULUMI_CONFIG_PASSPHRASE holds another: `unset PULUMI_CONFIG_PASSPHRASE`"),
        ({PASSPHRASE: "x", PASSPHRASE_FILE: "/f"}, "and comes before PULUMI_CONFIG_PASSPHRASE_FILE"),
        ({PASSPHRASE_FILE: "/f"}, "PULUMI_CONFIG_PASSPHRASE_FILE names /f, which holds another"),
    ],
)
def test_a_wrong_passphrase_is_traced_to_its_variable(env: dict[str, str], said: str, tmp_path: Path) -> None:
    """What the CLI says is only that it is wrong; the passphrase itself is not told."""
    hint = passphrase_hint("get stack secrets manager: incorrect passphrase", env, tmp_path)
    assert said in str(hint)
    assert "made with" in str(hint)
    assert passphrase_hint("something else", env, tmp_path) is None


@pytest.mark.parametrize("given", [{}, {PASSPHRASE: "of another project"}])
def test_a_dev_stack_made_with_another_passphrase_says_where_it_belongs(
    given: dict[str, str], tmp_path: Path
) -> None:
    """It was made while a variable was in force."""
    env = {**given, **pulumi_environment("dev", given, tmp_path)}
    hint = passphrase_hint("incorrect passphrase", env, tmp_path)
    assert hint is not None
    assert hint.endswith(f"write that into {tmp_path}/.pulumi-state/passphrase")


def test_a_service_for_keys_needs_no_passphrase(tmp_path: Path) -> None:
    """The stack's settings name it."""
    (tmp_path / "Pulumi.prod.yaml").write_text("secretsprovider: awskms://alias/runbook\n")
    added = pulumi_environment("organization/runbook/prod", {"PULUMI_BACKEND_URL": "s3://bucket"}, tmp_path)
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


def test_a_user_without_a_home_has_a_place_for_pulumi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as a user id that has no name, without HOME."""

    def nobody(_uid: int) -> NoReturn:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    added = pulumi_environment(None, {}, tmp_path)
    assert added["PULUMI_HOME"] == str(tmp_path / "cache/runbook/pulumi-home")
