"""Coverage maps: exact after every change, in both databases, and no more than one may know."""

from __future__ import annotations

import io
import subprocess

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from mocpy import MOC
from starlette.requests import Request

from obscore.coverage.app import create_coverage_app, make_maps
from obscore.coverage.kept import Block
from obscore.coverage.ranges import coarsened, finest_order, joined, within
from obscore.coverage.settings import CoverageSettings
from obscore.coverage.touched import fitting_order, touched
from obscore.store.tombstones import Why
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.access.asking import SCOPE_KEY, Asking
from vodal.access.identity import Identity
from vodal.access.rules import EVERYTHING, AccessRule, AccessRules
from vodal.errors import NotFoundError, ServiceUnavailable
from vodal.regions import Circle, Polygon, Range
from vodal.testing.asgi import AppClient

FILES = [*make_catalogue(60, products_per_file=2, seed=4)]
EXTRA = [
    make_file(
        f"file:///more/{name}.fits",
        make_observation(f"ivo://x/y?{name}", region, obs_collection="more"),
    )
    for name, region in (("a", Range(350, 10, -5, 5)), ("b", Circle(0, 90, 2)), ("none", None))
]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def backend(request, make_backend):
    return make_backend(request.param, [*FILES, *EXTRA])


def maps_of(backend, folder, **given):
    # Code that was never compiled takes a while to be.
    settings = CoverageSettings.model_validate({"wait_limit_s": 300.0, **given})
    return make_maps(backend, settings, {}, folder)


def expected(files, collection="synthetic"):
    """Unite the cells of every footprint anew."""
    return joined(
        [
            touched(one.region, fitting_order(one.region, 12))
            for file in files
            for one in file.observations
            if one.region is not None and one.row["obs_collection"] == collection
        ]
    )


def test_a_map_follows_every_change_exactly(backend, tmp_path):
    maps = maps_of(backend, tmp_path)
    store = backend.writer()

    def check(files):
        assert np.array_equal(maps.find("synthetic", EVERYTHING), expected(files))
        fresh = maps_of(backend, tmp_path / "fresh")
        assert np.array_equal(fresh.find("synthetic", EVERYTHING), expected(files))
        fresh.close()

    check(FILES)
    # The last rows go, and others get their numbers.
    store.remove([EXTRA[-1].uri, *(file.uri for file in FILES[-5:])])
    check(FILES[:-5])
    moved = make_file(
        FILES[0].uri, make_observation("ivo://x/y?m", Circle(77, -3, 0.4)), version="v2"
    )
    store.write([moved])
    check([moved, *FILES[1:-5]])
    store.retract([one.did for one in FILES[1].observations], Why("retracted"))
    check([moved, *FILES[2:-5]])
    store.write([FILES[0], *FILES[-5:], EXTRA[-1]])
    check([FILES[0], *FILES[2:]])
    store.close()
    every = maps.find(None, EVERYTHING)
    parts = [expected([FILES[0], *FILES[2:]]), expected(EXTRA, "more")]
    assert np.array_equal(every, joined(parts))
    assert maps.collections(EVERYTHING) == ["more", "synthetic"]
    with pytest.raises(NotFoundError, match="no collection 'absent'"):
        maps.find("absent", EVERYTHING)
    maps.close()


def test_mocpy_finds_every_place_in_the_map_and_little_beside(make_backend, tmp_path):
    backend = make_backend("sqlite", FILES)
    maps = maps_of(backend, tmp_path, order=9)
    client_moc = MOC.from_depth29_ranges(9, maps.find("synthetic", EVERYTHING))
    maps.close()
    true = MOC.new_empty(9)
    rng = np.random.default_rng(1)
    for file in FILES:
        for one in file.observations:
            if isinstance(one.region, Polygon):
                corners = np.array(one.region.vertices)
                part = MOC.from_polygon(corners[:, 0] * u.deg, corners[:, 1] * u.deg, max_depth=9)
                # Places between the corners, by weights of their vectors.
                ra, dec = np.radians(corners).T
                xyz = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
                x, y, z = xyz @ rng.dirichlet(np.ones(4), 50).T
                places = np.degrees([np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))])
            else:
                middle = one.region.ra_deg, one.region.dec_deg
                lon, lat = Longitude(middle[0], u.deg), Latitude(middle[1], u.deg)
                part = MOC.from_cone(lon, lat, radius=one.region.radius_deg * u.deg, max_depth=9)
                places = np.array(middle)[:, None]
            true = true.union(part)
            assert client_moc.contains_lonlat(places[0] * u.deg, places[1] * u.deg).all()
    beside = client_moc.difference(true)
    # A layer of cells around each footprint at most: its 0.6 degrees are some 6 cells wide.
    assert len(beside.flatten()) < 14 * 120
    assert true.difference(client_moc).empty()


