"""What a process tells of the memory of the container that it runs in."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
from prometheus_client import CollectorRegistry

from infra.base_images import Mode, Role, ensure, resolve
from service.telemetry import container_memory
from service.telemetry.container_memory import ContainerMemory

V1 = {
    "memory/memory.usage_in_bytes": "3000",
    "memory/memory.limit_in_bytes": "8000",
    "memory/memory.stat": "cache 5\ninactive_file 1\ntotal_inactive_file 1000\n",
}
V2 = {"memory.current": "3000\n", "memory.max": "8000\n", "memory.stat": "anon 5\ninactive_file 1000\n"}


def told(folder: Path) -> dict[str, float]:
    """What a scrape finds, with the cgroup's files in *folder*."""
    registry = CollectorRegistry()
    registry.register(ContainerMemory(folder))
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_page_cache(tmp_path: Path, files: dict[str, str]) -> None:
    """What is used does not count the page cache."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert told(tmp_path) == {"container_memory_used_bytes": 2000, "container_memory_limit_bytes": 8000}


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096)])
def test_no_limit(tmp_path: Path, limit: str) -> None:
    """Without a limit nothing is told."""
    for name, text in (V2 | {"memory.max": limit}).items():
        (tmp_path / name).write_text(text)
    assert told(tmp_path) == {}


def test_no_cgroup(tmp_path: Path) -> None:
    """Without a cgroup nothing is told."""
    assert told(tmp_path) == {}


@pytest.mark.integration
def test_real_container() -> None:
    """In a real container it is the limit that the container was given."""
    image = resolve(Role.PYTHON, Mode.AUTO)
    ensure(image, print)
    code = Path(container_memory.__file__).read_text(encoding="utf-8").partition("from prometheus_client")[0]
    classes = "class Collector: pass\nclass GaugeMetricFamily: pass\n"
    rest = Path(container_memory.__file__).read_text(encoding="utf-8").partition("import Collector\n")[2]
    look = "\nprint(*(ContainerMemory()._read(*_V2) or ContainerMemory()._read(*_V1)))"
    said = docker.from_env().containers.run(
        image.name, ["python3", "-c", code + classes + rest + look], mem_limit="96m", remove=True
    )
    used, limit = map(int, said.split())
    assert limit == 96 * 1024 * 1024
    assert 0 < used < limit
