"""What of a stack's layout is known before Pulumi runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.base_images import Mode
from infra.stack_settings import StackSettings
from runbook.errors import RunbookError
from runbook.layout import layout_of


def written(folder: Path, layout: object) -> Path:
    """A folder in which stack dev-2 has *layout*."""
    (folder / "Pulumi.dev-2.yaml").write_text(yaml.safe_dump({"config": {"runbook:layout": layout}}))
    return folder


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (None, StackSettings()),
        ({}, StackSettings()),
        ({"port": 80}, StackSettings(port=80)),
        ({"images": "official"}, StackSettings(images=Mode.OFFICIAL)),
        ({"images": "debian", "sandbox": True}, StackSettings(images=Mode.DEBIAN, sandbox=True)),
    ],
)
def test_the_layout_is_the_files(
    tmp_path: Path, layout: dict[str, Any] | None, expected: StackSettings
) -> None:
    """With the defaults for what it does not say."""
    assert layout_of("dev-2", written(tmp_path, layout)) == expected


def test_a_stack_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    """It is made with its first `up`."""
    assert layout_of("dev-2", tmp_path) == StackSettings()


@pytest.mark.parametrize("wrong", ["Official", "", 1, True, None, ["debian"]])
def test_a_wrong_value_is_an_error(tmp_path: Path, wrong: object) -> None:
    """It quotes the key and the value, names those that are right, and how one is set."""
    with pytest.raises(RunbookError) as refusal:
        layout_of("dev-2", written(tmp_path, {"images": wrong, "port": 80}))
    assert "layout.images: Input should be 'auto', 'official' or 'debian'" in refusal.value.message
    assert f"got {wrong!r}" in refusal.value.message
    assert "runbook:layout.KEY VALUE --stack dev-2" in refusal.value.hint


@pytest.mark.parametrize("layout", ["debian", ["images"], 7])
def test_a_layout_that_is_no_map_is_an_error(tmp_path: Path, layout: object) -> None:
    """Not a traceback: the program says the same of it later."""
    with pytest.raises(RunbookError, match=r"layout: .*, got "):
        layout_of("dev-2", written(tmp_path, layout))


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("::1", "http://[::1]:8080"),
        ("::", "http://[::1]:8080"),
        ("2001:DB8::0:7", "http://[2001:db8::7]:8080"),
    ],
)
def test_the_url_is_where_the_frontend_is_bound(bind: str, url: str) -> None:
    """Every address of every interface is reached at the loopback one."""
    assert StackSettings(bind=bind).url == url
    assert str(httpx.URL(url)) == url


@pytest.mark.parametrize("wrong", ["", "localhost", "127.0.0.1:80", "[::1]", "fe80::1%eth0", "1.2.3"])
def test_what_is_no_address_is_refused(tmp_path: Path, wrong: str) -> None:
    """Before anything is deployed there."""
    with pytest.raises(RunbookError, match=r"layout\.bind: Value error, should be an address") as refusal:
        layout_of("dev-2", written(tmp_path, {"bind": wrong}))
    assert f"got {wrong!r}" in refusal.value.message
