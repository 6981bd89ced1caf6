"""A private PostgreSQL cluster with pg_sphere, for tests and measurements."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cluster", "cluster", "find_programs", "sphere_script"]

_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = {shared_buffers}
max_connections = 200
log_min_messages = fatal
"""
"""Nothing of a test cluster has to survive, so that it may forget what a crash would need."""

_TEMPLATE = "sphere"


def find_programs() -> Path | None:
    """Give the folder of PostgreSQL's server programs, newest first; None if not installed."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(path.parents[1].name),
    )
    return found[-1].parent if found else None


def sphere_script() -> str:
    """Give pg_sphere's own SQL script, ready to be run without ``CREATE EXTENSION``.

    pg_sphere 1.1.1 declares two obsolete operators ``@`` whose commutator belongs to others;
    PostgreSQL 15.9 and later refuse that. They are left out.
    """
    programs = find_programs()
    assert programs is not None
    folder = Path("/usr/share/postgresql") / programs.parent.name / "extension"
    scripts = [p for p in folder.glob("pg_sphere--*.sql") if p.stem.count("--") == 1]
    text = max(scripts, key=lambda path: path.stem).read_text("utf-8")
    text = re.sub(
        r"CREATE OPERATOR @ \((?=[^)]*PROCEDURE\s*=\s*(?:healpix|spoint)_subset_smoc)[^)]*\);",
        "",
        text,
    )
    text = text.replace("MODULE_PATHNAME", "$libdir/pg_sphere")
    return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))


def _owner() -> pwd.struct_passwd | None:
    """Give the user that runs the server where we are root, which PostgreSQL refuses."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def _run(program: Path, *arguments: str) -> None:
    owner = _owner()
    # What it prints goes to a file: a server that it starts would keep a pipe open.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(  # noqa: S603 - our own programs
            [program, *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            check=False, cwd="/",
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )  # fmt: skip
        if done.returncode:
            output.seek(0)
            raise RuntimeError(f"{program.name}: {output.read().strip()}")


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster; everyone on this machine may be its superuser ``postgres``."""

    programs: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Give the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server; `start` starts it again on the same port.

        Parameters
        ----------
        crash
            Whether it stops without finishing; what was written last may then be lost.
        """
        self._control("-m", "immediate" if crash else "fast", "stop")

    def start(self) -> None:
        """Start the server after `stop`."""
        self._control("-l", str(self.folder / "log"), "start")

    def _control(self, *arguments: str) -> None:
        _run(self.programs / "pg_ctl", "-D", str(self.folder / "data"), "-w", *arguments)

    def psql(self, database: str, sql: str) -> str:
        """Run SQL, stopping at the first error; gives what it prints, unaligned.

        Raises
        ------
        RuntimeError
            With PostgreSQL's message, if it fails.
        """
        done = subprocess.run(  # noqa: S603 - our own programs
            [shutil.which("psql") or self.programs / "psql", "-X", "-q", "-At", "-v",
             "ON_ERROR_STOP=1", "-d", self.url(database), "-f", "-"],
            input=sql, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def create(self, database: str) -> str:
        """Make a database that has pg_sphere; gives its URL."""
        self.psql("postgres", f'CREATE DATABASE "{database}" TEMPLATE {_TEMPLATE}')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.psql("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def cluster(shared_buffers: str = "64MB") -> Iterator[Cluster]:
    """Start a cluster on a free port of 127.0.0.1 and remove it at the end.

    PostgreSQL refuses to run as root; root runs it as the user ``postgres`` of its package.

    Parameters
    ----------
    shared_buffers
        PostgreSQL's setting.

    Raises
    ------
    RuntimeError
        If PostgreSQL is not installed or does not start.
    """
    programs = find_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL's server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="skylane-pg-"))
    data = folder / "data"
    try:
        owner = _owner()
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        _run(programs / "initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        port = _free_port()
        with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(
                _SETTINGS.format(port=port, folder=folder, shared_buffers=shared_buffers)
            )
        made = Cluster(programs, folder, port)
        made.start()
        try:
            made.psql("postgres", f"CREATE DATABASE {_TEMPLATE}")
            made.psql(_TEMPLATE, sphere_script())
            yield made
        finally:
            made.stop(crash=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
