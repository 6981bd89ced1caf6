"""Which live HiPS in colour there are, of which bands, and for whom."""

from __future__ import annotations

import numpy as np
import pytest

from hips.color.scale import COLOR_FILE, ColorScale
from hips.live.palette import Palette
from hips.live.selection import Selections
from hips.settings import HipsSettings
from vodal.access.identity import ANONYMOUS
from vodal.access.rules import AccessRule, AccessRules, Reach, Rights
from vodal.errors import AuthorizationError
from vodal.products import CollectionSummary
from vodal.testing.skies import make_wcs

OLD, NEW = "2020-01-01T00:00:00", "2999-01-01T00:00:00"
WAVES = {"u": 3.5e-7, "g": 4.8e-7, "r": 6.2e-7, "i": 7.5e-7}


@pytest.fixture
def archive(new_shelf, save_image, tmp_path):
    """Images of four bands, of i most and of u fewest; those of i are not released."""
    shelf = new_shelf()
    path = save_image(tmp_path / "a.fits", np.ones((9, 9), np.float32), make_wcs(1.0, 2.0, 9, 1.0))
    for count, (band, wave) in enumerate(WAVES.items(), 1):
        for number in range(count):
            shelf.put(
                path, did=f"ivo://test.example/demo?{band}{number}", filter=band,
                em_min=wave, em_max=wave + 1e-8, obs_release_date=NEW if band == "i" else OLD,
            )  # fmt: skip
    shelf.collections = lambda: [CollectionSummary("demo", len(shelf.items), tuple(WAVES))]
    return shelf


def palette(archive, root, **colors):
    settings = HipsSettings(color={name: {"collection": "demo", **c} for name, c in colors.items()})
    return Palette(Selections(archive, archive, None, {}), settings, root)


def rights_of(**rule) -> Rights:
    return AccessRules(AccessRule(), {"demo": AccessRule(**rule)}).rights(ANONYMOUS)


def test_without_settings_three_bands_are_chosen_as_a_build_does(archive, tmp_path):
    found = palette(archive, tmp_path).find("demo-color")
    assert found.color.mix.bands == ("i", "r", "g")
    assert [band.name for band in found.color.bands] == ["demo-i", "demo-r", "demo-g"]
    assert found.has("r")
    assert not found.has("u")
    assert hash(found) == hash(palette(archive, tmp_path).find("demo-color"))


def test_the_bands_of_a_built_hips_are_kept_though_images_come(archive, tmp_path):
    colors = palette(archive, tmp_path)
    (tmp_path / "demo-color").mkdir()
    scale = ColorScale(("r", "g", "u"), (0.0,) * 3, (1.0,) * 3, 1.0)
    (tmp_path / "demo-color" / COLOR_FILE).write_text(scale.to_json())
    assert colors.find("demo-color").color.mix.bands == ("r", "g", "u")
    (tmp_path / "demo-color" / COLOR_FILE).unlink()
    assert colors.find("demo-color").color.mix.bands == ("i", "r", "g")


def test_those_that_are_set_are_there_if_their_bands_are(archive, tmp_path):
    colors = palette(
        archive, tmp_path, **{
            "four": {"red": ["i", "r"], "green": "g", "blue": "u"},
            "none": {"red": "z", "green": "g", "blue": "u"},
            "demo-r": {"red": "i", "green": "g", "blue": "u"},
        },
    )  # fmt: skip
    assert [one.name for one in colors.named()] == ["four"]
    assert colors.find("four").color.mix.bands == ("i", "r", "g", "u")
    for name in ("none", "demo-r", "demo-color", "else"):
        assert colors.find(name) is None


def test_who_may_have_nothing_has_no_colours(archive, tmp_path):
    colors = palette(archive, tmp_path)
    groups = rights_of(data="groups", groups=("team",))
    assert groups.had("demo") is Reach.NONE
    with pytest.raises(AuthorizationError, match="demo-color is for members"):
        colors.find("demo-color", groups)
    assert list(colors.named(groups)) == []
    hidden = rights_of(data="groups", groups=("team",), metadata="hidden")
    assert colors.find("demo-color", hidden) is None


def test_a_band_that_is_hidden_is_not_told_by_colours_of_it(archive, tmp_path):
    colors = palette(
        archive, tmp_path, with_i={"red": "i", "green": "r", "blue": "g"},
        without={"red": "r", "green": "g", "blue": "u"},
    )  # fmt: skip
    hidden = rights_of(data="released", groups=("team",), metadata="hidden")
    assert [one.name for one in colors.named(hidden)] == ["without"]
    assert colors.find("with_i", hidden) is None
    seen = colors.find("without", hidden)
    assert seen.rights == hidden
    assert {band.rights for band in seen.color.bands} == {hidden}
    told = rights_of(data="released", groups=("team",))
    assert colors.find("with_i", told).color.bands[0].rights == told
