"""A folder served by nginx, as archives do, on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["has_nginx", "serve_nginx"]

_START_LIMIT_S = 20.0


def has_nginx() -> bool:
    """Tell whether it is installed."""
    return shutil.which("nginx") is not None


@contextmanager
def serve_nginx(folder: Path, scratch: Path, options: str = "") -> Iterator[tuple[str, Path]]:
    """Serve and list a folder; gives host and port, and a log of status and size of each answer.

    Parameters
    ----------
    folder
        Whose files are served.
    scratch
        An empty folder for what the server keeps.
    options
        More of its configuration, within ``http``.

    Raises
    ------
    TimeoutError
        If the server does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "\n  ".join(f"{kind}_temp_path {scratch}/t;" for kind in kinds)
    (scratch / "nginx.conf").write_text(
        f"""{user} daemon off; pid {scratch}/pid; error_log {scratch}/error.log;
events {{}}
http {{
  log_format short '$status $body_bytes_sent';
  access_log {scratch}/access.log short;
  {places}
  {options}
  server {{ listen 127.0.0.1:{port}; root {folder}; autoindex on; }}
}}""",
        "utf-8",
    )
    program = shutil.which("nginx") or "nginx"
    process = subprocess.Popen(  # noqa: S603 - a known program
        [program, "-p", scratch, "-c", scratch / "nginx.conf"]
    )
    try:
        _wait_for(port)
        yield f"127.0.0.1:{port}", scratch / "access.log"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_LIMIT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise TimeoutError("nginx did not start") from None
            time.sleep(0.05)
        else:
            return
