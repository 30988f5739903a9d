from pathlib import Path

import pytest

from runbook.errors import RunbookError
from runbook.toolchain.long_command import run


def test_a_sign_of_life_is_given_while_it_works(tmp_path: Path) -> None:
    """The operator hears what is done at the start, and again and again until it ends."""
    said: list[str] = []
    heard = tmp_path / "heard"

    def hear(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            heard.touch()

    until_heard = ["timeout", "60", "sh", "-c", 'until [ -e "$0" ]; do sleep 0.02; done', str(heard)]
    run("thinking", until_heard, tmp_path / "log", hear, each_s=0.1)
    assert said[0] == "thinking"
    assert len(said) >= 3


def test_output_goes_to_the_log_only(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the command says is kept, and not shown."""
    run("work", ["sh", "-c", "echo out; echo err >&2"], tmp_path / "new" / "log", lambda _line: None)
    assert (tmp_path / "new" / "log").read_text() == "out\nerr\n"
    assert capfd.readouterr() == ("", "")


def test_a_failure_quotes_the_last_lines(tmp_path: Path) -> None:
    """The end of the output, where the reason is, stands in the error; the file in the hint."""
    script = "for i in $(seq 50); do echo line $i; done; exit 3"
    with pytest.raises(RunbookError, match="line 50") as error:
        run("work", ["sh", "-c", script], tmp_path / "log", lambda _line: None)
    assert "work failed (exit 3)" in error.value.message
    assert "line 30\n" not in error.value.message
    assert str(tmp_path / "log") in error.value.hint


def test_the_environment_is_the_one_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, unless another is."""
    monkeypatch.setenv("OURS", "ours")
    for env, seen in ((None, "ours"), ({"GIVEN": "given"}, "given")):
        run("work", ["sh", "-c", 'echo "$OURS$GIVEN"'], tmp_path / "log", lambda _line: None, env=env)
        assert (tmp_path / "log").read_text() == f"{seen}\n"
