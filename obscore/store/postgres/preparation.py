"""A database made ready: pg_sphere, layout, TAP_SCHEMA, functions, the role of users' queries.

Any number of processes may do it at once; they take turns, and those that find all in order take
no lock.
"""

from __future__ import annotations

from typing import cast

import psycopg
import sqlalchemy
from psycopg import sql
from sqlalchemy import NullPool, create_engine

from obscore.adql.postgres.install import FUNCTIONS_SCHEMA, functions_digest, functions_sql
from obscore.store.postgres import tables
from obscore.store.postgres.extension import ensure_sphere
from obscore.store.postgres.layout import find_revision, newest_revision, upgrade
from obscore.store.postgres.pool import Address, Connection, connect, translated
from obscore.store.postgres.publication import stale_tap_schema, update_tap_schema
from obscore.store.schema import published_name
from vodal.errors import ArchiveError

__all__ = ["SQL_TAKE_TURN", "check_layout", "prepare"]

SQL_TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended('skylane.prepare', 0))"
"""One at a time in a database: stores in several schemas share the functions."""


def check_layout(connection: Connection, address: Address) -> None:
    """See that a store has the layout that this program needs.

    Raises
    ------
    ArchiveError
        If there is none, or another.
    """
    revision = find_revision(connection, address.schema)
    if revision is None:
        raise ArchiveError(
            f"{address} holds no store in the schema {address.schema}; ingest something first"
        )
    if revision != newest_revision():
        raise ArchiveError(
            f"{address} has layout {revision} and this program needs layout {newest_revision()};"
            " run 'skylane store upgrade'"
        )


def prepare(address: Address, query_role: str | None) -> None:
    """Make a store where there is none, and bring all but its rows up to date.

    Parameters
    ----------
    address
        Of the store; as a role that may create in it.
    query_role
        Role that may only read what is published; made if it is not there. None for none.

    Raises
    ------
    ArchiveError
        If something is missing that only an administrator can do; says what that is.
    ServiceUnavailable
        If the server does not answer.
    """

    def make() -> Connection:
        made = connect(address, name="skylane prepare")
        # SQLAlchemy, and alembic with it, begin and end transactions by the driver's means.
        made.autocommit = False
        return made

    engine = create_engine("postgresql+psycopg://", creator=make, poolclass=NullPool)
    with translated(address):
        try:
            with engine.begin() as wrapped:
                connection = cast("Connection", wrapped.connection.driver_connection)
                if _in_order(connection, address, query_role):
                    return
            with engine.begin() as wrapped:
                _put_in_order(wrapped, address, query_role)
        except sqlalchemy.exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.Error):
                raise error.orig from error
            raise


def _in_order(connection: Connection, address: Address, query_role: str | None) -> bool:
    """Tell whether there is nothing to do."""
    return (
        find_revision(connection, address.schema) == newest_revision()
        and not stale_tap_schema(connection)
        and _has_functions(connection)
        and (query_role is None or _may_query(connection, address, query_role))
    )


def _put_in_order(wrapped: sqlalchemy.Connection, address: Address, query_role: str | None) -> None:
    connection = cast("Connection", wrapped.connection.driver_connection)
    connection.execute(SQL_TAKE_TURN)
    _check_encoding(connection, address)
    ensure_sphere(connection, address)
    _make_schema(connection, address)
    if find_revision(connection, address.schema) != newest_revision():
        upgrade(wrapped, address.schema)
    update_tap_schema(connection)
    if not _has_functions(connection):
        _install_functions(connection, address)
    if query_role is not None and not _may_query(connection, address, query_role):
        _grant(connection, address, query_role)


def _check_encoding(connection: Connection, address: Address) -> None:
    row = connection.execute("SHOW server_encoding").fetchone()
    if row != ("UTF8",):
        encoding = None if row is None else row[0]
        raise ArchiveError(
            f"{address} has the encoding {encoding}; a store needs one made with"
            " CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _make_schema(connection: Connection, address: Address) -> None:
    there = connection.execute(
        "SELECT count(*) FROM pg_namespace WHERE nspname = %s", (address.schema,)
    ).fetchone()
    if there == (1,):
        return
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(address.schema)))
    except psycopg.errors.InsufficientPrivilege:
        raise _may_not_create(connection, address, f"the schema {address.schema}") from None


