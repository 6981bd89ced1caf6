"""The settings of a site: ``skylane.toml`` in its folder, overridden by ``SKYLANE_...``.

Each package declares its own settings; they are composed here. A nested key is given in the
environment with two underscores: ``SKYLANE_SODA__WORKERS=4``. An unknown key is refused with its
full path, wherever it comes from.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from datalink.settings import DatalinkSettings
from hips.settings import HipsSettings
from obscore.settings import ObsCoreSettings
from obscore.store.settings import StoreSettings
from obscore.tap.settings import TapSettings
from skylane.portal.settings import PortalSettings
from skylane.registry.settings import RegistrySettings
from soda.settings import SodaSettings
from vodal.errors import SettingsError
from vodal.settings import Settings
from vodal.storage import StorageSettings
from vodal.uws.settings import JobSettings
from vodal.web.auth.settings import AccessSettings
from vodal.web.encoding import CompressionMode

__all__ = ["PREFIX", "SETTINGS_FILE", "ServerSettings", "SiteSettings", "load_settings"]

SETTINGS_FILE = "skylane.toml"
PREFIX = "SKYLANE_"

_NOT_SETTINGS = {"SKYLANE_SITE", "SKYLANE_METRICS", "SKYLANE_TEST_DATA"}
"""Names with the prefix that are no settings: the site's folder, where its server processes find
each other, the tests' real files."""


Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.*:\[\]-]+$")]
"""Scheme, host and port."""


class ServerSettings(Settings):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to listen on; ``0.0.0.0`` for all."""
    port: int = 8080
    """Port to listen on; 0 takes a free one."""
    workers: int = 1
    """Server processes. Each has its own cutout workers."""
    stall_limit_s: float = Field(default=60.0, gt=0.0, le=86_400.0)
    """Seconds that a client may accept nothing at all of an answer; then the connection is dropped,
    with what waits for it. Slow clients that take a little now and then are served. On Linux."""
    request_limit_s: float = Field(default=30.0, gt=0.0, le=3600.0)
    """Seconds in which a client must send the head of a request once it can, and again its body;
    then the connection is ended (status 408). How long the answer takes does not count."""
    body_bytes_per_s: float = Field(default=500.0, ge=1.0)
    """For each so many bytes of a body there is a second more, so that slow lines may upload."""
    max_head_bytes: int = Field(default=65_536, ge=4096, le=16 * 1024 * 1024)
    """Of a request's URL and headers together (status 431)."""
    max_connections: int = Field(default=10_000, ge=10)
    """Connections that a server process has at a time, and half of the files that it may have open
    at most (``ulimit -Hn``). Beyond that, the one that waits longest for its client to send a
    request is ended for a new one."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses and networks of the proxies in front, whose X-Forwarded-For and X-Forwarded-Proto
    are believed: they tell whose request it is. ``*`` believes everyone."""
    public_url: str | None = None
    """Where clients see the site (``https://archive.example.org/sky``), without a trailing slash.
    By default taken from each request."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that a request's Host header may have, without ports; ``*.example.org`` for all below
    one. Others get status 400. By default any: what it says is repeated in links, where
    ``public_url`` is not set."""
    framed_by: tuple[Origin, ...] = ()
    """Origins (``https://portal.example.org``) whose pages may show pages of the site in frames;
    the site itself always may."""
    script_hosts: tuple[Origin, ...] = ()
    """Origins of which pages of HiPS may load scripts, beside the site itself and the one of
    ``hips.aladin_lite_url``: for the ``index.html`` of HiPS that were made elsewhere."""
    hsts_s: int = Field(default=0, ge=0)
    """Seconds for which browsers that came by HTTPS shall come by nothing else
    (Strict-Transport-Security); 0 says nothing of it. 31536000 is a year."""
    compression: CompressionMode = "always"
    """Who gets texts and tables compressed, of those who say that they take them so: ``always``
    all, ``remote`` all but clients on the server's own machine, ``never`` none, where a proxy in
    front compresses."""


class SiteSettings(Settings):
    """Everything that can be set."""

    server: ServerSettings = ServerSettings()
    access: AccessSettings = AccessSettings()
    store: StoreSettings = StoreSettings()
    obscore: ObsCoreSettings = ObsCoreSettings()
    tap: TapSettings = TapSettings()
    jobs: JobSettings = JobSettings()
    datalink: DatalinkSettings = DatalinkSettings()
    soda: SodaSettings = SodaSettings()
    storage: StorageSettings = StorageSettings()
    hips: HipsSettings = HipsSettings()
    portal: PortalSettings = PortalSettings()
    registry: RegistrySettings = RegistrySettings()


def load_settings(site: Path, environ: Mapping[str, str] | None = None) -> SiteSettings:
    """Read the settings of the site in a folder.

    Parameters
    ----------
    site
        The site's folder; without a ``skylane.toml`` in it the defaults serve.
    environ
        The environment; that of the process by default.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a key is unknown or its value wrong; names the key.
    """
    path = site / SETTINGS_FILE
    values: dict[str, Any] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from None
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            _put(values, name.removeprefix(PREFIX).lower().split("__"), _read_value(text), name)
    try:
        return SiteSettings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, path)) from None


def _read_value(text: str) -> Any:
    """Read a value of the environment as TOML would; what is no TOML is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise SettingsError(f"{name}: '{key}' is no section")
        values = inner
    values[keys[-1]] = value


def _explain(error: ValidationError, path: Path) -> str:
    """Say for each fault which key it is and what is accepted."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        reason = "unknown key" if fault["type"] == "extra_forbidden" else fault["msg"]
        lines.append(f"{key}: {reason}")
    return f"{path.name}: " + "; ".join(lines)
