import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).resolve().parents[2] / "bin" / ".make_venv.py"
PACKAGE = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"


@pytest.fixture
def make_venv(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, on a Python without ensurepip, as Debian's is."""
    spec = importlib.util.spec_from_file_location("make_venv", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else spec)
    return module


def test_others_than_root_hear_what_to_install(
    make_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to install it, the error names the package that Debian keeps ensurepip in."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(make_venv.Failed, match=f"hint: install it: apt-get install {PACKAGE}"):
        make_venv._see_to_ensurepip(tmp_path / "log")


def test_root_gets_it_installed(
    make_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root with apt, the package is installed."""
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    make_venv._see_to_ensurepip(tmp_path / "log")
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith(f"install -y --no-install-recommends {PACKAGE}")
