"""An OpenID provider for tests: keys, tokens signed without the library that reads them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from typing_extensions import override

__all__ = ["Issuer", "SigningKey", "issuer"]

_PKCS1 = padding.PKCS1v15()


def b64(data: bytes) -> str:
    """Write bytes in base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class SigningKey:
    """A private key: of RSA for RS256, of P-256 for ES256."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid, self.algorithm = kid, algorithm
        self._rsa = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else None
        self._ec = None if self._rsa else ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> dict[str, str]:
        """The public part as JWK (RFC 7518 section 6)."""
        about = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self._rsa is not None:
            numbers = self._rsa.public_key().public_numbers()
            return {**about, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        assert self._ec is not None
        point = self._ec.public_key().public_numbers()
        x, y = (b64(value.to_bytes(32, "big")) for value in (point.x, point.y))
        return {**about, "kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, message: bytes) -> bytes:
        """Sign as JWS wants it (RFC 7518 sections 3.3 and 3.4)."""
        if self._rsa is not None:
            return self._rsa.sign(message, _PKCS1, hashes.SHA256())
        assert self._ec is not None
        r, s = decode_dss_signature(self._ec.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Make a JWT; header parameters that are None are left out."""
        full = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **header}
        shown = {key: value for key, value in full.items() if value is not None}
        text = ".".join(b64(json.dumps(part).encode()) for part in (shown, claims))
        return f"{text}.{b64(self.sign(text.encode()))}"


class Issuer:
    """A provider that shows its keys over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = SigningKey("first")
        self.keys = [self.key]
        self.asked: list[str] = []
        """Paths of requests, in their order."""

    def claims(self, *groups: str, name: str = "ada", **others: Any) -> dict[str, Any]:
        """Give the claims of a token that is taken; those that are None are left out."""
        now = int(time.time())
        full = {
            "iss": self.url, "aud": "skylane", "sub": name, "iat": now, "exp": now + 600,
            "groups": list(groups), **others,
        }  # fmt: skip
        return {key: value for key, value in full.items() if value is not None}

    def token(self, *groups: str, name: str = "ada", **others: Any) -> str:
        """Make a token of a member of groups."""
        return self.key.token(self.claims(*groups, name=name, **others))


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run a provider on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            match self.path:
                case "/.well-known/openid-configuration":
                    told: Any = {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"}
                case "/keys":
                    told = {"keys": [key.public for key in provider.keys]}
                case _:
                    self.send_error(404)
                    return
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
