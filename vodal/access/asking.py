"""Who asks and with what rights, as it goes along with a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from vodal.access.identity import ANONYMOUS, Identity
from vodal.access.rules import EVERYTHING, Rights
from vodal.errors import SkylaneError

__all__ = ["SCOPE_KEY", "Asking", "asking_of"]

SCOPE_KEY: Final = "skylane.asking"
"""Under which it is in the scope of a connection (ASGI)."""


@dataclass(slots=True)
class Asking:
    """Who sends a request, and what the answer depends on."""

    identity: Identity = ANONYMOUS
    rights: Rights = EVERYTHING
    public: Rights = EVERYTHING
    """Of who is not known."""
    fault: SkylaneError | None = None
    """Why it could not be established who asks; the service that is asked tells it."""
    security_methods: tuple[str, ...] = ()
    """How one can be known here, for capabilities."""
    signed: bool = False
    """Whether a signed URL tells who asks."""
    for_all: bool = False
    """Whether the answer is the same for everybody, so that it may be kept for others; set by who
    answers."""


def asking_of(request: HTTPConnection) -> Asking:
    """Tell who sends a request; nobody in particular, who may see everything, without rules."""
    found = request.scope.get(SCOPE_KEY)
    return found if isinstance(found, Asking) else Asking()
