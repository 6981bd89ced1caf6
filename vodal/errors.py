"""The tree of errors; each class knows its DALI label and its HTTP status.

Three branches: the user's fault (`UsageError`), the archive's fault (`ArchiveError`) and
"try again" (`ServiceUnavailable`). Errors are raised with one sentence that a user can act on and
are translated to a document once, at the edge of each service. All of them survive pickling,
since some cross a process boundary.

Labels are those of SODA 1.0 section 5.3 and DALI 1.1 section 4.2.
"""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

__all__ = [
    "ArchiveError",
    "AuthenticationError",
    "AuthorizationError",
    "BlankError",
    "ChangedError",
    "DataError",
    "DeadlineError",
    "MediaTypeError",
    "MultiValuedParamNotSupported",
    "NotFoundError",
    "QueryError",
    "ReplacedError",
    "ServiceUnavailable",
    "SettingsError",
    "SkylaneError",
    "TooLargeError",
    "UsageError",
]


class SkylaneError(Exception):
    """Root of every error that the suite raises on purpose.

    Parameters
    ----------
    message
        One sentence for the user, without trailing newline.
    """

    label: ClassVar[str] = "Error"
    """Word that starts a DALI or SODA text/plain error."""
    status: ClassVar[int] = 500
    """HTTP status code."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UsageError(SkylaneError):
    """The request is wrong; sending it again unchanged cannot help."""

    label = "UsageError"
    status = 400


class MultiValuedParamNotSupported(UsageError):  # noqa: N818 - the standard's own label
    """A parameter was given more often than the service takes it (SODA 1.0 section 3.2)."""

    label = "MultiValuedParamNotSupported"


class NotFoundError(UsageError):
    """What the request names does not exist here."""

    status = 404


class GoneError(NotFoundError):
    """What the request names was here, and was taken away for good."""

    status = 410


class TooLargeError(UsageError):
    """The request or its answer is over a limit; the message names the limit."""

    status = 413


class MediaTypeError(UsageError):
    """The body of a request is in a form that is not read; the message names those that are."""

    status = 415


class QueryError(UsageError):
    """A query in ADQL is wrong.

    Parameters
    ----------
    message
        What was found and what was expected, without the place.
    line, column
        Where in the query's text, both 1-based; 0 where the place is not known.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column

    @override
    def __reduce__(self) -> tuple[type[QueryError], tuple[str, int, int]]:
        return type(self), (self.message, self.line, self.column)

    @override
    def __str__(self) -> str:
        if self.line:
            return f"line {self.line}, column {self.column}: {self.message}"
        return self.message


class AuthenticationError(SkylaneError):
    """Who is asking could not be established."""

    label = "AuthenticationError"
    status = 401


class AuthorizationError(SkylaneError):
    """Who is asking may not have this."""

    label = "AuthorizationError"
    status = 403


class ServiceUnavailable(SkylaneError):  # noqa: N818 - the standard's own label
    """Not now; the same request may succeed later.

    Parameters
    ----------
    message
        One sentence for the user.
    retry_after_s
        Seconds after which to try again, sent as ``Retry-After``.
    """

    label = "ServiceUnavailable"
    status = 503

    def __init__(self, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @override
    def __reduce__(self) -> tuple[type[ServiceUnavailable], tuple[str, int]]:
        return type(self), (self.message, self.retry_after_s)


class DeadlineError(ServiceUnavailable):
    """The work took longer than its deadline and was stopped."""


class ReplacedError(ServiceUnavailable):
    """A table of a query was replaced by another while the query was on its way."""


class UnfinishedError(ServiceUnavailable):
    """A file is being written, or was a moment ago, so that it may not be whole."""


class ArchiveError(SkylaneError):
    """The archive is at fault, not the user."""


class DataError(ArchiveError):
    """A file is not what it should be: truncated, not FITS, corrupt, changed under its index."""


class BlankError(DataError):
    """An image of which no pixel has a value."""


class ChangedError(DataError):
    """A file is not the one, or not the version of it, that was to be read."""


class SettingsError(SkylaneError):
    """A setting is unknown or wrong; the message names its full key path."""
