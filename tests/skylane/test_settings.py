"""The settings of a site."""

from __future__ import annotations

from pathlib import Path

import pytest

from skylane.documentation import settings_file, settings_page, with_parameters
from skylane.settings import SiteSettings, load_settings
from vodal.errors import SettingsError


def _write(folder: Path, text: str) -> Path:
    (folder / "skylane.toml").write_text(text, "utf-8")
    return folder


def test_without_a_file_the_defaults_serve(tmp_path):
    assert load_settings(tmp_path, {}) == SiteSettings()


def test_the_environment_overrides_the_file(tmp_path):
    _write(tmp_path, "[server]\nport = 9000\nhost = '0.0.0.0'\n")
    settings = load_settings(tmp_path, {"SKYLANE_SERVER__PORT": "9001"})
    assert (settings.server.port, settings.server.host) == (9001, "0.0.0.0")


@pytest.mark.parametrize(
    ("text", "environ", "key"),
    [
        ("[sodaa]\nworkers = 1", {}, "sodaa"),
        ("[soda]\nworker = 1", {}, "soda.worker"),
        ("[server]\nport = 'x'", {}, "server.port"),
        ("", {"SKYLANE_SERVER__PROT": "1"}, "server.prot"),
        ("", {"SKYLANE_NOTHING": "1"}, "nothing"),
        ("[obscore.collections.deep.mapping]\nt_exptim = 'keyword:EXP'", {},
         "obscore.collections.deep.mapping.t_exptim"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_refused_with_its_path(tmp_path, text, environ, key):
    _write(tmp_path, text)
    with pytest.raises(SettingsError, match=key.replace(".", r"\.")):
        load_settings(tmp_path, environ)


def test_a_broken_file_is_named(tmp_path):
    _write(tmp_path, "[server")
    with pytest.raises(SettingsError, match=r"skylane\.toml"):
        load_settings(tmp_path, {})


def test_the_written_file_loads_as_the_defaults(tmp_path):
    _write(tmp_path, settings_file())
    assert load_settings(tmp_path, {}) == SiteSettings()


def test_the_page_of_settings_is_true():
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text("utf-8") == settings_page(), "run 'make docs'"


def test_the_tables_of_parameters_are_true():
    page = (Path(__file__).parents[2] / "docs" / "soda.md").read_text("utf-8")
    assert with_parameters(page) == page, "run 'make docs'"
    for group in ("standard", "part", "format", "picture", "color", "stitched"):
        assert f"<!-- parameters: {group} -->" in page
