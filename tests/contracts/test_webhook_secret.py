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


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", None])
def test_an_unusable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Empty, not text, or not there: the message says which file."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretError, match=str(file)):
        read_webhook_secret({f"{NAME}_FILE": str(file)})
