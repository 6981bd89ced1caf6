"""The log of a site's servers: entries that no client can forge, and without secrets."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from typing_extensions import override

__all__ = ["LOG_SETTINGS", "Repeats", "SafeFormatter", "without_secrets"]

_HIDDEN = "***"

_QUIET_S = 60.0
"""In which an entry is written once: a database that is away is met every second."""

_REMEMBERED = 1000
"""Entries that are compared with."""

_PARAMETERS = re.compile(
    r"(?i)\b(signature|x-amz-(?:signature|credential|security-token)|(?:access_|id_|hook_)?token"
    r"|awsaccesskeyid|password|passwd|secret(?:_access_key)?|signing_key|api_?key)"
    r"(['\"]?\s*(?:=|%3D|:)\s*['\"]?)[^\s&'\",;)]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[A-Za-z0-9._~+/=-]{8,}")
_WEB_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_PASSWORD = re.compile(r"(://[^\s/:@]*):[^\s/@]+@")


def without_secrets(text: str) -> str:
    """Give a text without what looks like a token, a signature or a password.

    It is the last fence: messages are made without them in the first place.
    """
    text = _PARAMETERS.sub(rf"\1\2{_HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {_HIDDEN}", text)
    text = _WEB_TOKEN.sub(_HIDDEN, text)
    return _PASSWORD.sub(rf"\1:{_HIDDEN}@", text)


def _escaped(line: str) -> str:
    """Write out what could end a line, speak to a terminal or turn the direction of text."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)


class SafeFormatter(logging.Formatter):
    """Writes an entry as one line; what else belongs to it follows in lines that begin with a bar.

    So nothing that a client sends can pass for an entry.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    @override
    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        parts = self.formatMessage(record).split("\n")
        if record.exc_info:
            parts += self.formatException(record.exc_info).split("\n")
        if record.stack_info:
            parts += record.stack_info.split("\n")
        return without_secrets("\n| ".join(map(_escaped, parts)))


class Repeats(logging.Filter):
    """Leaves out entries that were written in the same words a moment ago, and counts them.

    Those with a trace are always written. Safe to use from several threads.

    Parameters
    ----------
    clock
        Gives seconds, which never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._written: dict[tuple[str, int, str], tuple[float, int]] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # The handler tells of it, as of any entry that cannot be written.
            return True
        entry, now = (record.name, record.levelno, message), self._clock()
        with self._lock:
            written, left_out = self._written.get(entry, (now - _QUIET_S, 0))
            if now - written < _QUIET_S:
                self._written[entry] = written, left_out + 1
                return False
            self._written.pop(entry, None)
            self._written[entry] = now, 0
            if len(self._written) > _REMEMBERED:
                del self._written[next(iter(self._written))]
        if left_out:
            record.msg, record.args = f"{message} [{left_out} more since it was written last]", ()
        return True


LOG_SETTINGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"repeats": {"()": "skylane.log.Repeats"}},
    "formatters": {"safe": {"()": "skylane.log.SafeFormatter"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "filters": ["repeats"],
            "formatter": "safe",
            "stream": "ext://sys.stderr",
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
"""For each server process, as `logging.config.dictConfig` takes it."""
