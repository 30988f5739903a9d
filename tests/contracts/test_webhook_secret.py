"""Where a sender's secret comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.webhook_secret import NAME, SecretError, read_webhook_secret


def test_the_variable_comes_first(tmp_path: Path) -> None:
    """A value in the environment needs no file."""
    assert read_webhook_secret({NAME: "s", f"{NAME}_FILE": str(tmp_path / "none")}) == "s"
    assert read_webhook_secret({}) is None


@pytest.mark.parametrize("content", ["s p", "s p\n", "s p\r\n"])
def test_a_files_last_line_end_does_not_count(tmp_path: Path, content: str) -> None:
    """What an editor adds is not part of the secret; spaces are."""
    (tmp_path / "secret").write_bytes(content.encode())
    assert read_webhook_secret({f"{NAME}_FILE": str(tmp_path / "secret")}) == "s p"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfehunter2", "not UTF-8")],
)
def test_an_unusable_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """Empty, not text, or not there: the message says which file and why, and nothing of its content."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretError, match=f"{NAME}_FILE: '{file}' .*{reason}") as refused:
        read_webhook_secret({f"{NAME}_FILE": str(file)})
    assert "hunter2" not in str(refused.value)
    assert "xff" not in str(refused.value)


def test_a_folder_is_no_secret(tmp_path: Path) -> None:
    """A mount that went wrong is often an empty folder."""
    with pytest.raises(SecretError, match="Is a directory"):
        read_webhook_secret({f"{NAME}_FILE": str(tmp_path)})
