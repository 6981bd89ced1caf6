"""Which store the settings ask for."""

from __future__ import annotations

import sys

import pytest
from pydantic import ValidationError

from obscore.store.choice import make_backend
from obscore.store.postgres.backend import PostgresBackend
from obscore.store.settings import StoreSettings
from obscore.store.sqlite.backend import SqliteBackend
from obscore.testing import make_catalogue
from vodal.errors import ArchiveError, SettingsError


def test_without_a_url_the_store_is_in_the_folder(tmp_path):
    backend = make_backend(StoreSettings(), tmp_path / "skylane.db")
    assert isinstance(backend, SqliteBackend)
    info = backend.info()
    assert (info.layout, info.files, info.size_bytes) == (None, 0, 0)
    assert not (tmp_path / "skylane.db").exists()
    backend.prepare()
    store = backend.writer()
    store.write(list(make_catalogue(3, products_per_file=2)))
    store.close()
    info = backend.info()
    assert info.layout == info.newest_layout
    assert (info.files, info.products) == (3, 6)
    assert info.size_bytes > 10_000


def test_a_url_of_postgresql_is_followed(tmp_path, postgres_url):
    backend = make_backend(StoreSettings(url=postgres_url), tmp_path / "skylane.db")
    assert isinstance(backend, PostgresBackend)
    assert backend.info().layout is None
    with pytest.raises(ArchiveError, match="ingest something first"):
        backend.writer()
    backend.prepare()
    store = backend.writer()
    store.write(list(make_catalogue(3, products_per_file=2)))
    store.close()
    info = backend.info()
    assert info.layout == info.newest_layout
    assert (info.files, info.products) == (3, 6)
    assert info.size_bytes > 10_000
    catalogue, resolver = backend.catalogue(), backend.resolver()
    products = list(catalogue.products())
    assert len(products) == 6
    assert resolver.index(products[0]).size_bytes == 123_456
    catalogue.close()
    resolver.close()
    assert not (tmp_path / "skylane.db").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"url": "mysql://a/b"}, "begins with postgresql://"),
        ({"url": "skylane.db"}, "begins with postgresql://"),
        ({"query_url": "postgresql://a/b"}, "go with a url of PostgreSQL"),
        ({"url": "postgresql://a/b", "schema_name": 'a"; DROP'}, "a name of PostgreSQL"),
        ({"url": "postgresql://a/b", "query_role": ""}, "a name of PostgreSQL"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, sentence):
    with pytest.raises(ValidationError, match=sentence):
        StoreSettings.model_validate(values)


def test_users_queries_never_run_as_the_owner(tmp_path):
    for values in (
        {"query_role": "me"},
        {"query_url": "postgresql://me@replica/sky"},
    ):
        settings = StoreSettings.model_validate({"url": "postgresql://me@host/sky", **values})
        with pytest.raises(SettingsError, match="must not run as me, which owns the tables"):
            make_backend(settings, tmp_path / "skylane.db")


def test_without_the_driver_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("obscore.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"skylane\[postgres\]"):
        make_backend(StoreSettings(url="postgresql://me@host/sky"), tmp_path / "skylane.db")


def test_a_password_is_not_in_what_is_shown():
    settings = StoreSettings(url="postgresql://me:tell-no-one@host/sky")
    assert "tell-no-one" not in repr(settings)
