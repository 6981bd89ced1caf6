"""Fixtures that tests of several packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vodal.testing.skies import Survey, make_survey


def _real_images() -> Path | None:
    named = os.environ.get("SKYLANE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    images = folder / "images"
    return images if images.is_dir() else None


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Give the folder of real FITS files, or skip where it is not there."""
    images = _real_images()
    if images is None:
        pytest.skip("no folder of real FITS files (SKYLANE_TEST_DATA or ../shared/data)")
    return images


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Give a small synthetic survey in three bands, half of it RICE-compressed."""
    folder = tmp_path_factory.mktemp("survey")
    return make_survey(folder, exposures=9, size=256, seed=7)
