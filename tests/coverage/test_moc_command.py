"""The command ``skylane moc``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from mocpy import MOC

from obscore.store.settings import StoreSettings
from obscore.testing import make_catalogue
from skylane.cli import main
from skylane.folder import SiteFolder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    store = SiteFolder(folder).prepare(StoreSettings()).writer()
    store.write([*make_catalogue(5)])
    store.close()
    return folder


def run(site, *arguments):
    return CliRunner().invoke(main, ["moc", *map(str, arguments), "--site", str(site)])


def test_a_map_is_written_in_the_form_of_the_file(site, tmp_path):
    assert run(site, "synthetic", "-o", tmp_path / "a.fits").exit_code == 0
    assert run(site, "-o", tmp_path / "a.json").exit_code == 0
    fine = MOC.load(tmp_path / "a.fits", format="fits")
    assert MOC.load(tmp_path / "a.json", format="json") == fine
    assert run(site, "-o", tmp_path / "b.fits", "--order", 6).exit_code == 0
    coarse = MOC.load(tmp_path / "b.fits", format="fits")
    assert coarse.max_order == 6
    assert fine.difference(coarse).empty()


def test_what_cannot_be_written_is_told(site, tmp_path):
    absent = run(site, "absent", "-o", tmp_path / "a.fits")
    assert (absent.exit_code, "no collection 'absent'" in absent.output) == (1, True)
    form = run(site, "synthetic", "-o", tmp_path / "a.png")
    assert (form.exit_code, ".fits, .json or .txt" in form.output) == (1, True)
