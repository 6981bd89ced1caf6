"""What answers say to browsers so that no page can be made to do harm, and which hosts we are.

Documents that people look at may load nothing and run no scripts, but for the pages that need
to; nothing is taken for another type than it has; addresses, which may be signed, are told to no
other site (W3C Content Security Policy 3, Fetch, Referrer Policy; RFC 6797).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vodal.errors import UsageError
from vodal.web.responses import text_error

__all__ = ["PagePolicy", "Protection"]

_STRICT: Mapping[str, str] = {
    "default-src": "'none'",
    "style-src": "'unsafe-inline'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'self'",
}
"""Of documents without a policy of their own."""

_DOCUMENTS = (b"text/html", b"application/xhtml+xml", b"text/xml", b"application/xml",
              b"application/x-votable+xml", b"image/svg+xml", b"application/pdf")  # fmt: skip


@dataclass(frozen=True)
class PagePolicy:
    """What documents may load and do."""

    directives: Mapping[str, str] = field(default_factory=lambda: _STRICT)
    """Of a Content-Security-Policy."""

    def text(self, framed_by: Sequence[str]) -> str:
        """Write the header's value.

        Parameters
        ----------
        framed_by
            Origins whose pages may show the document in a frame, beside the site's own.
        """
        ancestors = " ".join(["'self'", *framed_by])
        whole = {**self.directives, "frame-ancestors": ancestors}
        return "; ".join(f"{name} {value}" for name, value in whole.items())


class Protection:
    """Wraps an app: puts the headers on each answer, and refuses hosts that it is not (ASGI).

    A header that an answer has already stays as it is.

    Parameters
    ----------
    app
        What is wrapped.
    pages
        Policies of pages that need more, by the beginning of their paths, the first that fits; a
        path that ends with ``/`` stands for all below it, any other for itself.
    framed_by
        Origins whose pages may show documents in frames.
    hsts_s
        Seconds for which browsers are to come by HTTPS alone; 0 says nothing.
    hosts
        Names that a Host header may have, without ports; ``*.`` before one stands for all below
        it. Empty: any.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Mapping[str, PagePolicy] | None = None,
        framed_by: Sequence[str] = (),
        hsts_s: int = 0,
        hosts: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._strict = PagePolicy().text(framed_by).encode("latin-1")
        self._pages = [
            (path, policy.text(framed_by).encode("latin-1"))
            for path, policy in (pages or {}).items()
        ]
        self._always = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]
        self._hsts = (b"strict-transport-security", b"max-age=%d" % hsts_s) if hsts_s else None
        self._hosts = tuple(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._describe(message, scope)
            await send(message)

        if fault := self._fault(Headers(scope=scope).getlist("host"), scope):
            await text_error(UsageError(fault))(scope, receive, send_on)
            return
        await self._app(scope, receive, send_on)

    def _fault(self, named: Sequence[str], scope: Scope) -> str:
        """Say what is wrong with the hosts that a request names; nothing, if it is in order."""
        if len(named) > 1 or (not named and scope.get("http_version") == "1.1"):
            # A proxy may have gone by another of them (RFC 9112 section 3.2).
            return "a request has one Host header"
        if self._hosts and not self._is_ours("".join(named)):
            return "the Host header names a host that this site is not"
        return ""

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        end = name.rfind(":")
        if end > name.rfind("]"):
            name = name[:end]
        name = name.rstrip(".")
        return any(
            name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in self._hosts
        )

    def _describe(self, message: Message, scope: Scope) -> None:
        headers = list(message.get("headers", ()))
        known = dict(headers)
        wanted = [*self._always]
        if self._hsts is not None and scope.get("scheme") == "https":
            wanted.append(self._hsts)
        if known.get(b"content-type", b"").startswith(_DOCUMENTS):
            wanted.append((b"content-security-policy", self._policy(scope)))
        headers += [pair for pair in wanted if pair[0] not in known]
        message["headers"] = headers

    def _policy(self, scope: Scope) -> bytes:
        root = str(scope.get("app_root_path", scope.get("root_path", "")))
        path = "/" + str(scope["path"]).removeprefix(root).lstrip("/")
        for start, policy in self._pages:
            if path == start or (start.endswith("/") and len(start) > 1 and path.startswith(start)):
                return policy
        return self._strict
