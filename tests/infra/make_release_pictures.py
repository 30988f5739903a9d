"""Makes `docs/images/release-*.png`: `python tests/infra/make_release_pictures.py`, where Chromium is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from release_page_browser import Browser  # noqa: E402
from release_page_kit import passed, refused  # noqa: E402

from infra.release_page import render  # noqa: E402

if __name__ == "__main__":
    images = ROOT / "docs/images"
    images.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, write, height in (("passed", passed, 1742), ("refused", refused, 1668)):
            page = render(write(Path(folder) / name))
            picture = images / f"release-{name}.png"
            Browser(Path(folder)).screenshot(page.as_uri(), picture, 1200, height)