def test_blocks_are_kept_and_a_damaged_one_is_made_anew(make_backend, tmp_path):
    backend = make_backend("sqlite", FILES)
    first = maps_of(backend, tmp_path).find("synthetic", EVERYTHING)
    (kept,) = (tmp_path / "moc").glob("*/*.moc")
    block = Block.from_bytes(kept.read_bytes())
    assert np.array_equal(block.maps["synthetic"], first)
    other = Block({"synthetic": first[:3]}).to_bytes()
    kept.write_bytes(other)
    assert len(maps_of(backend, tmp_path).find("synthetic", EVERYTHING)) == 3
    kept.write_bytes(other[:-9])
    assert np.array_equal(maps_of(backend, tmp_path).find("synthetic", EVERYTHING), first)


def test_an_order_of_the_settings_and_too_many_ranges(make_backend, tmp_path):
    backend = make_backend("sqlite", FILES)
    fine = maps_of(backend, tmp_path).find(None, EVERYTHING)
    assert finest_order(maps_of(backend, tmp_path, order=6).find(None, EVERYTHING)) == 6
    few = maps_of(backend, tmp_path, max_ranges=100).find(None, EVERYTHING)
    assert len(few) <= 100
    assert np.array_equal(joined([few, fine]), few)


def test_a_request_does_not_wait_for_ever(make_backend, tmp_path):
    maps = maps_of(make_backend("sqlite", FILES), tmp_path, wait_limit_s=1e-9)
    with pytest.raises(ServiceUnavailable, match="being made"):
        maps.find(None, EVERYTHING)
    maps.close()


@pytest.mark.parametrize("seed", range(5))
def test_ranges_are_joined_and_coarsened_as_mocpy_does(seed):
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(0, 12 << 16, 400)).astype(np.uint64)
    given = np.stack([cells, cells + np.uint64(1)], axis=1) << np.uint64(2 * 21)
    rng.shuffle(given)
    found = joined([given[:100], given[100:], given[:5]])
    moc = MOC.from_healpix_cells(cells, np.full(len(cells), 8, np.uint8), 8)
    assert np.array_equal(found, moc.to_depth29_ranges)
    assert finest_order(found) == 8
    assert np.array_equal(within(found, 5), moc.degrade_to_order(5).to_depth29_ranges)
    assert len(coarsened(found, 50)) <= 50


DATED = AccessRule(data="released", groups=("g",), metadata="hidden")
CLOSED = AccessRule(data="groups", groups=("g",), metadata="hidden")
SHOWN = AccessRule(data="groups", groups=("g",))


@pytest.fixture(scope="module")
def guarded(make_backend):
    dates = {"old": "2001-01-01", "new": "2999-01-01T00:00:00", "never": None, "odd": "soon"}
    observations = [
        make_observation(
            f"ivo://x/y?{collection}{name}", Circle(10 * number, 5 * place, 0.5),
            obs_collection=collection, obs_release_date=date,
        )
        for place, collection in enumerate(("open", "dated", "closed", "shown"))
        for number, (name, date) in enumerate(dates.items())
    ]  # fmt: skip
    return make_backend("sqlite", [make_file("file:///x.fits", *observations)])


def test_maps_show_what_one_may_know_of_alone(guarded, tmp_path):
    rules = AccessRules(None, {"dated": DATED, "closed": CLOSED, "shown": SHOWN})
    public, member = rules.rights(Identity()), rules.rights(Identity("m", frozenset({"g"})))
    maps = maps_of(guarded, tmp_path)
    assert maps.collections(public) == ["dated", "open", "shown"]
    assert maps.collections(member) == ["closed", "dated", "open", "shown"]
    order = fitting_order(Circle(0, 0, 0.5), 12)
    assert np.array_equal(maps.find("dated", public), touched(Circle(0, 5, 0.5), order))
    assert len(maps.find("dated", member)) > len(maps.find("dated", public))
    assert np.array_equal(maps.find("shown", public), maps.find("shown", member))
    with pytest.raises(NotFoundError):
        maps.find("closed", public)
    hidden = joined([touched(Circle(ra, 10, 0.5), order) for ra in (0, 10, 20, 30)])
    seen = MOC.from_depth29_ranges(29, maps.find(None, public))
    assert seen.intersection(MOC.from_depth29_ranges(29, hidden)).empty()
    maps.close()


