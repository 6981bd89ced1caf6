"""The main loop of a worker process.

Started as a fresh interpreter that imports this module and what it is told to preload, never the
server's own main module. It serves one request at a time and ends when its socket closes or its
parent dies.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vodal.errors import ArchiveError, ServiceUnavailable, SkylaneError, TooLargeError
from vodal.parent import end_with_parent
from vodal.pool import frames
from vodal.pool.kept import KeptByWorker
from vodal.pool.memory import SharedPart, WorkerMemory

__all__ = ["Reply", "Setup", "main", "result_memory"]

_memory = WorkerMemory()
"""Of this process; without buffers in one that is no worker."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is told before its first request."""

    preload: tuple[str, ...]
    """Names of modules."""
    initializer: Callable[[], object] | None
    memory_limit_bytes: int | None
    """Of writable memory, libraries included; None for no limit."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker answers."""

    value: Any = None
    error: SkylaneError | None = None
    trace: str = ""
    """Of an error that nobody foresaw, for the log."""
    worn: bool = False
    """Whether the worker should be replaced, as its memory ran out."""


def _set_up(setup: Setup) -> None:
    for name in setup.preload:
        importlib.import_module(name)
    if setup.initializer is not None:
        setup.initializer()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if setup.memory_limit_bytes is not None:
        # RLIMIT_DATA counts private writable memory, so that mapped libraries and files are free.
        limit = setup.memory_limit_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    # What is loaded stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()


def _answer(parts: list[bytearray], known: KeptByWorker, memory_limit_bytes: int | None) -> Reply:
    try:
        function, args, number = frames.unpack(parts, known)
        _memory.begin(number)
    except Exception as error:  # noqa: BLE001 - what is kept may not be what the server believes
        kind = type(error).__name__
        return Reply(
            error=ArchiveError(f"the request failed inside the service ({kind})"),
            trace=traceback.format_exc(),
            worn=True,
        )
    try:
        return Reply(value=function(*args))
    except SkylaneError as error:
        return Reply(error=error.with_traceback(None))
    except MemoryError:
        limit = f"{(memory_limit_bytes or 0) / 1e6:.0f} MB"
        return Reply(
            error=TooLargeError(f"the request needs more memory than the {limit} it may use"),
            worn=True,
        )
    except Exception as error:  # noqa: BLE001 - the worker must go on, and says what happened
        kind = type(error).__name__
        return Reply(
            error=ArchiveError(f"the request failed inside the service ({kind})"),
            trace=traceback.format_exc(),
        )


def _pack(reply: Reply) -> list[memoryview]:
    try:
        return frames.pack(reply)
    except MemoryError:
        return frames.pack(Reply(error=ServiceUnavailable("out of memory"), worn=True))
    except Exception:  # noqa: BLE001 - a value or error that does not pickle is a fault of ours
        error = ArchiveError("the request failed inside the service (its result cannot be sent)")
        return frames.pack(Reply(error=error, trace=traceback.format_exc()))


def result_memory(length: int) -> tuple[memoryview, SharedPart | None]:
    """Give memory for the present request's result; see `WorkerMemory.allocate`."""
    return _memory.allocate(length)


def main(fd: int, parent_pid: int, shared: str = "") -> None:
    """Serve requests from the socket ``fd`` until it closes.

    Parameters
    ----------
    fd
        A connected stream socket that this process has inherited.
    parent_pid
        Process that must live.
    shared
        Descriptors of the shared buffers, which it has inherited too, with commas.
    """
    global _memory  # noqa: PLW0603 - a process has one
    _memory = WorkerMemory(tuple(int(item) for item in shared.split(",") if item))
    known = KeptByWorker()
    # Ctrl-C on a terminal goes to the whole group; it is the server's to act on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent_pid)
    with socket.socket(fileno=fd) as sock:
        try:
            setup = frames.unpack(frames.receive(sock))
            assert isinstance(setup, Setup)
        except EOFError:
            return
        except Exception:  # noqa: BLE001
            frames.send(sock, _pack(Reply(trace=traceback.format_exc(), error=_not_started())))
            return
        try:
            _set_up(setup)
        except Exception:  # noqa: BLE001 - the server decides whether to try again
            frames.send(sock, _pack(Reply(trace=traceback.format_exc(), error=_not_started())))
            return
        try:
            frames.send(sock, _pack(Reply(value=os.getpid())))
            while True:
                reply = _answer(frames.receive(sock), known, setup.memory_limit_bytes)
                frames.send(sock, _pack(reply))
                del reply
        except (EOFError, ConnectionError):
            return


def _not_started() -> ArchiveError:
    return ArchiveError("a worker process could not start")
