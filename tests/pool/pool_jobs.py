"""Work for the pool's tests, in a module that workers can import."""

import ctypes
import os
import pickle
import signal
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from vodal.errors import MultiValuedParamNotSupported, QueryError, ServiceUnavailable
from vodal.pool.kept import Kept, new_number
from vodal.pool.worker import result_memory

started = []


def warm_up():
    started.append(os.getpid())


def refuse_to_start():
    raise RuntimeError("no")


def is_warm():
    return started == [os.getpid()]


def pid():
    return os.getpid()


def add(a, b):
    return a + b


def nap(seconds):
    time.sleep(seconds)
    return os.getpid()


def hold(gate, begun=None):
    """Work until a file is there; tell first, by another, that it has begun."""
    if begun is not None:
        part = begun.with_suffix(".part")
        part.write_text(str(os.getpid()))
        part.rename(begun)
    while not gate.exists():
        time.sleep(0.01)
    return os.getpid()


def modules():
    return sorted(sys.modules)


def die_once(path):
    """Die on the first call; later calls live."""
    if path.exists():
        return os.getpid()
    path.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def segfault():
    ctypes.string_at(0)


def fail(kind):
    errors = {
        "query": QueryError("no such column", 3, 7),
        "multi": MultiValuedParamNotSupported("CIRCLE may be given only once"),
        "later": ServiceUnavailable("not now", 42),
        "foreign": KeyError("a secret path"),
    }
    raise errors[kind]


def unpicklable():
    return lambda: None


def big(count):
    return pickle.PickleBuffer(bytearray(np.arange(count, dtype=np.uint8).tobytes()))


def size(array):
    return array.nbytes, float(array[-1])


def hog(megabytes):
    return len(np.ones(megabytes << 20, np.uint8))


@dataclass(frozen=True)
class Large(Kept):
    """Something that a worker keeps."""

    name: str
    filling: bytes
    number: int = field(default_factory=new_number, init=False)

    @property
    def kept_number(self):
        return self.number


@dataclass(frozen=True)
class Unreadable(Kept):
    """Something that no worker can read."""

    number: int = field(default_factory=new_number, init=False)

    @property
    def kept_number(self):
        return self.number

    def __reduce__(self):
        return os.listdir, ("/there/is/no/such",)


seen = {}


def look(large):
    """Tell the worker, the name, and whether it is the very object of the last time."""
    again = seen.get(large.number) is large
    seen[large.number] = large
    return os.getpid(), large.name, again


def write_shared(value, length, when=None):
    """Write bytes to the request's memory, when there is a file, if one is named."""
    memory, part = result_memory(length)
    while when is not None and not when.exists():
        time.sleep(0.01)
    memory[:] = bytes([value]) * length
    return pickle.PickleBuffer(memory) if part is None else part


def write_and_die(path):
    memory, _ = result_memory(10)
    memory[:] = b"x" * 10
    die_once(path)
