"""Messages between server and worker: a pickle and its large buffers, each sent as it is.

A message is the number of its parts, the length of each (8 bytes little-endian) and the parts. The
first part is the pickle, the others the buffers that it refers to (pickle protocol 5), so that an
array or a `pickle.PickleBuffer` of 100 MB is neither copied into the pickle nor out of it.

Both ends are the same installation of the same code on one machine, so that pickles are safe.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

from vodal.pool.kept import KeptByWorker, dumps, loads

__all__ = ["pack", "receive", "receive_async", "send", "send_async", "unpack"]

_COUNT = struct.Struct("<Q")
_MAX_PARTS = 1 << 16
_JOINED_BYTES = 1 << 16
"""Parts up to this size are sent together in one system call."""
_CHUNK_BYTES = 1 << 20
"""The event loop sees to others after each of these."""

Parts = list[memoryview]


def pack(value: object, known: KeptByWorker | None = None) -> Parts:
    """Turn a value into the parts of a message.

    Parameters
    ----------
    value
        What is sent.
    known
        What the worker that it is for has already; brought up to date.

    Raises
    ------
    pickle.PicklingError, TypeError, AttributeError
        If it cannot be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    body: bytes | memoryview
    if known is None:
        body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    else:
        body = dumps(value, buffers.append, known)
    parts = [memoryview(body), *(buffer.raw() for buffer in buffers)]
    head = struct.pack(f"<{len(parts) + 1}Q", len(parts), *(len(part) for part in parts))
    return _join_small([memoryview(head), *parts])


def _join_small(parts: Sequence[memoryview]) -> Parts:
    """Join runs of small parts."""
    joined: Parts = []
    run: list[memoryview] = []
    for part in parts:
        if len(part) <= _JOINED_BYTES:
            run.append(part)
            continue
        if run:
            joined.append(memoryview(b"".join(run)))
            run = []
        joined.append(part)
    if run:
        joined.append(memoryview(b"".join(run)))
    return joined


def unpack(parts: Sequence[bytearray], known: KeptByWorker | None = None) -> Any:
    """Turn received parts into the value. Writable buffers come back as bytearrays."""
    if known is not None:
        return loads(parts[0], parts[1:], known)
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - our own worker or server


def send(sock: socket.socket, parts: Parts) -> None:
    """Send a message; blocks."""
    for part in parts:
        sock.sendall(part)


def _receive_exactly(sock: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = sock.recv_into(view)
        if count == 0:
            raise EOFError
        view = view[count:]
    return data


def _lengths(head: bytearray, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", head)


def _count(head: bytearray) -> int:
    (count,) = _COUNT.unpack(head)
    if not 1 <= count <= _MAX_PARTS:
        raise EOFError(f"a message of {count} parts is none of ours")
    return int(count)


def receive(sock: socket.socket) -> list[bytearray]:
    """Receive the parts of a message; blocks.

    Raises
    ------
    EOFError
        If the other end is gone.
    """
    count = _count(_receive_exactly(sock, _COUNT.size))
    lengths = _lengths(_receive_exactly(sock, count * _COUNT.size), count)
    return [_receive_exactly(sock, length) for length in lengths]


async def send_async(sock: socket.socket, parts: Parts) -> None:
    """Send a message on a non-blocking socket."""
    loop = asyncio.get_running_loop()
    for part in parts:
        await loop.sock_sendall(sock, part)


async def receive_async(sock: socket.socket) -> list[bytearray]:
    """Receive the parts of a message on a non-blocking socket on which no other follows yet.

    Raises
    ------
    EOFError
        If the other end is gone.
    """
    loop = asyncio.get_running_loop()
    # Most messages are short and come whole.
    start = bytearray()
    needed = _COUNT.size
    lengths: tuple[int, ...] = ()
    while len(start) < needed or not lengths:
        data = await loop.sock_recv(sock, _JOINED_BYTES)
        if not data:
            raise EOFError
        start += data
        if len(start) >= _COUNT.size:
            count = _count(start[: _COUNT.size])
            needed = (1 + count) * _COUNT.size
            if len(start) >= needed:
                lengths = _lengths(start[_COUNT.size : needed], count)
    parts, at = [], needed
    for length in lengths:
        if at + length <= len(start):
            parts.append(start[at : at + length])
        else:
            part = bytearray(length)
            here = start[at : at + length]
            part[: len(here)] = here
            await _fill_async(sock, memoryview(part)[len(here) :])
            parts.append(part)
        at += length
    return parts


async def _fill_async(sock: socket.socket, view: memoryview) -> None:
    loop = asyncio.get_running_loop()
    since_yield = 0
    while view:
        count = await loop.sock_recv_into(sock, view)
        if count == 0:
            raise EOFError
        view = view[count:]
        since_yield += count
        if since_yield >= _CHUNK_BYTES:
            # A sock_recv_into that finds data does not give way to other tasks by itself.
            since_yield = 0
            await asyncio.sleep(0)
