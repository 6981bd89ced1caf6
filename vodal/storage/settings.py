"""Settings of storage: what is read from other servers, and how patiently."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vodal.settings import Settings

__all__ = ["S3Settings", "StorageSettings"]


class S3Settings(Settings):
    """Buckets of S3, or of a store that speaks as S3 does; needs the extra ``skylane[s3]``."""

    buckets: tuple[str, ...] = ()
    """Names of the buckets that are read. A product in any other is refused."""
    endpoint: str = ""
    """URL of the store (``https://s3.example.org``); by default Amazon's."""
    region: str = "us-east-1"
    """Region that requests are signed for."""
    anonymous: bool = False
    """Whether requests go without a signature, as public buckets allow."""
    access_key_id: str = Field(default="", repr=False)
    """Key; by default AWS_ACCESS_KEY_ID of the environment or the role of the machine serves."""
    secret_access_key: str = Field(default="", repr=False)
    """Secret of the key. SKYLANE_STORAGE__S3__SECRET_ACCESS_KEY keeps it out of files."""
    session_token: str = Field(default="", repr=False)
    """Token of keys that are lent for a time."""
    virtual_hosted: bool = False
    """Whether the bucket's name goes into the host name instead of the path."""

    @model_validator(mode="after")
    def _complete(self) -> S3Settings:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key are given both or not at all")
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("endpoint is a URL that begins with https:// or http://")
        return self


class StorageSettings(Settings):
    """Files on other servers. Those on local and mounted disks need no settings."""

    http_hosts: tuple[str, ...] = ()
    """Hosts from which files are read by http and https: a name, ``*.`` before it for all below,
    ``:port`` after it for another port than the scheme's own. Redirects are followed among them
    only. None by default, so that no catalogue can make the server ask others."""
    timeout_s: float = Field(default=10.0, gt=0.0)
    """Seconds without a byte after which a server is taken for silent and asked again."""
    deadline_s: float = Field(default=30.0, gt=0.0)
    """Seconds that a read may take with all its tries; then the client is told to come back (503).
    Should be below the deadline of cutouts."""
    attempts: int = Field(default=4, ge=1, le=20)
    """Times that a server is asked which does not answer, drops the connection or says 429 or
    5xx; the pauses between double."""
    parallel: int = Field(default=32, ge=1, le=64)
    """Requests of one read that are under way at once, each on a connection that is kept."""
    several_ranges: bool = True
    """Whether HTTP servers are asked for several ranges of bytes in one request where that reads
    less. One that does not answer as the standard says is asked for single ranges from then on."""
    s3: S3Settings = S3Settings()

    @field_validator("http_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"(\*\.)?[A-Za-z0-9._-]+(:\d{1,5})?", host):
                raise ValueError(f"'{host}' is no host; write archive.example.org or host:8443")
        return hosts

    def with_place(self, uri: str) -> StorageSettings:
        """Give settings that also let one file be read, whose URI the operator gives himself."""
        parts = urlsplit(uri)
        if parts.scheme in {"http", "https"} and parts.hostname:
            try:
                port = f":{parts.port}" if parts.port else ""
            except ValueError:
                return self
            hosts = (*self.http_hosts, f"{parts.hostname}{port}")
            return self.model_copy(update={"http_hosts": hosts})
        if parts.scheme == "s3" and parts.netloc:
            buckets = (*self.s3.buckets, parts.netloc)
            return self.model_copy(update={"s3": self.s3.model_copy(update={"buckets": buckets})})
        return self
