"""Warm worker processes for work that must not run in a server's own process.

- `frames`   messages over a socket, large buffers uncopied
- `kept`     arguments that a worker keeps
- `memory`   memory that server and workers share, for large results
- `worker`   the main loop of a worker process; imports nothing of the server
- `lanes`    who waits for a worker
- `process`  a worker as the server sees it
- `crew`     all workers of a pool, and the replacement of those that die or are old
- `warm`     `WarmPool`: queue, deadlines, requests whose worker is lost
- `metrics`  what is told of a pool to Prometheus
"""

from __future__ import annotations

from vodal.pool.warm import PoolStats, WarmPool

__all__ = ["PoolStats", "WarmPool"]
