"""A worker process as the server sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence

from vodal.errors import ArchiveError
from vodal.pool import frames
from vodal.pool.kept import KeptByWorker
from vodal.pool.memory import SharedBuffer
from vodal.pool.worker import Reply, Setup

__all__ = ["WorkerProcess"]

_MAIN = (
    "import sys; sys.path[:] = sys.argv[4:]; from vodal.pool.worker import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
)
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
_SINGLE_THREADED = dict.fromkeys(_THREAD_VARIABLES, "1")
"""The processes are the parallelism; thread pools in each would fight for the same cores."""
_ARROW_MEMORY = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Arrow's own allocator takes a gigabyte of addresses at once, which would count as used."""
_SOCKET_BUFFER_BYTES = 1 << 20


class WorkerProcess:
    """One worker: its process and its socket. Belongs to one event loop.

    Parameters
    ----------
    shared
        Descriptors of the pool's shared buffers.
    """

    def __init__(self, shared: Sequence[int] = ()) -> None:
        ours, theirs = socket.socketpair()
        try:
            for sock in (ours, theirs):
                # Best effort: the kernel caps it at net.core.wmem_max.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
            ours.setblocking(False)
            # A fresh interpreter (no fork of a threaded server) that does not run the server's
            # main module again, as multiprocessing's spawn would.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [
                    sys.executable,
                    "-c",
                    _MAIN,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    ",".join(map(str, shared)),
                    *(path for path in sys.path if path),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *shared),
                env={**os.environ, **_SINGLE_THREADED, **_ARROW_MEMORY},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._sock = ours
        self._exchange: asyncio.Task[Reply] | None = None
        self._known = KeptByWorker()
        self.buffer: SharedBuffer | None = None
        """Where the present request's result may be written."""
        self.jobs = 0
        """Requests answered."""
        self.at_bulk = False
        """Whether the present request is bulk work."""
        self.aged = False
        """Whether it had its share of requests, and a replacement is on its way."""
        self.relieved = False
        """Whether its replacement is there, so that it ends after the present request."""

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def fileno(self) -> int:
        """Give the descriptor that becomes readable when an idle worker dies."""
        return self._sock.fileno()

    async def set_up(self, setup: Setup) -> None:
        """Wait until the worker is warm.

        Raises
        ------
        ArchiveError
            If it cannot start; the trace is in the error's cause.
        """
        try:
            reply = await self.ask(frames.pack(setup))
        except (EOFError, OSError):
            raise ArchiveError("a worker process ended while it started") from None
        if reply.error is not None:
            raise reply.error from RuntimeError(reply.trace)

    async def ask(self, request: list[memoryview]) -> Reply:
        """Send a request and wait for its answer.

        Raises
        ------
        EOFError, OSError
            If the worker is dead.
        """
        await frames.send_async(self._sock, request)
        reply = frames.unpack(await frames.receive_async(self._sock))
        if not isinstance(reply, Reply):
            raise EOFError("the worker does not speak our language")  # noqa: TRY004 - as if dead
        self.jobs += 1
        return reply

    def begin(
        self, function: Callable[..., object], args: tuple[object, ...]
    ) -> asyncio.Task[Reply]:
        """Start a call as a task, which ends with the worker.

        Raises
        ------
        pickle.PicklingError, TypeError, AttributeError
            If the arguments cannot be pickled; nothing has been sent then.
        """
        number = None if self.buffer is None else self.buffer.number
        request = frames.pack((function, args, number), self._known)
        self._exchange = asyncio.ensure_future(self.ask(request))
        return self._exchange

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone for certain."""
        return self._process.poll() is not None

    async def end(self, grace_s: float = 0.0) -> None:
        """End the process and reap it.

        Parameters
        ----------
        grace_s
            Seconds to go by itself, as it does when its socket closes, before it is killed.
        """
        if grace_s <= 0.0:
            self._process.kill()
        if self._exchange is not None and not self._exchange.done():
            # The loop must not watch a socket that is closed.
            self._exchange.cancel()
            await asyncio.gather(self._exchange, return_exceptions=True)
        self._sock.close()
        await self._wait(grace_s)
        self._process.kill()
        # A process in an uninterruptible read ends when the read does.
        await self._wait(30.0)

    async def _wait(self, timeout_s: float) -> None:
        pause_s = 0.001
        while self._process.poll() is None and timeout_s > 0.0:
            await asyncio.sleep(pause_s)
            timeout_s -= pause_s
            pause_s = min(2 * pause_s, 0.05)
