"""Servers of files to cut from: nginx by HTTP, and moto, which speaks as S3 does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server import free_port, wait_for

__all__ = ["Place", "moto", "nginx"]

_KEYS = {"access_key_id": "bench", "secret_access_key": "bench"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are served."""

    name: str
    uris: dict[str, str]
    """By kind."""
    settings: dict[str, object]
    """Of storage, by which they are read."""
    log: Path | None = None
    """A line a request, with the bytes of its body."""


@contextmanager
def nginx(paths: Mapping[str, Path], folder: Path) -> Iterator[Place]:
    """Serve files by nginx, which must be installed."""
    folder, port = folder.resolve(), free_port()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    for path in paths.values():
        os.link(path, folder / "files" / path.name)
    log = folder / "access.log"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    spare = " ".join(f"{kind}_temp_path {folder}/spare;" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"""{"user root;" if os.geteuid() == 0 else ""}
daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format short '$body_bytes_sent'; access_log {log} short; {spare}
  sendfile on; tcp_nopush on; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}"""
    )
    process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    host = f"127.0.0.1:{port}"
    try:
        first = next(iter(paths.values())).name
        wait_for(f"http://{host}/{first}", process)
        uris = {kind: f"http://{host}/{path.name}" for kind, path in paths.items()}
        yield Place("nginx", uris, {"http_hosts": [host]}, log)
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def moto(paths: Mapping[str, Path]) -> Iterator[Place]:
    """Serve files as objects of S3, by moto (``pip install 'moto[s3,server]'``)."""
    import boto3  # noqa: PLC0415 - needed for this alone

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{endpoint}/moto-api/", process)
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1",
            aws_access_key_id="bench", aws_secret_access_key="bench",
        )  # fmt: skip
        client.create_bucket(Bucket="bench")
        for path in paths.values():
            client.upload_file(str(path), "bench", path.name)
        uris = {kind: f"s3://bench/{path.name}" for kind, path in paths.items()}
        yield Place("S3", uris, {"s3": {"buckets": ["bench"], "endpoint": endpoint, **_KEYS}})
    finally:
        process.terminate()
        process.wait(20)
