"""An object store that speaks as S3 does, by moto, on a free port."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["KEYS", "bucket_of", "serve_s3"]

KEYS: Final = {"access_key_id": "testing", "secret_access_key": "secret/+="}
"""As the settings of S3 take them."""


@contextmanager
def serve_s3() -> Iterator[str]:
    """Serve an object store; gives its endpoint."""
    # Of the tests' own packages, not of the core.
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@contextmanager
def bucket_of(endpoint: str, name: str) -> Iterator[Any]:
    """Make a bucket, and remove it with all that is in it; gives boto3's client."""
    import boto3  # noqa: PLC0415

    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
    )  # fmt: skip
    client.create_bucket(Bucket=name)
    try:
        yield client
    finally:
        for item in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=item["Key"])
        client.delete_bucket(Bucket=name)
        client.close()
