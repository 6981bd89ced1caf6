"""A database made ready: layout, pg_sphere, schema, roles, by one or several processes."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.schema import CreateIndex, CreateTable

from obscore.adql.postgres.shapes import EVERYWHERE
from obscore.store.postgres import tables
from obscore.store.postgres.extension import repaired_script
from obscore.store.postgres.layout import find_revision, newest_revision
from obscore.store.postgres.pool import Address, connect
from obscore.store.postgres.preparation import check_layout, prepare
from obscore.store.postgres.store import PostgresStore
from obscore.testing import make_catalogue
from vodal.errors import ArchiveError

_NUMBERS = itertools.count(1)


def run(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def role(postgres_cluster):
    """Give a role that may log in and nothing else."""
    name = f"app{next(_NUMBERS)}"
    postgres_cluster.psql("postgres", f"CREATE ROLE {name} LOGIN")
    return name


def catalog(url: str, schema: str) -> list[tuple]:
    """Describe the tables of a schema: columns, constraints, indexes."""
    described = run(
        url,
        f"""
        SELECT 'column', table_name, column_name, ordinal_position::text, udt_name, is_nullable,
               collation_name, column_default
        FROM information_schema.columns WHERE table_schema = '{schema}'
        UNION ALL
        SELECT 'index', tablename, indexname, indexdef, NULL, NULL, NULL, NULL
        FROM pg_indexes WHERE schemaname = '{schema}'
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid),
               NULL, NULL, NULL, NULL
        FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace
        ORDER BY 1, 2, 3
        """,
    )
    return [
        tuple(None if part is None else part.replace(f"{schema}.", "") for part in row)
        for row in described
        if "alembic_version" not in row[1]
    ]


def test_the_revisions_make_the_tables_that_are_declared(postgres_url):
    prepare(Address(postgres_url), None)
    run(postgres_url, "CREATE SCHEMA declared")
    with psycopg.connect(postgres_url, options="-c search_path=declared,public") as connection:
        for table in tables.METADATA.sorted_tables:
            connection.execute(tables.sql(CreateTable(table)))
            for index in table.indexes:
                connection.execute(tables.sql(CreateIndex(index)))
    made, declared = catalog(postgres_url, "skylane"), catalog(postgres_url, "declared")
    assert made == declared
    assert len(made) > 100


def test_several_may_prepare_at_once(postgres_url):
    address = Address(postgres_url)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: prepare(address, "skylane_query"), range(6)))
    connection = connect(address)
    assert find_revision(connection, "skylane") == newest_revision()
    check_layout(connection, address)
    connection.close()


def test_preparing_again_takes_no_lock_and_changes_nothing(postgres_url):
    address = Address(postgres_url)
    prepare(address, "skylane_query")
    with psycopg.connect(postgres_url) as other:
        # As a writer does, and as another one that prepares.
        other.execute("LOCK TABLE skylane.obscore IN ROW EXCLUSIVE MODE")
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('skylane.prepare', 0))")
        prepare(address, "skylane_query")


def test_a_preparation_that_fails_leaves_nothing(postgres_url, monkeypatch):
    address = Address(postgres_url)
    row = dict.fromkeys(tables.METADATA.tables["tap_schema_keys"].columns.keys())
    monkeypatch.setattr(
        "obscore.store.postgres.publication.tap_schema_rows",
        lambda _: {tables.METADATA.tables["tap_schema_keys"]: [row]},
    )
    with pytest.raises(ArchiveError, match="violates not-null"):
        prepare(address, None)
    assert run(postgres_url, "SELECT to_regnamespace('skylane') IS NULL") == [(True,)]
    monkeypatch.undo()
    prepare(address, None)


def test_stores_in_two_schemas_of_a_database_know_nothing_of_each_other(postgres_url):
    one, other = Address(postgres_url), Address(postgres_url, "Second site")
    for address, count in ((one, 3), (other, 5)):
        prepare(address, "skylane_query")
        store = PostgresStore(address)
        store.write(list(make_catalogue(count)))
        assert len(store.known_files()) == count
        store.close()


def test_tap_schema_is_brought_up_to_date(postgres_url):
    address = Address(postgres_url)
    prepare(address, None)
    run(postgres_url, "DELETE FROM skylane.tap_schema_columns WHERE column_name = 's_ra'")
    run(postgres_url, "INSERT INTO skylane.tap_schema_schemas VALUES ('old', NULL, NULL, 9)")
    prepare(address, None)
    assert run(
        postgres_url,
        "SELECT count(*) FROM skylane.tap_schema_columns WHERE column_name = 's_ra'",
    ) == [(1,)]
    assert run(
        postgres_url, "SELECT count(*) FROM skylane.tap_schema_schemas WHERE schema_name = 'old'"
    ) == [(0,)]


def test_functions_of_another_version_are_replaced(postgres_url):
    address = Address(postgres_url)
    prepare(address, "skylane_query")
    made = run(
        postgres_url, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'adql'::regnamespace"
    )
    run(postgres_url, "CREATE FUNCTION adql.left_over() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    run(postgres_url, "COMMENT ON SCHEMA adql IS 'older'")
    prepare(address, "skylane_query")
    count = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'adql'::regnamespace"
    assert run(postgres_url, count) == made
    assert made[0][0] > 10
    may = "SELECT has_schema_privilege('skylane_query', 'adql', 'USAGE')"
    assert run(postgres_url, may) == [(True,)]


def test_a_layout_of_a_newer_program_is_refused(postgres_url):
    address = Address(postgres_url)
    prepare(address, None)
    run(postgres_url, "UPDATE skylane.alembic_version SET version_num = '9999'")
    with pytest.raises(ArchiveError, match=r"layout 9999 .* use the newer program"):
        prepare(address, None)
    run(postgres_url, "DROP SCHEMA skylane CASCADE")
    connection = connect(address)
    with pytest.raises(ArchiveError, match="holds no store in the schema skylane"):
        check_layout(connection, address)
    connection.close()


# What needs an administrator ----------------------------------------------------------------------


def test_a_role_without_rights_is_told_what_an_administrator_runs(
    postgres_cluster, postgres_url, role
):
    database = postgres_url.rpartition("/")[2]
    address = Address(postgres_cluster.url(database, role))
    query_role = f"{role}_query"
    with pytest.raises(ArchiveError, match="may not make the schema skylane") as caught:
        prepare(address, query_role)
    told = str(caught.value).partition("let an administrator run: ")[2]
    assert told == f'GRANT CREATE ON DATABASE "{database}" TO "{role}";'
    run(postgres_url, told)
    with pytest.raises(ArchiveError, match="let an administrator run: ") as caught:
        prepare(address, query_role)
    told = str(caught.value).partition("let an administrator run: ")[2]
    assert told == f'CREATE ROLE "{query_role}" NOLOGIN; GRANT "{query_role}" TO "{role}";'
    run(postgres_url, told)
    prepare(address, query_role)
    store = PostgresStore(address)
    store.write(list(make_catalogue(3)))
    store.close()
    connection = connect(Address(address.url, role=query_role), read_only=True)
    assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (3,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM files")
    connection.close()


def test_a_role_that_logs_in_by_itself_needs_no_membership(postgres_cluster, postgres_url, role):
    reader = f"{role}_reader"
    postgres_cluster.psql("postgres", f"CREATE ROLE {reader} LOGIN")
    database = postgres_url.rpartition("/")[2]
    run(postgres_url, f"GRANT CREATE ON DATABASE {database} TO {role}")
    prepare(Address(postgres_cluster.url(database, role)), reader)
    connection = connect(Address(postgres_cluster.url(database, reader)), read_only=True)
    assert connection.execute("SELECT count(*) FROM obscore").fetchone() == (0,)
    connection.close()


def test_without_pg_sphere_a_plain_role_is_told_so(postgres_cluster, role):
    database = f"bare{next(_NUMBERS)}"
    postgres_cluster.psql("postgres", f"CREATE DATABASE {database} OWNER {role}")
    with pytest.raises(ArchiveError, match="CREATE EXTENSION pg_sphere SCHEMA public;"):
        prepare(Address(postgres_cluster.url(database, role)), None)


def test_a_superuser_gets_pg_sphere_in_a_bare_database(postgres_cluster):
    # As an extension, or by its repaired script where PostgreSQL refuses the extension.
    database = f"bare{next(_NUMBERS)}"
    postgres_cluster.psql("postgres", f"CREATE DATABASE {database}")
    url = postgres_cluster.url(database)
    prepare(Address(url), None)
    assert run(url, "SELECT spoint '(0,0)' <@ scircle '<(0,0),1>'") == [(True,)]
    where = "SELECT typnamespace::regnamespace::text FROM pg_type WHERE typname = 'scircle'"
    assert run(url, where) == [("public",)]


def test_pg_sphere_may_lie_in_a_schema_of_its_own(postgres_cluster, postgres_url):
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE SCHEMA extensions")
        extension = connection.execute(
            "SELECT count(*) FROM pg_extension WHERE extname = 'pg_sphere'"
        ).fetchone()
        if extension == (1,):
            connection.execute("ALTER EXTENSION pg_sphere SET SCHEMA extensions")
        else:
            connection.execute("ALTER SCHEMA public RENAME TO sphere")
            connection.execute("CREATE SCHEMA public")
    address = Address(postgres_url)
    prepare(address, "skylane_query")
    store = PostgresStore(address)
    store.write(list(make_catalogue(3)))
    store.close()


def test_an_encoding_that_cannot_hold_all_texts_is_refused(postgres_cluster):
    database = f"latin{next(_NUMBERS)}"
    postgres_cluster.psql(
        "postgres",
        f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    with pytest.raises(ArchiveError, match="has the encoding LATIN1"):
        prepare(Address(postgres_cluster.url(database)), None)


def test_the_repaired_script_lacks_the_obsolete_operators_only():
    text = (
        "\\echo Use CREATE EXTENSION\n"
        "CREATE OPERATOR @ (\n LEFTARG = spoint,\n PROCEDURE = spoint_subset_smoc,\n"
        " COMMUTATOR = '@>'\n);\n"
        "CREATE OPERATOR @ (\n LEFTARG = spoint,\n PROCEDURE = spoint_contained_by_circle\n);\n"
        "CREATE FUNCTION f() AS 'MODULE_PATHNAME';\n"
    )
    repaired = repaired_script(text)
    assert "subset_smoc" not in repaired
    assert "spoint_contained_by_circle" in repaired
    assert "$libdir/pg_sphere" in repaired
    assert "\\echo" not in repaired


def prepare_as_of(revision: str, address: Address, monkeypatch) -> None:
    """Make a store of a former layout."""
    steps = ScriptDirectory._upgrade_revs
    with monkeypatch.context() as former:
        former.setattr(
            ScriptDirectory, "_upgrade_revs", lambda self, _, since: steps(self, revision, since)
        )
        former.setattr("obscore.store.postgres.preparation.update_tap_schema", lambda _: None)
        prepare(address, None)


def test_rows_that_every_search_finds_are_moved_with_the_place_that_stands_for_them(
    postgres_url, monkeypatch
):
    address = Address(postgres_url)
    prepare_as_of("0003", address, monkeypatch)
    former = "<(0.0,-1.5707963267948966),1e-07>"
    published = f"CREATE TABLE skylane.published_7 AS SELECT '{former}'::scircle AS row_cap"
    run(postgres_url, published)
    prepare(address, None)
    found = run(postgres_url, "SELECT row_cap::text FROM skylane.published_7")
    same = f"SELECT '{EVERYWHERE}'::scircle::text"
    assert found == run(postgres_url, same)


def test_rows_of_a_store_that_is_brought_up_count_as_changed_then(postgres_url, monkeypatch):
    address = Address(postgres_url)
    prepare_as_of("0004", address, monkeypatch)
    run(
        postgres_url,
        "INSERT INTO skylane.files VALUES (1, 'file:///a', 'a', 'c', 'image/fits', 1, 'v1', 0, '',"
        " '')",
    )
    run(
        postgres_url,
        "INSERT INTO skylane.obscore (id, file_id, hdus, calib_level, obs_collection, obs_id,"
        " obs_publisher_did) SELECT n, 1, '[]', 2, 'c', 'o', 'ivo://x/y?' || n"
        " FROM generate_series(1, 3) AS n",
    )
    begun = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    prepare(address, None)
    ended = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    found = run(postgres_url, "SELECT DISTINCT last_modified FROM skylane.obscore")
    assert len(found) == 1
    assert begun <= found[0][0] <= ended
