"""``skylane serve``: all services of a site on one port."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from urllib.parse import quote

import uvicorn
from rich.console import Console
from uvicorn.supervisors import Multiprocess

from skylane.columns import declare_columns
from skylane.folder import SiteFolder
from skylane.listening import connection_limits, guarded, listen
from skylane.log import LOG_SETTINGS
from skylane.servers import METRICS_VARIABLE
from skylane.settings import SiteSettings, load_settings
from skylane.site import SITE_VARIABLE
from vodal.errors import ServiceUnavailable, SettingsError

__all__ = ["serve"]

_HUNG_S = 30
"""A server process, of several, that gives no sign of life for so long is replaced; not sooner, as
it may be starting on a busy machine. Meanwhile the first process heeds no signal."""


def serve(
    console: Console,
    site_path: Path,
    host: str | None,
    port: int | None,
    workers: int | None,
    *,
    examples: bool = False,
) -> None:
    """Serve a site until it is told to stop."""
    settings = load_settings(site_path)
    site = SiteFolder(site_path)
    backend = site.prepare(settings.store)
    try:
        declare_columns(console, backend, settings.obscore)
    except (SettingsError, ServiceUnavailable) as error:
        # Queries that other servers run are no reason not to serve.
        words = "the columns of ivoa.obscore stay as they are"
        console.print(f"  note: {words}: {error.message}", style="yellow", markup=False)
    host = host or settings.server.host
    port = settings.server.port if port is None else port
    listener = listen(host, port, settings.server.stall_limit_s)
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only compared
    url = settings.server.public_url or f"http://{shown}:{listener.getsockname()[1]}"
    count = workers or settings.server.workers
    _announce(console, url, settings, site_path, examples=examples)
    os.environ[SITE_VARIABLE] = str(site_path.resolve())
    limits = connection_limits(settings.server)
    config = uvicorn.Config(
        "skylane.site:create_app_from_environment",
        factory=True,
        workers=count,
        log_config=LOG_SETTINGS,
        log_level="warning",
        access_log=False,
        ws="none",
        http=guarded(limits),
        # The app does it, by server.trusted_proxies.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=_HUNG_S,
    )
    try:
        if count > 1:
            with TemporaryDirectory(prefix="skylane-") as folder:
                os.environ[METRICS_VARIABLE] = folder
                Multiprocess(config, [listener]).run()
        else:
            _run(uvicorn.Server(config), listener)
    finally:
        listener.close()


def _run(server: uvicorn.Server, listener: socket) -> None:
    """Serve by this process alone; the log says why a start failed."""
    with suppress(SystemExit):
        server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(1)


def _announce(
    console: Console, url: str, settings: SiteSettings, site_path: Path, *, examples: bool
) -> None:
    console.print(f"\n{settings.portal.title} is at {url}/\n", style="bold")
    for path, what in (
        ("/", "the sky, search, links, cutouts"),
        ("/tap", "ObsTAP, for pyvo, TOPCAT, Firefly"),
        ("/datalink/links", "what belongs to an image"),
        ("/soda/sync", "cutouts"),
        ("/hips/list", "HiPS, for Aladin and Firefly"),
    ):
        console.print(f"  {url + path:<40} {what}")
    if examples:
        # Commands are not wrapped, so that they can be copied.
        console.print(_examples(url, site_path, settings), soft_wrap=True)
    console.print("\nStop with Ctrl-C.")


def _examples(url: str, site_path: Path, settings: SiteSettings) -> str:
    """Give three commands that work on what the site holds."""
    catalogue = SiteFolder(site_path).backend(settings.store).catalogue()
    try:
        product = next(iter(catalogue.products()), None)
    finally:
        catalogue.close()
    if product is None:
        return "\nThe catalogue is empty: skylane ingest FOLDER"
    did = quote(product.did, safe="")
    circle = f"{product.obscore['s_ra']:.5f} {product.obscore['s_dec']:.5f} 0.01"
    return f"""
Try:

  curl -s {url}/tap/sync -d LANG=ADQL -d RESPONSEFORMAT=csv \\
       -d QUERY="SELECT TOP 5 obs_id, filter, s_ra, s_dec FROM ivoa.obscore"

  curl -s "{url}/datalink/links?ID={did}"

  curl -s -G "{url}/soda/sync?ID={did}" --data-urlencode CIRCLE="{circle}" -o cutout.fits"""  # noqa: S608 - printed, never run
