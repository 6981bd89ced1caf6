"""The makers of links that a site's settings ask for."""

from __future__ import annotations

import pytest

from datalink.makers.related import RelatedLinkMaker
from datalink.makers.timed import TimedMaker
from skylane.links import create_makers
from skylane.settings import SETTINGS_FILE, load_settings
from vodal.errors import SettingsError


def makers(folder, text):
    (folder / SETTINGS_FILE).write_text(text)
    # None of them asks before there is a request.
    return create_makers(folder / "hips", load_settings(folder, {}), None, None)


def test_what_is_set_has_makers(tmp_path):
    plain = makers(tmp_path, "")
    assert sum(isinstance(one, RelatedLinkMaker) for one in plain) == 1
    assert not any(isinstance(one, TimedMaker) for one in plain)
    without = makers(tmp_path, "[datalink]\ncounterparts = 0\n")
    assert not any(isinstance(one, RelatedLinkMaker) for one in without)
    rule = '[[datalink.links]]\nsemantics = "#auxiliary"\nfile = "{obs_id}.log"\n'
    assert sum(isinstance(one, TimedMaker) for one in makers(tmp_path, rule)) == 1
    own = '[obscore.columns.seeing]\ndatatype = "float"\n' + rule.replace("obs_id", "seeing")
    assert sum(isinstance(one, TimedMaker) for one in makers(tmp_path, own)) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[[datalink.links]]\nsemantics = "#proc"\nurl = "https://x/{obs_idd}"',
            "datalink.links[0]: '{obs_idd}' is no column of ObsCore, nor one that the site adds",
        ),
        (
            '[[datalink.links]]\nsemantics = "#proc"\nurll = "https://x"',
            "datalink.links.0.urll: unknown key",
        ),
        (
            '[[datalink.related]]\nsemantics = "#proc"\ninverse = "#proc"',
            "inverse goes with collections and to",
        ),
        (
            '[[datalink.makers]]\nclass = "no.such.module:Maker"',
            "datalink.makers[0].class: the module 'no.such.module' cannot be imported",
        ),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path, text, told):
    with pytest.raises(SettingsError) as error:
        makers(tmp_path, text)
    assert told in error.value.message
