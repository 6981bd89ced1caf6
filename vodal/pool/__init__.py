"""Warm worker processes for work that must not run in a server's own process.

- `frames`   messages over a socket, large buffers uncopied
- `kept`     arguments that a worker keeps
- `memory`   memory that server and workers share, for large results
- `worker`   the main loop of a worker process; imports nothing of the server
- `lanes`    who waits for a worker
- `process`  a worker as the server sees it
- `warm`     `WarmPool`: queue, deadlines, replacement of workers that die
"""

from __future__ import annotations

from vodal.pool.warm import PoolStats, WarmPool

__all__ = ["PoolStats", "WarmPool"]
