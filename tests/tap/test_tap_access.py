"""Addresses of products made for whole columns: those that the database makes row by row."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscore.observation import Observation
from obscore.store.sqlite.backend import SqliteBackend
from obscore.tap import access
from obscore.tap.access import access_urls
from obscore.tap.metadata import LINKS_PATH, PUBLISHED, encode_id
from obscore.testing import make_file, make_observation
from vodal.tables.columns import with_ids

NASTY = "ivo://example.org/a b?x&y=%41;é/\N{GREEK SMALL LETTER ALPHA}#1+1"
PLAIN = "ivo://example.org/night?a%20b/c d&e.fits:SCI,2"


access.compiled.wait()


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_all_at_once_equals_one_by_one(dids):
    urls = [
        None if d is None else f"https://x.example/datalink/links?ID={encode_id(d)}" for d in dids
    ]
    array = pa.array(dids, pa.string())
    assert access_urls(array, "https://x.example").to_pylist() == urls
    few, access._FEW = access._FEW, -1
    try:
        assert access_urls(array, "https://x.example").to_pylist() == urls
        assert access._by_replacing(array, f"https://x.example{LINKS_PATH}").to_pylist() == urls
        known, whole = array.drop_null(), [url for url in urls if url is not None]
        for start in range(min(3, len(known))):
            made = access_urls(known[start:], "https://x.example")
            made.validate(full=True)
            assert made.to_pylist() == whole[start:]
    finally:
        access._FEW = few


@pytest.fixture
def engine(tmp_path):
    backend = SqliteBackend(tmp_path / "store.db")
    backend.prepare()
    store = backend.writer()
    products: list[Observation] = [
        make_observation(did, None, position=(10, 20)) for did in (NASTY, PLAIN)
    ]
    store.write([make_file(f"file:///{k}.fits", item) for k, item in enumerate(products)])
    store.close()
    engine = backend.engine(connections=1, wait_s=1, batch_rows=10)
    yield engine
    engine.close()


@pytest.mark.parametrize(("query", "made"), [
    ("SELECT access_url FROM ivoa.obscore", True),
    ("SELECT obs_id, o.access_url AS there FROM ivoa.obscore AS o ORDER BY obs_id", True),
    ("SELECT access_url || '' FROM ivoa.obscore", False),
    ("SELECT access_url FROM ivoa.obscore ORDER BY access_url", False),
    ("SELECT access_url FROM ivoa.obscore ORDER BY 1", False),
    ("SELECT DISTINCT access_url FROM ivoa.obscore", False),
    ("SELECT access_url FROM ivoa.obscore GROUP BY access_url", False),
    ("SELECT access_url, COUNT(*) FROM ivoa.obscore GROUP BY access_url", False),
    ("SELECT access_url FROM ivoa.obscore UNION SELECT access_url FROM ivoa.obscore", False),
    ("SELECT q.access_url FROM (SELECT access_url FROM ivoa.obscore) AS q", False),
    ("SELECT access_url FROM ivoa.obscore WHERE access_url LIKE 'http://site/%'", True),
])  # fmt: skip
def test_every_query_gives_the_address(engine, query, made):
    translated = engine.translate(query, PUBLISHED)
    assert bool(translated.made) == made
    batches = engine.batches(translated, with_ids(translated.columns), base_url="http://site")
    (batch,) = batches
    found = {cell for column in batch.columns for cell in column.to_pylist()} - {1}
    urls = {f"http://site/datalink/links?ID={encode_id(did)}" for did in (NASTY, PLAIN)}
    assert urls <= found
