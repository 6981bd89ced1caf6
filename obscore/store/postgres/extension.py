"""pg_sphere in a database: its types and operators must be there before the tables."""

from __future__ import annotations

import logging
import re

import psycopg

from obscore.store.postgres.pool import Address, Connection
from vodal.errors import ArchiveError

__all__ = ["ensure_sphere", "repaired_script"]

_LOG = logging.getLogger(__name__)

_OBSOLETE = re.compile(
    r"CREATE OPERATOR @ \((?=[^)]*PROCEDURE\s*=\s*(?:healpix|spoint)_subset_smoc)[^)]*\);"
)
"""Two operators of pg_sphere before 1.5.0 whose commutator belongs to others.

PostgreSQL 15.9 and later refuses that ("commutator operator @> is already the commutator of
operator <@"), so that ``CREATE EXTENSION`` fails. Nothing uses them.
"""


def repaired_script(text: str) -> str:
    """Give pg_sphere's installation script so that it runs by itself, without those operators."""
    text = _OBSOLETE.sub("", text).replace("MODULE_PATHNAME", "$libdir/pg_sphere")
    return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))


def ensure_sphere(connection: Connection, address: Address) -> None:
    """Install pg_sphere where it is not there yet.

    Parameters
    ----------
    connection
        In a transaction, which stays usable.
    address
        For the error.

    Raises
    ------
    ArchiveError
        If it cannot be installed; says what an administrator does.
    """
    if _is_there(connection):
        return
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION pg_sphere SCHEMA public")
    except psycopg.errors.InsufficientPrivilege:
        raise ArchiveError(
            f"{address} has no pg_sphere; let an administrator run in this database:"
            " CREATE EXTENSION pg_sphere SCHEMA public;"
        ) from None
    except (psycopg.errors.UndefinedFile, psycopg.errors.FeatureNotSupported):
        raise ArchiveError(
            f"{address}: pg_sphere is not installed on the server; install its package"
            " (Debian: postgresql-<version>-pgsphere)"
        ) from None
    except psycopg.Error as error:
        if "commutator" not in str(error):
            raise
        _install_repaired(connection, address)


def _is_there(connection: Connection) -> bool:
    row = connection.execute("SELECT count(*) > 0 FROM pg_type WHERE typname = 'scircle'")
    return row.fetchone() == (True,)


def _install_repaired(connection: Connection, address: Address) -> None:
    """Run the script of a pg_sphere that this PostgreSQL refuses as an extension."""
    try:
        with connection.transaction():
            row = connection.execute(
                "SELECT pg_read_file(setting || '/extension/pg_sphere--'"
                " || (SELECT default_version FROM pg_available_extensions"
                " WHERE name = 'pg_sphere') || '.sql')"
                " FROM pg_config WHERE name = 'SHAREDIR'"
            ).fetchone()
            assert row is not None
            connection.execute("SET LOCAL search_path = public")
            connection.execute(repaired_script(str(row[0])).encode())
    except psycopg.Error as error:
        raise ArchiveError(
            f"{address}: the server's pg_sphere is too old for its PostgreSQL, which refuses two"
            " obsolete operators of it; docs/howto/postgresql.md tells how to repair its script"
        ) from error
    _LOG.warning(
        "%s: installed pg_sphere by its repaired script, not as an extension, since this"
        " PostgreSQL refuses two obsolete operators of it",
        address,
    )
