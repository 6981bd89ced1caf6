"""A TAP service in a process of its own: ``tap_server.py DATABASE``; says its URL."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from obscore.app import create_app
from obscore.store.sqlite.backend import SqliteBackend
from obscore.tap.settings import TapSettings
from vodal.testing.server import serve

if __name__ == "__main__":
    app = create_app(backend=SqliteBackend(Path(sys.argv[1])), settings=TapSettings())
    with serve(app) as server:
        print(server.url, flush=True)
        time.sleep(600)