def _has_functions(connection: Connection) -> bool:
    """Tell whether the functions that translated queries call are those of this program."""
    found = connection.execute(
        "SELECT obj_description(to_regnamespace(%s), 'pg_namespace')", (FUNCTIONS_SCHEMA,)
    ).fetchone()
    return found == (functions_digest(),)


def _install_functions(connection: Connection, address: Address) -> None:
    try:
        with connection.transaction():
            connection.execute(functions_sql().encode())
    except psycopg.errors.InsufficientPrivilege:
        raise _may_not_create(connection, address, f"the schema {FUNCTIONS_SCHEMA}") from None


def _may_not_create(connection: Connection, address: Address, what: str) -> ArchiveError:
    database = sql.Identifier(connection.info.dbname).as_string()
    return ArchiveError(
        f"{address}: {_user(connection)} may not make {what}; let an administrator run:"
        f" GRANT CREATE ON DATABASE {database} TO {_user(connection)};"
    )


def _user(connection: Connection) -> str:
    """Give the role that is logged in, as SQL writes it."""
    return sql.Identifier(connection.info.user).as_string()


# The role of users' queries -----------------------------------------------------------------------


def _may_query(connection: Connection, address: Address, role: str) -> bool:
    """Tell whether a role may read all that is published, and can be taken on."""
    row = connection.execute(
        """
        SELECT bool_and(has_table_privilege(r.oid, c.oid, 'SELECT'))
           AND bool_and(has_schema_privilege(r.oid, c.relnamespace, 'USAGE'))
           AND bool_and(has_schema_privilege(r.oid, to_regnamespace(%s), 'USAGE'))
           AND bool_and(pg_has_role(r.oid, 'MEMBER') OR r.rolcanlogin)
        FROM pg_roles r, pg_class c
        WHERE r.rolname = %s AND c.relnamespace = to_regnamespace(quote_ident(%s))
          AND c.relname = ANY(%s)
        """,
        (FUNCTIONS_SCHEMA, role, address.schema, _readable(connection)),
    ).fetchone()
    return row == (True,)


def _readable(connection: Connection) -> list[str]:
    """Give the names of all tables that users' queries read."""
    rows = connection.execute("SELECT number FROM published_tables").fetchall()
    return [*tables.PUBLISHED_TABLES, *(published_name(int(str(row[0]))) for row in rows)]


def _grant(connection: Connection, address: Address, role: str) -> None:
    """Let a role read what is published and nothing else, making it if it is not there."""
    named = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(address.schema),
        "tables": sql.SQL(", ").join(map(sql.Identifier, _readable(connection))),
        "functions": sql.Identifier(FUNCTIONS_SCHEMA),
        "user": sql.Identifier(connection.info.user),
    }
    found = connection.execute(
        "SELECT rolcanlogin OR pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = %s", (role,)
    ).fetchone()
    by_administrator = [] if found else [sql.SQL("CREATE ROLE {role} NOLOGIN").format(**named)]
    if found != (True,):
        by_administrator.append(sql.SQL("GRANT {role} TO {user}").format(**named))
    by_owner = [
        sql.SQL("GRANT USAGE ON SCHEMA {schema}, {functions} TO {role}").format(**named),
        sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}").format(**named),
        sql.SQL("GRANT SELECT ON {tables} TO {role}").format(**named),
    ]
    try:
        with connection.transaction():
            for step in by_administrator:
                connection.execute(step)
    except psycopg.errors.InsufficientPrivilege:
        statements = " ".join(f"{step.as_string(connection)};" for step in by_administrator)
        raise ArchiveError(
            f"{address} has no role {role} for users' queries that {_user(connection)} may take on;"
            f" let an administrator run: {statements}"
        ) from None
    for step in by_owner:
        connection.execute(step)
