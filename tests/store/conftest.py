from pathlib import Path

import pytest

from obscore.store.sqlite.store import SqliteStore


@pytest.fixture
def store(tmp_path: Path):
    opened = SqliteStore(tmp_path / "skylane.db")
    yield opened
    opened.close()