def test_what_is_released_meanwhile_comes_into_the_map(guarded, tmp_path, monkeypatch):
    rights = AccessRules(None, {"dated": DATED}).rights(Identity())
    maps = maps_of(guarded, tmp_path)
    before = maps.find("dated", rights)
    monkeypatch.setattr("obscore.coverage.maps.now_text", lambda: "2999-01-01T00:00:01")
    after = maps.find("dated", rights)
    order = fitting_order(Circle(0, 0, 0.5), 12)
    assert np.array_equal(after, joined([before, touched(Circle(10, 5, 0.5), order)]))
    maps.close()


@pytest.fixture(scope="module")
def client(make_backend, tmp_path_factory):
    backend = make_backend("sqlite", [*FILES, *EXTRA])
    folder = tmp_path_factory.mktemp("cache")
    app = create_coverage_app(maps_of(backend, folder))
    return AppClient(app)


def test_a_map_is_given_as_fits_of_moc_2(client, tmp_path):
    answer = client.get("/synthetic")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fits")
    with fits.open(io.BytesIO(answer.content)) as hdus:
        header = hdus[1].header
        told = {name: header[name] for name in ("MOCVERS", "MOCDIM", "ORDERING", "COORDSYS")}
        assert told == {"MOCVERS": "2.0", "MOCDIM": "SPACE", "ORDERING": "RANGE", "COORDSYS": "C"}
        assert header["MOCORD_S"] == finest_order(expected(FILES))
    path = tmp_path / "synthetic.fits"
    path.write_bytes(answer.content)
    moc = MOC.load(path, format="fits")
    assert np.array_equal(moc.to_depth29_ranges, expected(FILES))
    assert 'filename="synthetic.moc.fits"' in answer.headers["content-disposition"]


def test_all_forms_are_the_same_map(client):
    found = MOC.from_json(client.get("/more?FORMAT=json").json())
    text = client.get("/more", headers={"Accept": "text/plain"})
    assert text.headers["content-type"].startswith("text/plain")
    assert MOC.from_string(text.text) == found
    assert np.array_equal(found.to_depth29_ranges, expected(EXTRA, "more"))
    whole = MOC.from_string(client.get("/?format=ascii").text)
    parts = [expected(EXTRA, "more"), expected(FILES)]
    assert np.array_equal(whole.to_depth29_ranges, joined(parts))


def test_a_client_that_has_the_map_is_told_so(client):
    first = client.get("/more")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/more", headers={"If-None-Match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/more?FORMAT=json").headers["etag"] != first.headers["etag"]
    assert client.head("/more").headers["etag"] == first.headers["etag"]


def test_faults_of_requests_are_sentences(client):
    assert client.get("/absent/one").status_code == 404
    assert "no collection 'absent/one'" in client.get("/absent/one").text
    answer = client.get("/more?FORMAT=png")
    assert (answer.status_code, "fits, json, ascii" in answer.text) == (400, True)
    assert client.get("/more", headers={"Accept": "image/png"}).status_code == 415
    assert client.post("/more").status_code == 405


def test_rights_of_who_asks_are_heeded(guarded, tmp_path):
    app = create_coverage_app(maps_of(guarded, tmp_path))
    rules = AccessRules(None, {"dated": DATED, "closed": CLOSED})
    seen = []

    async def asked(scope, receive, send):
        member = "member" in Request(scope).query_params
        identity = Identity("m", frozenset({"g"})) if member else Identity()
        asking = Asking(identity, rules.rights(identity), rules.rights(Identity()))
        scope[SCOPE_KEY] = asking
        seen.append(asking)
        await app(scope, receive, send)

    client = AppClient(asked)
    assert client.get("/closed").status_code == 404
    assert client.get("/closed?member=1").status_code == 200
    assert client.get("/dated").headers["etag"] != client.get("/dated?member=1").headers["etag"]
    assert [asking.for_all for asking in seen] == [False, False, True, False]


@pytest.mark.stilts
def test_stilts_reads_the_map(client, tmp_path):
    path = tmp_path / "more.fits"
    path.write_bytes(client.get("/more").content)
    done = subprocess.run(
        ["stilts", "tpipe", f"in={path}", "cmd=stats Name NGood", "ofmt=csv"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"RANGE,{2 * len(expected(EXTRA, 'more'))}" in done.stdout
