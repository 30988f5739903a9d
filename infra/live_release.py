"""Which release's workers take live messages: one key in Redis, beside the messages themselves."""

from __future__ import annotations

from infra.containers import Inside
from infra.errors import Refused

_KEY = "{wa}:live"
_SET = 'REDISCLI_AUTH="$(cat /conf/password)" redis-cli set "$1" "$2"'


class LiveRelease:
    """The key, reached through the Redis container: Redis publishes no port."""

    def __init__(self, redis_container: str) -> None:
        self._inside = Inside(redis_container)

    def set(self, release: str) -> None:
        """From now on the workers of *release*, and no others, take live messages.

        Raises:
            Refused: Redis did not take it.
        """
        code, output = self._inside.run(["sh", "-c", _SET, "sh", _KEY, release])
        if code != 0 or output.strip() != "OK":
            raise Refused(f"Redis did not take the live release {release}: {output.strip()}")
