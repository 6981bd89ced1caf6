"""The log of a site's servers: entries that no client can forge, and without secrets."""

from __future__ import annotations

import logging
import re
from typing import Any

from typing_extensions import override

__all__ = ["LOG_SETTINGS", "SafeFormatter", "without_secrets"]

_HIDDEN = "***"

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


LOG_SETTINGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"safe": {"()": "skylane.log.SafeFormatter"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "safe",
            "stream": "ext://sys.stderr",
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
"""For each server process, as `logging.config.dictConfig` takes it."""
