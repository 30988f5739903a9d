"""The tree is the architecture: who may import whom."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "contracts": set(),
    "service": set(),
    "sandbox": set(),
    "smoke": {"contracts"},
    "loadtests": {"contracts"},
    "benchmarks": {"contracts"},
    "infra": {"contracts", "service"},
    "runbook": {"contracts", "infra", "service"},
}
MODULES = [file for package in MAY_IMPORT for file in sorted((ROOT / package).rglob("*.py"))]


def imports_of(file: Path) -> set[str]:
    """The modules named by the import statements of *file*."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_in_the_right_direction(file: Path) -> None:
    """A package imports only those that the architecture lets it."""
    package = file.relative_to(ROOT).parts[0]
    ours = {name.partition(".")[0] for name in imports_of(file)} & MAY_IMPORT.keys()
    assert ours - {package} <= MAY_IMPORT[package]


def test_infra_reads_only_the_names_of_the_service_settings() -> None:
    """The one thing that infra and runbook take from the service is what its environment is called."""
    files = [*(ROOT / "infra").rglob("*.py"), *(ROOT / "runbook").rglob("*.py")]
    taken = {name for file in files for name in imports_of(file) if name.startswith("service")}
    assert taken == {"service.settings"}


@pytest.mark.parametrize("folder", ["infra", "loadtests"])
def test_no_module_hides_a_standard_one(folder: str) -> None:
    """Pulumi and Locust put these folders first on the path: a `queue.py` there would hide the library."""
    names = {file.stem for file in (ROOT / folder).glob("*.py")} - {"__init__", "__main__"}
    assert not names & sys.stdlib_module_names
