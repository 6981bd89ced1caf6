"""Queries that were asked before are not translated again, but where the tables have changed."""

from __future__ import annotations

import pytest

from obscore.adql import translate
from obscore.tap import translations
from obscore.tap.metadata import PUBLISHED
from obscore.tap.translations import Translations

QUERY = "SELECT obs_id FROM ivoa.obscore WHERE s_ra < 10"


@pytest.fixture
def kept():
    made = Translations()
    made.put(QUERY, PUBLISHED, 10, translate(QUERY, PUBLISHED, limit=10))
    return made


def test_the_same_query_gives_the_same_translation(kept):
    assert kept.get(QUERY, PUBLISHED, 10) == translate(QUERY, PUBLISHED, limit=10)


def test_another_text_limit_or_schema_gives_none(kept):
    assert kept.get(QUERY + " ", PUBLISHED, 10) is None
    assert kept.get(QUERY, PUBLISHED, 11) is None
    assert kept.get(QUERY, PUBLISHED.with_tables(()), 10) is None


def test_the_oldest_go_first_and_long_ones_are_not_kept(kept, monkeypatch):
    monkeypatch.setattr(translations, "_MOST", 3)
    translated = kept.get(QUERY, PUBLISHED, 10)
    for limit in (1, 2):
        kept.put("q", PUBLISHED, limit, translated)
    assert kept.get(QUERY, PUBLISHED, 10) is translated
    kept.put("q", PUBLISHED, 3, translated)
    assert kept.get("q", PUBLISHED, 1) is None
    assert kept.get(QUERY, PUBLISHED, 10) is translated
    long = "q" * 30_000
    kept.put(long, PUBLISHED, 1, translated)
    assert kept.get(long, PUBLISHED, 1) is None
