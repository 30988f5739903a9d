from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest
import requests
from docker.errors import DockerException
from fake_stack import FakeStack
from fake_workspace import FakeWorkspace

from infra.deploy_request import DeployRequest
from infra.stack_name import bare_name
from runbook.errors import RunbookError
from runbook.operation import OperationFailed
from runbook.workspace import Workspace, configuration

PULUMI = f"""#!{sys.executable}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
asked = [word for word in sys.argv[1:] if word != "--non-interactive"]
given = "" if sys.stdin.isatty() else sys.stdin.read() if "set" in asked or "import" in asked else ""
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([asked, given, os.environ.get("PULUMI_BACKEND_URL")]) + "\\n")
answers = json.loads((here / "answers").read_text())
for words, (code, out, err) in answers.items():
    if " ".join(asked).startswith(words):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""

Answers = dict[str, tuple[int, str, str]]


class Cli:
    """A `pulumi` that answers by the words that a command begins with, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pulumi"
        self._answers: Answers = {"version": (0, "v3.257.0\n", "")}
        folder.mkdir()
        self.path.write_text(PULUMI)
        self.path.chmod(0o755)
        self.answer({})

    def answer(self, answers: Answers) -> None:
        self._answers |= answers
        (self.path.parent / "answers").write_text(json.dumps(self._answers))

    @property
    def calls(self) -> list[tuple[list[str], str, str]]:
        file = self.path.parent / "calls"
        return [tuple(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment as it was, whatever a workspace adds to its own process's."""
    kept = dict(os.environ)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A CLI that knows its version and does all that it is asked, without a word."""
    return Cli(tmp_path / "cli")


@pytest.fixture
def workspace(tmp_path: Path, cli: Cli) -> Workspace:
    """A dev stack in a folder of its own."""
    (tmp_path / "Pulumi.yaml").write_text("name: runbook\nruntime: python\n")
    return Workspace("dev", tmp_path, cli.path)


def configure(tmp_path: Path, **values: Any) -> None:
    """Write the stack's configuration file (JSON is YAML)."""
    config = {f"runbook:{key}": value for key, value in values.items()}
    (tmp_path / "Pulumi.dev.yaml").write_text(json.dumps({"config": config}))


def test_the_fake_has_the_same_shape() -> None:
    """What the other tests rely on takes the same arguments as the real one."""
    methods = [name for name, _ in inspect.getmembers(Workspace, inspect.isfunction) if name[0] != "_"]
    assert "keep_secrets" in methods
    for name in methods:
        real, fake = getattr(Workspace, name), getattr(FakeWorkspace, name)
        assert inspect.signature(real) == inspect.signature(fake), name


FAILURES: dict[str, tuple[str, Callable[[Workspace], Any]]] = {
    "create": ("stack init", Workspace.create),
    "remove": ("stack rm", Workspace.remove),
    "outputs": ("stack output", Workspace.outputs),
    "export": ("stack export", Workspace.export),
    "mend": ("stack export", Workspace.without_pending),
    "sort": ("state repair", Workspace.sort),
    "cancel": ("cancel", Workspace.cancel),
    "get": ("config get", lambda workspace: workspace.get("layout")),
    "set": ("config set", lambda workspace: workspace.set("layout", "x")),
    "unset": ("config rm", lambda workspace: workspace.unset("layout")),
    "secrets": ("config get", Workspace.secrets),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_the_cli_refuses_is_an_error_in_its_words(
    what: str, workspace: Workspace, cli: Cli, tmp_path: Path
) -> None:
    """With what it means, and what helps."""
    command, ask = FAILURES[what]
    configure(tmp_path, layout={}, secrets={"secure": "…"})
    assert workspace.exists()
    cli.answer({command: (255, "noise", "warning: old\nerror: incorrect passphrase\n")})
    with pytest.raises(RunbookError) as refusal:
        ask(workspace)
    assert refusal.value.message.endswith(": incorrect passphrase")
    assert "dev" in refusal.value.message
    assert "made with" in refusal.value.hint


def test_what_is_pending_is_dropped_without_a_file(workspace: Workspace, cli: Cli) -> None:
    """Through standard input, secrets as they are encrypted: a file would stay, and hold them in clear."""
    exported = {"version": 3, "deployment": {"pending_operations": [1], "resources": [2]}}
    cli.answer({"stack export": (0, json.dumps(exported), "")})
    assert workspace.exists()
    workspace.without_pending()
    (export, _, _), (_import, given, _) = cli.calls[-2:]
    assert "--show-secrets" not in export
    assert "--file" not in _import
    assert json.loads(given) == {"version": 3, "deployment": {"pending_operations": [], "resources": [2]}}


def test_a_state_that_cannot_be_imported_is_an_error(workspace: Workspace, cli: Cli) -> None:
    """Where another update began meanwhile, for example."""
    cli.answer({"stack export": (0, '{"version": 3, "deployment": {"pending_operations": [1]}}', "")})
    cli.answer({"stack import": (255, "", "error: the stack is currently locked by 1 lock(s)\n")})
    assert workspace.exists()
    with pytest.raises(RunbookError, match="cannot be mended: the stack is currently locked"):
        workspace.without_pending()


def test_a_stack_that_is_not_there(workspace: Workspace, cli: Cli) -> None:
    """It does not exist, and asking it for anything says how it is made."""
    cli.answer({"stack": (255, "", "error: no stack named 'dev' found\n")})
    assert not workspace.exists()
    with pytest.raises(RunbookError, match="there is no stack 'dev'") as refusal:
        workspace.outputs()
    assert "bin/runbook up --stack dev" in refusal.value.hint


def test_a_stack_that_the_engine_has_is_not_to_be_made(
    workspace: Workspace, cli: Cli, stack: FakeStack
) -> None:
    """Its state was lost, or is another checkout's: `up` would refuse."""
    cli.answer({"stack": (255, "", "error: no stack named 'dev' found\n")})
    assert not workspace.exists()
    with pytest.raises(RunbookError, match="there is no stack 'dev' in this checkout's state") as refusal:
        workspace.outputs()
    assert "this engine has containers of it" in refusal.value.message
    assert "its state is elsewhere: take it and Pulumi.dev.yaml from git or" in refusal.value.hint
    assert "bin/runbook up" not in refusal.value.hint


@pytest.mark.parametrize("error", [DockerException("no engine"), requests.ReadTimeout("no answer")])
def test_a_stack_that_is_not_there_needs_no_engine(
    workspace: Workspace, cli: Cli, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without one, or with one that hangs, it is not there all the same."""

    def from_env() -> Never:
        raise error

    monkeypatch.setattr("docker.from_env", from_env)
    cli.answer({"stack": (255, "", "error: no stack named 'dev' found\n")})
    assert not workspace.exists()
    with pytest.raises(RunbookError, match="there is no stack 'dev'") as refusal:
        workspace.outputs()
    assert "bin/runbook up --stack dev" in refusal.value.hint


def test_a_backend_that_cannot_be_reached_is_not_a_missing_stack(workspace: Workspace, cli: Cli) -> None:
    """Else `up` would make another."""
    cli.answer({"stack": (255, "", "error: dial tcp: connection refused\n")})
    with pytest.raises(RunbookError, match="connection refused"):
        workspace.exists()


def test_secrets_cannot_be_read_is_not_there_are_none(workspace: Workspace, cli: Cli, tmp_path: Path) -> None:
    """With a wrong passphrase nobody must take the stack for one without secrets, and write a new set."""
    configure(tmp_path, secrets={"secure": "…"})
    cli.answer({"config get": (255, "", "error: incorrect passphrase\n")})
    with pytest.raises(RunbookError, match="incorrect passphrase"):
        workspace.secrets()


def test_a_stack_without_secrets_has_none(workspace: Workspace, cli: Cli) -> None:
    """The CLI is not even asked."""
    assert workspace.secrets() == {"current": {}, "retired": {}}
    assert not any("config" in asked for asked, *_ in cli.calls)


@pytest.mark.parametrize("kept", ["hunter2", "[1]", '{"current": "hunter2"}', '{"current": [1]}', "7"])
def test_secrets_in_another_form_are_an_error(
    kept: str, workspace: Workspace, cli: Cli, tmp_path: Path
) -> None:
    """The file to mend is named; what stood there is not repeated, here or in the cause."""
    configure(tmp_path, secrets={"secure": "…"})
    cli.answer({"config get": (0, kept + "\n", "")})
    with pytest.raises(RunbookError, match="not what the runbook writes") as refusal:
        workspace.secrets()
    assert "Pulumi.dev.yaml" in refusal.value.hint
    assert "hunter2" not in str(refusal.value) + refusal.value.hint
    assert refusal.value.__suppress_context__


def test_secrets_travel_on_standard_input(workspace: Workspace, cli: Cli) -> None:
    """No value stands in a command line, where every process of the machine could read it."""
    workspace.keep_secrets({"current": {"WAHA_API_KEY": "hunter2"}, "retired": {}})
    asked, given, _ = cli.calls[-1]
    assert asked == ["config", "set", "secrets", "--secret", "--stack", "dev"]
    assert json.loads(given) == {"current": {"WAHA_API_KEY": "hunter2"}, "retired": {}}
    assert "hunter2" not in " ".join(word for words, *_ in cli.calls for word in words)


def test_what_was_kept_is_read(workspace: Workspace, cli: Cli, tmp_path: Path) -> None:
    """A part that is missing is empty."""
    configure(tmp_path, secrets={"secure": "…"})
    cli.answer({"config get": (0, '{"current": {"A": "1"}}\n', "")})
    assert workspace.secrets() == {"current": {"A": "1"}, "retired": {}}


def test_an_operation_runs_in_the_stacks_environment(workspace: Workspace, cli: Cli, tmp_path: Path) -> None:
    """On the stack, not asking anything, with the state in the folder; its failure has the CLI's words."""
    cli.answer({"up": (255, "", "error: update failed\n")})
    with pytest.raises(OperationFailed, match="update failed"):
        workspace.up(lambda _event: None, DeployRequest())
    asked, _, backend = cli.calls[-1]
    assert asked[:5] == ["up", "--yes", "--skip-preview", "--stack", "dev"]
    assert backend == f"file://{tmp_path}/.pulumi-state"


@pytest.mark.parametrize(
    ("backend", "folder"),
    [
        ("file:///srv/state", "/srv/state/.pulumi"),
        ("file:///srv/state?no_tmp_dir=true", "/srv/state/.pulumi"),
        ("file://~/state", "HOME/state/.pulumi"),
        ("file://./state", "FOLDER/state/.pulumi"),
        ("s3://bucket/state", None),
        ("https://api.pulumi.com", None),
    ],
)
def test_the_folder_of_a_file_backend(
    backend: str, folder: str | None, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where states and locks are, as Pulumi reads its URL; other backends have no such folder."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", backend)
    found = Workspace("dev", tmp_path, cli.path).state_folder
    wanted = folder and folder.replace("HOME", str(Path.home())).replace("FOLDER", str(tmp_path))
    assert found == (Path(wanted) if wanted else None)


@pytest.mark.parametrize("name", ["dev", "acme/dev", "organization/runbook/dev"])
def test_a_bare_name_has_neither_organization_nor_project(name: str) -> None:
    """As the names of configuration files do."""
    assert bare_name(name) == "dev"


def test_the_configuration_of_a_full_name_is_the_bare_names(tmp_path: Path) -> None:
    """Pulumi keeps it in one file however the stack is called."""
    configure(tmp_path, layout={"port": 1})
    assert configuration("organization/runbook/dev", tmp_path) == {"runbook:layout": {"port": 1}}


@pytest.mark.parametrize("text", ["", "config:\n", "encryptionsalt: v1:x\n"])
def test_an_empty_configuration(text: str, tmp_path: Path) -> None:
    """A file that sets nothing is as good as none."""
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    assert configuration("dev", tmp_path) == configuration("none", tmp_path) == {}


@pytest.mark.parametrize(
    "content", [b"config: [", b"\t", b"- 1", b"config: 5", b"config:\n  - x", b"text", b"config: \xff"]
)
def test_a_damaged_configuration_is_an_error(content: bytes, tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "Pulumi.dev.yaml").write_bytes(content)
    with pytest.raises(RunbookError, match=r"Pulumi\.dev\.yaml cannot be read"):
        configuration("dev", tmp_path)


def write_state(workspace: Workspace, text: str) -> Path:
    """Let the file backend have *text* as the stack's state."""
    file = (workspace.state_folder or Path()) / "stacks/runbook/dev.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_the_state_is_read_from_its_file(workspace: Workspace, cli: Cli) -> None:
    """That spares a run of the CLI; a stack that was only made has none."""
    file = write_state(workspace, '{"checkpoint": {"latest": {"resources": [1]}}}')
    assert workspace.deployment() == {"resources": [1]}
    file.write_text('{"checkpoint": {}}')
    assert workspace.deployment() == {}
    assert not any("export" in asked for asked, *_ in cli.calls)


def test_a_state_that_is_no_file_is_asked_for(workspace: Workspace, cli: Cli) -> None:
    """Of another backend, or in a form that the CLI knows better: compressed, say."""
    cli.answer({"stack export": (0, '{"version": 3, "deployment": {"resources": [2]}}', "")})
    assert workspace.exists()
    assert workspace.deployment() == {"resources": [2]}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"checkpoint": 1}'])
def test_a_damaged_state_is_an_error(workspace: Workspace, text: str) -> None:
    """The file is named, and where earlier ones are."""
    file = write_state(workspace, text)
    with pytest.raises(RunbookError, match=f"state of stack dev is damaged: {file}") as refusal:
        workspace.deployment()
    assert "backups" in refusal.value.hint


def test_an_update_may_be_of_some_resources_only(workspace: Workspace, cli: Cli) -> None:
    """Each is said to the CLI; where none is named, all are."""
    workspace.up(lambda _event: None, DeployRequest(), ["**r-1**", "**::live"])
    assert cli.calls[-1][0][3:9] == ["--target", "**r-1**", "--target", "**::live", "--parallel", "1"]
    workspace.up(lambda _event: None, DeployRequest())
    assert "--target" not in cli.calls[-1][0]
    assert "--parallel" not in cli.calls[-1][0]


def test_only_an_interrupted_update_asks_for_a_stop(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in a preview, which holds no lock, is no reason for somebody else's update to give up."""
    asks: dict[str, bool] = {}

    def run_operation(
        command: list[str], _folder: Path, _env: object, _on_event: object, on_stop: object = None
    ) -> None:
        asks[command[2]] = on_stop is not None

    monkeypatch.setattr("runbook.workspace.run_operation", run_operation)
    workspace.up(lambda _event: None, DeployRequest())
    workspace.preview(lambda _event: None)
    workspace.refresh(lambda _event: None)
    workspace.destroy(lambda _event: None)
    assert asks == {"up": True, "preview": False, "refresh": False, "destroy": False}
