"""The commands of ``skylane store``, and a site whose store is PostgreSQL."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import apsw
import httpx
import pytest
import pyvo
from astropy.table import Table

from skylane.testing import call, refused
from vodal.testing.skies import make_survey

FORMER = Path(__file__).parents[1] / "store" / "data" / "store-v1.sql"


@pytest.fixture
def night(tmp_path):
    """Give a site's folder beside a folder of three exposures."""
    make_survey(tmp_path / "night", exposures=3, size=96, seed=5)
    return tmp_path / "site"


def products(site: Path) -> int:
    """Give the number of products that the store tells of itself."""
    said = call("store", "info", "--site", site)
    return int(re.search(r"products\s+([\d,]+)", said)[1].replace(",", ""))


def test_a_site_moves_to_postgresql_and_back(cli, night, postgres_url, monkeypatch, tmp_path):
    call("ingest", tmp_path / "night", "--workers", 0, "--site", night)
    assert products(night) == 3
    done = call("store", "copy", "--to", postgres_url, "--site", night)
    assert "3 files with 3 products" in done
    said = refused("store", "copy", "--to", postgres_url, "--site", night)
    assert "holds 3 files already" in said
    again = call("store", "copy", "--to", postgres_url, "--resume", "--site", night)
    assert "3 files were there already" in again

    # The settings name the other store, from here on the site is there.
    monkeypatch.setenv("SKYLANE_STORE__URL", postgres_url)
    for part in night.glob("skylane.db*"):
        part.unlink()
    assert "PostgreSQL at 127.0.0.1:" in call("store", "info", "--site", night)
    call("ingest", tmp_path / "night", "--workers", 0, "--site", night)
    assert [entry["status"] for entry in cli.report_of(night)] == ["unchanged"] * 3
    make_survey(tmp_path / "second", exposures=2, size=96, seed=6)
    call("ingest", tmp_path / "second", "--workers", 0, "--site", night)
    assert products(night) == 5
    assert not (night / "skylane.db").exists()

    back = tmp_path / "back" / "skylane.db"
    back.parent.mkdir()
    call("store", "copy", "--to", back, "--site", night)
    monkeypatch.delenv("SKYLANE_STORE__URL")
    assert products(back.parent) == 5


def test_a_copy_goes_nowhere_wrong(night, postgres_url, tmp_path):
    there = f"--to={tmp_path / 'other.db'}"
    assert "nothing to copy" in refused("store", "copy", there, "--site", night)
    call("ingest", tmp_path / "night", "--workers", 0, "--site", night)
    for target, sentence in (
        (night / "skylane.db", "the site's own store"),
        ("mysql://host/sky", "--to takes postgresql://"),
        (tmp_path / "absent" / "a.db", "there is no folder"),
        (tmp_path / "table.csv", "a file that ends in .db"),
        ("postgresql://me:tell-no-one@127.0.0.1:1/sky", "127.0.0.1:1, database sky does not"),
    ):
        said = refused("store", "copy", "--to", target, "--site", night)
        assert sentence in said
        assert "tell-no-one" not in said
    (tmp_path / "foreign.db").write_text("not a database" * 100)
    assert "not a store" in refused(
        "store", "copy", "--to", tmp_path / "foreign.db", "--site", night
    )


def test_an_older_store_is_brought_up_by_command(tmp_path):
    connection = apsw.Connection(str(tmp_path / "skylane.db"))
    connection.execute(FORMER.read_text("utf-8"))
    connection.close()
    said = call("store", "info", "--site", tmp_path)
    assert re.search(r"layout\s+1, to be brought to \d+ by 'upgrade'", said)
    assert re.search(r"products\s+9", said)
    assert "from layout 1 to" in call("store", "upgrade", "--site", tmp_path)
    assert "is the newest" in call("store", "upgrade", "--site", tmp_path)
    assert products(tmp_path) == 9


