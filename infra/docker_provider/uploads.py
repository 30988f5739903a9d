"""Files that go into a container before it starts."""

from __future__ import annotations

import base64
import io
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.docker_provider.failures import ProviderError

_PLAIN = 0o644
_EXECUTABLE = 0o744
SOURCES = ("content", "contentBase64", "source")


def archive(uploads: Sequence[dict[str, Any]]) -> bytes:
    """The *uploads* as a tar archive to be unpacked at `/`.

    Raises:
        ProviderError: a source file cannot be read.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for upload in uploads:
            content = _content(upload)
            entry = tarfile.TarInfo(upload["file"])
            entry.size, entry.mode, entry.mtime = len(content), _mode(upload), int(time.time())
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _content(upload: dict[str, Any]) -> bytes:
    if upload.get("contentBase64"):
        return base64.b64decode(upload["contentBase64"])
    if upload.get("source"):
        try:
            return Path(upload["source"]).read_bytes()
        except OSError as error:
            reason = f"upload {upload['file']}: {upload['source']} cannot be read: {error.strerror}"
            raise ProviderError(reason) from None
    return str(upload["content"]).encode()


def _mode(upload: dict[str, Any]) -> int:
    if upload.get("permissions"):
        return int(upload["permissions"], 8)
    return _EXECUTABLE if upload.get("executable") else _PLAIN
