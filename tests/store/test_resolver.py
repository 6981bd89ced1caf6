"""Products by place and collection, against looking at each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.store.postgres.resolver import SQL_SAMPLE as POSTGRES_SAMPLE
from obscore.store.sqlite.resolver import SQL_SAMPLE as SQLITE_SAMPLE
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.errors import ArchiveError, NotFoundError
from vodal.products import Catalogue, CollectionSummary, Near
from vodal.regions import Circle, Point, Polygon, Range
from vodal.sphere import contains, intersects

WIDE = [
    make_file(
        f"file:///wide{number}",
        make_observation(f"ivo://wide/y?{number}", region, position=position),
    )
    for number, (region, position) in enumerate(
        [
            (Circle(10.0, 20.0, 120.0), (10.0, 20.0)),
            (Circle(200.0, -89.0, 90.0), (200.0, -89.0)),
            (Range(0.0, 360.0, -90.0, 90.0), None),
            (Range(0.0, 360.0, -80.0, 80.0), (0.0, 90.0)),
            # The position is on the other side of the sky.
            (Circle(0.0, 0.0, 1.0), (180.0, 0.0)),
        ]
    )
]
"""Footprints larger than a hemisphere, or as good as."""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def sky(request, make_case):
    case = make_case(request.param)
    files = [*make_catalogue(600, half_width_deg=1.0), *WIDE]
    store = case.open()
    store.write(files)
    store.close()
    catalogue = case.catalogue()
    observations = sorted(
        (item for file in files for item in file.observations), key=lambda item: item.did
    )
    yield catalogue, observations
    catalogue.close()


ra = st.floats(0.0, 360.0)
dec = st.one_of(st.floats(-90.0, 90.0), st.sampled_from([-90.0, 90.0, 89.5]))
regions = st.one_of(
    st.builds(Circle, ra, dec, st.sampled_from([0.0, 0.5, 5.0, 40.0])),
    st.builds(
        lambda a, w, d, h: Range(a, (a + w) % 360.0, max(-90.0, d - h), min(90.0, d + h)),
        ra, st.floats(0.1, 200.0), dec, st.floats(0.1, 20.0),
    ),
    st.builds(
        lambda a, d, s: Polygon(((a, d - s), (a + s, d - s), (a + s, d + s), (a, d + s))),
        ra, st.floats(-80.0, 80.0), st.floats(0.5, 8.0),
    ),
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(region=regions)
def test_products_of_a_region_are_those_that_meet_it(sky, region):
    catalogue, observations = sky
    expected = [item.did for item in observations if intersects(item.region, region)]
    assert [product.did for product in catalogue.products(region=region)] == expected


points = st.builds(Point, ra, dec)
near_points = st.builds(Point, st.floats(0.0, 360.0), st.floats(-3.0, 3.0))


@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.one_of(points, near_points), max_size=40), name=st.sampled_from(
    [None, "synthetic", "absent"]
))  # fmt: skip
def test_many_places_are_looked_up_as_each_alone(sky, places, name):
    catalogue, observations = sky
    # Some within footprints for certain, and one twice.
    centres = [(item.row["s_ra"], item.row["s_dec"]) for item in observations[:600:97]]
    places = [*places, *(Point(*centre) for centre in centres)]
    places += places[:1]
    # And where the index of PostgreSQL keeps the footprints that may be anywhere.
    places.append(Point(217.372, -41.8373))
    found = [[product.did for product in one] for one in catalogue.at(places, name)]
    assert found == [[one.did for one in each] for each in Catalogue.at(catalogue, places, name)]
    if name is None:
        assert found == [
            [one.did for one in observations if contains(one.region, place)] for place in places
        ]


@settings(max_examples=10, deadline=None)
@given(
    sought=st.lists(
        st.builds(
            Near,
            st.one_of(points, near_points, st.builds(Circle, ra, dec, st.floats(0.01, 2.0))),
            st.sampled_from(["synthetic", "absent"]),
            st.sampled_from([None, "g", "r"]),
            st.sampled_from([None, "g", "i"]),
        ),
        max_size=8,
    )
)
def test_neighbours_are_all_that_meet_a_place_and_few_others(sky, sought):
    catalogue, observations = sky
    sought = [
        *sought,
        Near(Point(observations[0].row["s_ra"], observations[0].row["s_dec"]), "synthetic"),
    ]
    for place, near in zip(sought, catalogue.near(sought, 1000), strict=True):
        # Those of more than a hemisphere may be left out.
        slowly = [
            one
            for one in Catalogue.near(catalogue, [place], 1000)[0]
            if not one.did.startswith("ivo://wide") and intersects(one.region, place.shape)
        ]
        found = [one for one in near if not one.did.startswith("ivo://wide")]
        met = {one.did for one in found if intersects(one.region, place.shape)}
        assert met == {one.did for one in slowly}
        by_did = {one.did: one for one in found}
        for one in slowly:
            assert by_did[one.did] == one
        for one in found:
            assert one.collection == place.collection
            assert place.band in {None, one.obscore["filter"]}
            assert place.other_than is None or one.obscore["filter"] not in {None, place.other_than}
    assert len(catalogue.near(sought[-1:], 1)[0]) == 1
    assert catalogue.near([], 5) == []


def test_a_thousand_places_in_one_look(sky):
    catalogue, observations = sky
    places = [Point(10.0 + 0.2 * number, 20.0) for number in range(1000)]
    found = list(catalogue.at(places))
    assert len(found) == 1000
    for place, one in list(zip(places, found, strict=True))[::99]:
        assert [p.did for p in one] == [o.did for o in observations if contains(o.region, place)]
    assert list(catalogue.at([])) == []


def test_all_products_come_in_order_over_many_pages(sky):
    catalogue, observations = sky
    assert [product.did for product in catalogue.products()] == [item.did for item in observations]
    assert list(catalogue.products("absent")) == []


def test_collections_tell_their_bands_by_wavelength(store, case):
    for number, (collection, band) in enumerate([("b", 2), ("a", 1), ("b", 0), ("b", 2)]):
        row = make_observation(f"ivo://x/y?{number}", None, band=band, obs_collection=collection)
        store.write([make_file(f"file:///{number}", row)])
    no_filter = make_observation("ivo://x/y?n", None, obs_collection="c", filter=None)
    store.write([make_file("file:///n", no_filter)])
    catalogue = case.catalogue()
    assert catalogue.collections() == [
        CollectionSummary("a", 1, ("r",)),
        CollectionSummary("b", 3, ("g", "i")),
        CollectionSummary("c", 1, ()),
    ]
    catalogue.close()


def test_a_product_without_footprint_meets_no_region(store, case):
    store.write(
        [make_file("file:///a", make_observation("ivo://x/y?a", None, position=(1.0, 1.0)))]
    )
    catalogue = case.catalogue()
    assert list(catalogue.products(region=Circle(1.0, 1.0, 5.0))) == []
    assert len(list(catalogue.products())) == 1
    catalogue.close()


def test_a_sample_is_of_one_kind_and_has_footprints(store, case):
    place = Circle(1.0, 1.0, 0.1)
    rows = [
        ("image", None), ("cube", place), ("image", place), ("cube", None), ("image", place),
        ("image", place), ("image", Point(1.0, 1.0)),
    ]  # fmt: skip
    for number, (kind, region) in enumerate(rows):
        made = make_observation(f"ivo://x/y?{number}", region, dataproduct_type=kind)
        store.write([make_file(f"file:///{number}", made)])
    catalogue = case.catalogue()
    assert {one.did for one in catalogue.sample("image", 9)} == {
        f"ivo://x/y?{n}" for n in (2, 4, 5)
    }
    assert [one.did for one in catalogue.sample("cube", 9)] == ["ivo://x/y?1"]
    assert len(catalogue.sample("image", 2)) == 2
    assert catalogue.sample("image", 2) == catalogue.sample("image", 2)
    for absent in ("spectrum", "", "'; DROP TABLE files; --"):
        assert catalogue.sample(absent, 9) == []
    catalogue.close()


def test_a_sample_does_not_look_through_the_table(store, case):
    # The kind that is asked for lies at its end.
    cubes = [
        make_file(
            f"file:///c{n}",
            make_observation(f"ivo://x/c?{n}", Circle(1.0, 1.0, 0.1), dataproduct_type="cube"),
        )
        for n in range(900)
    ]
    store.write([*make_catalogue(3000), *cubes])
    catalogue = case.catalogue()
    assert len(catalogue.sample("cube", 5)) == 5
    catalogue.close()
    case.run("ANALYZE")
    statement = {"sqlite": SQLITE_SAMPLE, "postgres": POSTGRES_SAMPLE}[case.kind]
    for old, new in ((":kind", "'cube'"), ("%(kind)s", "'cube'"), (":count", "5"),
                     ("%(count)s", "5")):  # fmt: skip
        statement = statement.replace(old, new)
    explain = {"sqlite": "EXPLAIN QUERY PLAN ", "postgres": "EXPLAIN "}[case.kind]
    plan = "\n".join(str(row[-1]) for row in case.rows(explain + statement))
    assert "ix_obscore_dataproduct_type" in plan
    assert "Seq Scan" not in plan
    assert "SCAN obscore" not in plan


def test_products_go_on_while_the_store_changes(store, case):
    store.write(list(make_catalogue(1100)))
    catalogue = case.catalogue()
    products = catalogue.products()
    first = next(products)
    store.remove([f"file:///survey/exp{number:07d}.fits" for number in range(1050, 1100)])
    rest = list(products)
    assert len(rest) == 1049
    assert first.did < rest[0].did
    catalogue.close()


def test_many_identifiers_at_once(store, case):
    store.write(list(make_catalogue(1100)))
    resolver = case.resolver()
    dids = [f"ivo://skylane.test/synthetic?night 1/exp&{n:07d}.fits:SCI,0" for n in range(1200)]
    found = resolver.resolve(dids)
    assert set(found) == set(dids[:1100])
    assert resolver.resolve([]) == {}
    assert resolver.resolve(["", "'; DROP TABLE files; --", "\u00e9", "a\0b", "\ud800"]) == {}
    resolver.close()


def test_the_index_of_a_withdrawn_or_replaced_file_is_not_given(store, case):
    file = make_file("file:///a", make_observation("ivo://x/y?a", None))
    store.write([file])
    resolver = case.resolver()
    product = resolver.resolve(["ivo://x/y?a"])["ivo://x/y?a"]
    store.write([make_file("file:///a", *file.observations, version="v2")])
    with pytest.raises(NotFoundError, match="search again"):
        resolver.index(product)
    store.remove(["file:///a"])
    assert resolver.resolve(["ivo://x/y?a"]) == {}
    resolver.close()


def test_without_a_store_the_sentence_says_so(case):
    resolver = case.resolver()
    with pytest.raises(ArchiveError, match="ingest something first"):
        resolver.resolve(["x"])
    resolver.close()


def test_the_newest_are_those_that_were_written_last(make_case):
    for kind in ("sqlite", "postgres"):
        case = make_case(kind)
        store = case.open()
        files = list(make_catalogue(30, half_width_deg=1.0))
        for start in range(0, 30, 10):
            store.write(files[start : start + 10])
        catalogue = case.catalogue()
        assert catalogue.newest(0) == []
        dids = [item.did for file in files for item in file.observations]
        newest = catalogue.newest(12)
        assert [product.did for _, product in newest] == dids[:-13:-1]
        numbers = [number for number, _ in newest]
        assert numbers == sorted(numbers, reverse=True)
        assert [p.did for _, p in catalogue.newest(5, numbers[-1])] == dids[-13:-18:-1]
        assert len(catalogue.newest(1000)) == len(dids)
        # Written anew, a file is the newest.
        store.write([files[3]])
        written = [item.did for item in files[3].observations]
        assert catalogue.newest(1)[0][1].did == written[-1]
        store.close()
        catalogue.close()
