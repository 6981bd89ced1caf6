"""Rows that lead to other products at the same place, on both stores."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from datalink.collect import collect
from datalink.makers.file import FileLinkMaker
from datalink.makers.preview import PreviewLinkMaker
from datalink.makers.related import RelatedLinkMaker, Relation, counterparts
from datalink.makers.rules import RelatedRule
from obscore.testing import make_file, make_observation
from soda.links import SodaLinkMaker
from vodal.access.asking import Asking
from vodal.access.identity import Identity
from vodal.access.rules import AccessRule, AccessRules
from vodal.products import Product, neighbour_of
from vodal.regions import Point, Polygon, shape_text
from vodal.sphere import contains, distance_deg

BASE = "http://a.b"
WAVELENGTHS = {"u": 3.5e-7, "g": 4.8e-7, "r": 6.2e-7, "i": 7.6e-7, "z": 9e-7}


def square(ra, dec, half=0.1):
    """Give a square whose sides are the same everywhere on the sphere."""
    centre = SkyCoord(ra % 360.0, dec, unit="deg")
    corners = [
        centre.directional_offset_by(turn * u.deg, half * 2**0.5 * u.deg)
        for turn in (45, 315, 225, 135)
    ]
    return Polygon(tuple((one.ra.deg % 360.0, one.dec.deg) for one in corners))


def image(name, band, ra=0.0, dec=0.0, *, t=60000.0, lasts=0.01, collection="deep", **row):
    region = square(ra, dec)
    return make_file(
        f"file:///{collection}/{name}.fits",
        make_observation(
            f"ivo://x/{collection}?{name}", region, obs_collection=collection, obs_id=name,
            filter=band, em_min=WAVELENGTHS.get(band), s_ra=ra % 360.0, s_dec=dec, s_fov=0.28,
            s_region=shape_text(region), t_min=t, t_max=t + lasts, **row,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def store(request, make_backend):
    images = [
        image("r1", "r"),
        image("g1", "g", 0.01), image("g2", "g", 0.01, t=60010.0), image("g3", "g", 0.12),
        image("u1", "u", calib_level=3), image("u2", "u", 0.03),
        image("z1", "z", 0.15), image("none", None), image("r2", "r", 0.0, t=60001.0),
        image("i1", "i", collection="other"),
        image("pole_r", "r", 10.0, 89.9), image("pole_i", "i", 190.0, 89.99),
        image("coadd", "r", collection="coadds", lasts=5.0),
        image("late", "r", t=60020.0), image("aside", "r", 0.19, t=60002.0),
        image("far", "r", 3.0, t=60002.0),
    ]  # fmt: skip
    backend = make_backend(request.param, images)
    resolver, catalogue = backend.resolver(), backend.catalogue()
    yield SimpleNamespace(resolver=resolver, catalogue=catalogue)
    resolver.close()
    catalogue.close()


def rows(store, name, *rules, asking=None):
    maker = RelatedLinkMaker(store.catalogue, rules)
    (links,) = collect([f"ivo://x/{name}"], store.resolver, [maker], BASE, asking)
    return [link for link in links if link.error_message is None]


def names(links):
    return [link.leads_to.partition("?")[2] for link in links]


def test_counterparts_are_one_image_of_each_other_band_by_wavelength(store):
    links = rows(store, "deep?r1", counterparts(8))
    # Of the same level, nearest in place and then in time; not what shows little of the field.
    assert names(links) == ["u2", "g1"]
    for link, band in zip(links, "ug", strict=True):
        assert link.semantics == "#counterpart"
        assert link.did == "ivo://x/deep?r1"
        # As Firefly's grid of related images wants them.
        assert link.content_type == "image/fits"
        assert "-grid" in link.local_semantics
        assert link.label == link.bandpass_name == band
        assert link.access_url.startswith(f"{BASE}/files/")
    assert names(rows(store, "deep?r1", counterparts(1))) == ["u2"]
    assert names(rows(store, "deep?g2", counterparts(8))) == ["u2", "r2"]
    assert rows(store, "deep?none", counterparts(8)) == []


def test_counterparts_are_found_across_zero_and_at_the_pole(store):
    assert names(rows(store, "deep?pole_r", counterparts(8))) == []
    near = counterparts(8).model_copy(update={"overlap": "any"})
    assert names(rows(store, "deep?pole_r", near)) == ["pole_i"]
    assert names(rows(store, "deep?u2", counterparts(8))) == ["g1", "r1"]


COADDED = RelatedRule(
    semantics="#progenitor", inverse="#derivation", collections=("coadds",), to="deep",
    band="same", within_times=True, description="An exposure of this coadd",
)  # fmt: skip


def test_exposures_and_coadds_lead_to_each_other(store):
    links = rows(store, "coadds?coadd", COADDED)
    assert names(links) == ["r1", "r2", "aside"]
    assert {link.semantics for link in links} == {"#progenitor"}
    assert links[0].description == "An exposure of this coadd: r1 in r"
    for name in ("r1", "r2", "aside"):
        (back,) = rows(store, f"deep?{name}", COADDED)
        assert (back.semantics, back.leads_to) == ("#derivation", "ivo://x/coadds?coadd")
    for name in ("late", "far", "g1"):
        assert rows(store, f"deep?{name}", COADDED) == []
    limited = COADDED.model_copy(update={"limit": 2})
    assert names(rows(store, "coadds?coadd", limited)) == ["r1", "r2"]


def test_columns_that_must_be_equal(store):
    same = RelatedRule(semantics="#sibling", same=("obs_id",))
    assert rows(store, "deep?r1", same) == []
    same = RelatedRule(semantics="#sibling", same=("instrument_name",), band="same")
    assert set(names(rows(store, "deep?r1", same))) == {"r2", "late", "aside"}


def test_many_products_are_looked_for_at_once_as_each_alone(store):
    everything = [one.did for one in store.catalogue.products()]
    maker = RelatedLinkMaker(store.catalogue, [counterparts(8), COADDED])
    together = list(collect(everything, store.resolver, [maker], BASE))
    alone = [next(iter(collect([did], store.resolver, [maker], BASE))) for did in everything]
    assert together == alone


OFFSETS = st.tuples(st.integers(-9, 9), st.integers(-9, 9))
IMAGES = st.lists(
    st.tuples(OFFSETS, st.sampled_from([None, *"ugri"]), st.integers(1, 2), st.integers(0, 9)),
    min_size=1, max_size=8,
)  # fmt: skip


def product_of(number, offset, band, level, day):
    ra, dec = 10.0 + 0.0137 * offset[0], 60.0 + 0.0071 * offset[1]
    row = {
        "dataproduct_type": "image", "calib_level": level, "obs_id": f"{number}", "filter": band,
        "em_min": WAVELENGTHS.get(band), "t_min": 60000.0 + day, "t_max": 60001.0 + day,
        "s_ra": ra, "s_dec": dec, "s_fov": 0.28,
    }  # fmt: skip
    return Product(
        did=f"ivo://x/deep?{number}", collection="deep", uri="file:///x", file_name="x",
        content_type="image/fits", size_bytes=1, version="1", modified_unix_s=0.0, hdus=(0,),
        region=Polygon(((ra - 0.2, dec - 0.1), (ra + 0.2, dec - 0.1), (ra, dec + 0.12))),
        obscore=row,
    )  # fmt: skip


def by_definition(product, others):
    """Choose counterparts as the manual has it, without a thought of time."""
    row, best = product.obscore, {}
    centre = Point(row["s_ra"], row["s_dec"])
    for other in others:
        theirs = other.obscore
        away = distance_deg(row["s_ra"], row["s_dec"], theirs["s_ra"], theirs["s_dec"])
        if other.did == product.did or away > 0.35 * 0.28 or not contains(other.region, centre):
            continue
        rank = (
            theirs["calib_level"] != row["calib_level"], round(8.0 * away / 0.28),
            abs(theirs["t_min"] - row["t_min"]), other.did,
        )  # fmt: skip
        band = theirs["filter"]
        if band not in best or rank < best[band][0]:
            best[band] = rank, other.did
    order = sorted(best, key=lambda band: (WAVELENGTHS.get(band, math.inf), str(band)))
    return [best[band][1] for band in order]


@given(IMAGES)
@settings(max_examples=25, deadline=None)
def test_counterparts_are_chosen_by_their_definition(images):
    products = [product_of(number, *one) for number, one in enumerate(images)]
    (relation,) = Relation.of(counterparts(8))
    others = [neighbour_of(one) for one in products]
    found = [one.did for one in relation.chosen(products[0], others)]
    assert found == by_definition(products[0], others)


def test_an_image_without_a_place_has_the_others_of_its_rule():
    rule = RelatedRule(semantics="#sibling", one_per_band=True)
    (relation,) = Relation.of(rule)
    known = [product_of(number, (number, 0), "g", 2, number) for number in range(3)]
    nowhere = replace(known[0], obscore={**known[0].obscore, "s_ra": None, "s_fov": None})
    others = [neighbour_of(one) for one in (*known, nowhere)]
    assert [one.did for one in relation.chosen(nowhere, others)] == [known[1].did]
    sizeless = neighbour_of(replace(known[1], obscore={**known[1].obscore, "s_fov": None}))
    assert [one.did for one in relation.chosen(nowhere, [sizeless])] == [known[1].did]


def test_what_one_may_not_know_of_is_no_counterpart(store):
    rules = AccessRules(
        None, {"coadds": AccessRule(data="groups", groups=("team",), metadata="hidden")}
    )
    nobody = Asking(Identity(), rules.rights(Identity()), rules.rights(Identity()))
    assert rows(store, "deep?r1", COADDED, asking=nobody) == []
    one = Identity("one", frozenset({"team"}))
    somebody = Asking(one, rules.rights(one), rules.rights(Identity()))
    (link,) = rows(store, "deep?r1", COADDED, asking=somebody)
    assert (link.link_auth, link.link_authorized) == ("true", True)


def test_firefly_finds_the_members_of_its_grid_and_one_cutout(store):
    related = RelatedLinkMaker(store.catalogue, [counterparts(8)])
    makers = [FileLinkMaker(), PreviewLinkMaker(), SodaLinkMaker(), related]
    (links,) = collect(["ivo://x/deep?r1"], store.resolver, makers, BASE)

    def words(link):
        return f"{link.semantics} {link.local_semantics or ''}".lower()

    # As in getDataLinkData of its VoDataLinkServDef.js.
    members = [one for one in links if "-grid" in words(one) and one.content_type == "image/fits"]
    assert [(one.semantics, one.bandpass_name) for one in members] == [
        ("#this", "r"), ("#counterpart", "u"), ("#counterpart", "g"),
    ]  # fmt: skip
    assert all(one.label for one in members)
    assert [one.semantics for one in links if "cutout" in words(one)] == ["#cutout"]
