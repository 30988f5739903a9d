import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.toolchain.docker_context import use_context
from runbook.toolchain.docker_engine import engine_trouble, ensure_engine, forget_the_dead

Tool = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, a cache and a search path of the test's own, and no engine named by the environment."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    for name in ("HOST", "CERT_PATH", "TLS_VERIFY", "CONTEXT", "CONFIG"):
        monkeypatch.setenv(f"DOCKER_{name}", "")  # so that it is put back afterwards
        monkeypatch.delenv(f"DOCKER_{name}")


def refused() -> str | None:
    """An engine that never answers."""
    return "connection refused"


def nothing(_line: str) -> None:
    """Report to nobody."""


def test_an_engine_that_answers_is_left_alone() -> None:
    """Nothing is installed, started or said where an engine answers."""
    said: list[str] = []
    ensure_engine(said.append, lambda: None)
    assert said == []


def test_a_named_engine_that_is_down_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    """Where DOCKER_HOST names an engine, no other is started in its place."""
    tool("dockerd", "echo started >&2; exit 9")
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.9.8.7:2375")
    with pytest.raises(RunbookError, match=r"tcp://10\.9\.8\.7:2375 .*connection refused") as error:
        ensure_engine(nothing, refused)
    assert "DOCKER_HOST" in error.value.hint


def make_context(docker_folder: Path, name: str, host: str, **endpoint: object) -> Path:
    """A context as `docker context create` leaves it; its folder for certificates, which is not made."""
    id_ = hashlib.sha256(name.encode()).hexdigest()
    meta = docker_folder / "contexts/meta" / id_ / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host, **endpoint}}}))
    return docker_folder / "contexts/tls" / id_ / "docker"


@pytest.mark.parametrize(
    ("named", "chosen", "host"),
    [
        ({}, {"currentContext": "lab"}, "unix:///lab.sock"),
        ({"DOCKER_CONTEXT": "prod"}, {"currentContext": "lab"}, "unix:///prod.sock"),
        ({"DOCKER_CONTEXT": "prod"}, None, "unix:///prod.sock"),
        ({"DOCKER_CONTEXT": "default"}, {"currentContext": "lab"}, None),
        ({"DOCKER_HOST": "unix:///own.sock", "DOCKER_CONTEXT": "lab"}, None, "unix:///own.sock"),
        ({}, {"currentContext": ""}, None),
        ({}, {}, None),
        ({}, [], None),
        ({}, None, None),
    ],
)
def test_the_engine_of_the_docker_context_is_used(
    named: dict[str, str], chosen: object, host: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine that the `docker` command would use becomes everybody's, through DOCKER_HOST."""
    folder = tmp_path / "home/.docker"
    for name in ("lab", "prod"):
        make_context(folder, name, f"unix:///{name}.sock")
    if chosen is not None:
        (folder / "config.json").write_text(json.dumps(chosen))
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    use_context()
    assert os.environ.get("DOCKER_HOST") == host


@pytest.mark.parametrize(("is_unverified", "verify"), [(True, None), (False, "1")])
def test_the_certificates_of_the_docker_context_are_used(
    is_unverified: bool, verify: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine elsewhere asks for them. DOCKER_CONFIG names the folder."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    certificates = make_context(tmp_path, "prod", "tcp://10.9.8.7:2376", SkipTLSVerify=is_unverified)
    certificates.mkdir(parents=True)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (certificates / name).write_text("x")
    use_context()
    assert os.environ["DOCKER_HOST"] == "tcp://10.9.8.7:2376"
    assert os.environ["DOCKER_CERT_PATH"] == str(certificates)
    assert os.environ.get("DOCKER_TLS_VERIFY") == verify


@pytest.mark.parametrize("meta", [None, "{", "[]", '{"Endpoints": {}}'])
def test_no_other_engine_is_asked_for_a_context_that_is_not_there(
    meta: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback of production on this laptop's engine: the SDK would ask that one."""
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    if meta is not None:
        folder = make_context(tmp_path / "home/.docker", "prod", "").parents[2] / "meta"
        next(folder.glob("*/meta.json")).write_text(meta)
    with pytest.raises(RunbookError, match="the docker context 'prod' cannot be read: ") as error:
        use_context()
    assert "docker context ls" in error.value.hint
    assert not os.environ.get("DOCKER_HOST")


def test_a_context_over_ssh_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would want a package that is not there, and this machine's own engine is not meant."""
    monkeypatch.setenv("DOCKER_CONTEXT", "prod")
    make_context(tmp_path / "home/.docker", "prod", "ssh://root@10.9.8.7")
    with pytest.raises(RunbookError, match="which cannot be asked over ssh") as error:
        use_context()
    assert "ssh -L" in error.value.hint
    assert not os.environ.get("DOCKER_HOST")


@pytest.mark.parametrize("euid", [0, 1000])
def test_a_machine_without_docker_hears_what_to_install(monkeypatch: pytest.MonkeyPatch, euid: int) -> None:
    """Where there is no apt, or we are not root, the error names the packages."""
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    with pytest.raises(RunbookError, match=r"docker\.io iptables") as error:
        ensure_engine(nothing, refused)
    assert "install Docker" in error.value.hint


def test_others_than_root_start_no_daemon(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    """An engine that is installed but not running, or not ours to use, is the operator's to start."""
    tool("dockerd", "exit 0")
    tool("iptables", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RunbookError, match="Permission denied") as error:
        ensure_engine(nothing, lambda: "Permission denied")
    assert "group `docker`" in error.value.hint


def test_missing_packages_are_installed_and_the_daemon_started(
    monkeypatch: pytest.MonkeyPatch, tool: Tool, tmp_path: Path
) -> None:
    """As root with apt: update, install, start, wait until it answers; each is said."""
    tools, calls, up = tmp_path / "tools", tmp_path / "calls", tmp_path / "up"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    daemon = tool("later", f": > {up}")
    install = f"/bin/cp {daemon} {tools}/dockerd; /bin/cp {daemon} {tools}/iptables"
    tool("apt-get", f'echo "$*" >> {calls}; case "$*" in *install*) {install};; esac')
    said: list[str] = []
    ensure_engine(said.append, lambda: None if up.exists() else "down")
    update, install = calls.read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("install -y --no-install-recommends docker.io iptables")
    assert said[0] == "installing docker.io iptables (apt-get)"
    assert said[1].startswith("starting dockerd; its log is ")


def test_a_daemon_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    """What dockerd said last is in the error, and where to read the rest in the hint."""
    tool("dockerd", "echo 'failed to mount cgroup'; exit 1")
    tool("iptables", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(RunbookError, match="failed to mount cgroup") as error:
        ensure_engine(nothing, refused)
    assert "dockerd.log" in error.value.hint


def test_trouble_says_what_the_matter_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A socket that is not there is a reason, not an exception."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert "No such file" in (engine_trouble() or "")


@pytest.mark.integration
def test_the_engine_of_this_machine_answers() -> None:
    """A real engine has no trouble."""
    assert engine_trouble() is None


def test_a_dead_daemons_number_is_forgotten(tmp_path: Path) -> None:
    """Whether nobody has the number, another program has it, or it is none; a living daemon's is kept."""
    living = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    numbers = {"nobody": "4194305", "another": str(os.getpid()), "damaged": "x", "living": str(os.getpid())}
    files = {tmp_path / name: living if name == "living" else "dockerd" for name in numbers}
    for file in files:
        file.write_text(numbers[file.name])
    forget_the_dead({**files, tmp_path / "missing": "dockerd"})
    assert [file.name for file in tmp_path.iterdir()] == ["living"]