def test_a_store_that_was_not_made_yet_is_told(tmp_path, postgres_url, monkeypatch):
    said = call("store", "info", "--site", tmp_path / "new")
    assert "not made yet" in said
    assert not (tmp_path / "new").exists()
    monkeypatch.setenv("SKYLANE_STORE__URL", postgres_url)
    assert "not made yet" in call("store", "info", "--site", tmp_path / "new")
    assert "made with layout" in call("store", "upgrade", "--site", tmp_path / "new")
    shutil.rmtree(tmp_path / "new")
    assert products(tmp_path / "new") == 0


def test_a_wrong_url_is_named_by_its_key(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLANE_STORE__URL", "mysql://me:tell-no-one@host/sky")
    said = refused("store", "info", "--site", tmp_path)
    assert "store.url" in said
    assert "postgresql://" in said
    assert "tell-no-one" not in said


@pytest.fixture
def owned_url(postgres_cluster, postgres_url):
    """Give the URL of a database as docs/howto/postgresql.md has it, for a role that owns it."""
    database = postgres_url.rpartition("/")[2]
    postgres_cluster.psql(
        database,
        f"""
        CREATE ROLE keeper LOGIN;
        ALTER DATABASE {database} OWNER TO keeper;
        CREATE ROLE keeper_query NOLOGIN;
        GRANT keeper_query TO keeper;
        """,
    )
    yield postgres_cluster.url(database, "keeper")
    postgres_cluster.psql(
        database,
        "DROP SCHEMA skylane, adql CASCADE; DROP OWNED BY keeper_query; DROP ROLE keeper_query;"
        f"ALTER DATABASE {database} OWNER TO postgres; DROP OWNED BY keeper; DROP ROLE keeper",
    )


@pytest.mark.usefixtures("pyvo_sockets")
def test_a_site_on_postgresql_does_all_that_a_site_does(cli, night, owned_url, monkeypatch):
    monkeypatch.setenv("SKYLANE_STORE__URL", owned_url)
    monkeypatch.setenv("SKYLANE_STORE__QUERY_ROLE", "keeper_query")
    call("ingest", night.parent / "night", "--workers", 0, "--site", night)
    process, url = cli.start(night)
    try:
        tap = pyvo.dal.TAPService(f"{url}/tap")
        rows = tap.search("SELECT * FROM ivoa.obscore ORDER BY t_min")
        assert len(rows) == 3
        row = rows[0]
        place = f"{float(row['s_ra'])!r}, {float(row['s_dec'])!r}"
        query = (
            f"SELECT obs_publisher_did FROM ivoa.obscore WHERE CONTAINS(POINT({place}), s_region)=1"
        )
        assert row["obs_publisher_did"] in tap.search(query)["obs_publisher_did"]
        assert len(tap.run_async("SELECT TOP 2 * FROM ivoa.obscore")) == 2
        targets = Table({"ra": [row["s_ra"], 200.0], "dec": [row["s_dec"], -80.0]})
        join = (
            "SELECT t.ra, COUNT(o.obs_id) AS n FROM TAP_UPLOAD.t AS t LEFT JOIN ivoa.obscore AS o"
            " ON CONTAINS(POINT(t.ra, t.dec), o.s_region) = 1 GROUP BY t.ra ORDER BY n DESC"
        )
        counts = tap.search(join, uploads={"t": targets})["n"]
        assert counts[0] >= 1
        assert counts[-1] == 0
        links = row.getdatalink()
        assert "#this" in [link["semantics"] for link in links]
        cutout = row.processed(circle=(row["s_ra"], row["s_dec"], 0.001)).read()
        assert cutout.startswith(b"SIMPLE")
        assert httpx.get(f"{url}/tap/examples").status_code == 200
        assert "true" in httpx.get(f"{url}/tap/availability").text
    finally:
        cli.stop(process)
    said = call("query", "SELECT COUNT(*) AS n FROM ivoa.obscore", "--site", night)
    assert "3" in said
    assert not (night / "skylane.db").exists()
