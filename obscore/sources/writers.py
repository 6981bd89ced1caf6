"""Whether a process has a file open for writing, as the kernel knows."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal

__all__ = ["is_being_written"]


def is_being_written(path: str) -> bool | None:
    """Tell whether any process of this machine has a file open for writing.

    A read lease (fcntl(2), F_SETLEASE) is refused while that is so. It takes the file's owner, or
    CAP_LEASE, and a local file system.

    Parameters
    ----------
    path
        Of a file.

    Returns
    -------
    bool or None
        None if that cannot be known.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Who opens the file in the moment of the lease has this process told by a signal. That of
        # the default would end it; this one does nothing.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(fd)
    return False
