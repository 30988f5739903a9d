"""How much memory the shared containers have (MiB): their limits, which the alert rules go by, too."""

REDIS_MEMORY_MB = 384
"""A rewrite of the append-only file forks: leave it room beside maxmemory."""

PROXY_MEMORY_MB = 192
