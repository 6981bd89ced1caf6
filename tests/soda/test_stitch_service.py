"""The resource /stitched on a real port, and how its requests are read."""

from __future__ import annotations

import io
import sys
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products
from starlette.applications import Starlette
from starlette.routing import Mount

from soda.app import create_app, make_pool
from soda.finding import Finder
from soda.metrics import CUT_OUTCOMES, RESAMPLED_STEPS
from soda.settings import SodaSettings
from soda.stitch.choose import choose
from soda.stitch.request import StitchRequest, parse_stitch
from vodal.errors import MultiValuedParamNotSupported, NotFoundError, TooLargeError, UsageError
from vodal.fits.footprint import footprint
from vodal.fits.opened import OpenImage
from vodal.params import Params
from vodal.products import CollectionSummary
from vodal.regions import Circle
from vodal.sphere import intersects
from vodal.testing.server import serve


class Catalogue(Products):
    """Products with footprints and filters, to be found by both."""

    def __init__(self, exposures):
        super().__init__(*(one.path for one in exposures))
        for (did, product), one in zip(self.found.items(), exposures, strict=True):
            image = OpenImage(product.uri, self.indexes[did], product.hdus)
            ny, nx = image.shape
            self.found[did] = replace(
                product,
                region=footprint(image.wcs, nx, ny).region,
                obscore={**product.obscore, "filter": one.band, "t_exptime": one.exposure_s,
                         "dataproduct_type": "image", "em_xel": 1, "t_xel": 1},
            )  # fmt: skip

    def collections(self):
        return [CollectionSummary("survey", len(self.found), ("g", "r", "i"))]

    def products(self, collection=None, region=None):
        return iter(
            [
                product
                for _, product in sorted(self.found.items())
                if collection in {None, product.collection}
                and (region is None or intersects(product.region, region))
            ]
        )


@pytest.fixture(scope="module")
def catalogue(survey):
    return Catalogue(survey.exposures)


@contextmanager
def served(catalogue, registry=None, **given):
    """Serve a catalogue; gives a function that asks."""
    settings = SodaSettings(**{"workers": 1, **given})
    pool = make_pool(settings)
    soda = create_app(
        resolver=catalogue, catalogue=catalogue, pool=pool, settings=settings, registry=registry
    )

    @asynccontextmanager
    async def lifespan(_app):
        async with pool:
            yield

    with (
        serve(Starlette(routes=[Mount("/soda", soda)], lifespan=lifespan)) as server,
        httpx.Client(timeout=60) as client,
    ):
        yield lambda path="stitched", **params: client.get(
            f"{server.url}/soda/{path}", params=params
        )


@pytest.fixture(scope="module")
def ask(catalogue):
    with served(catalogue, max_output_bytes=3_000_000, max_stitched=4) as ask:
        yield ask


def steps_of(answer):
    parts = [part.partition(";dur=") for part in answer.headers["server-timing"].split(", ")]
    assert all(float(duration) >= 0 for _, _, duration in parts)
    return tuple(name for name, _, _ in parts)


def in_band(catalogue, band):
    return [did for did, product in catalogue.found.items() if product.obscore["filter"] == band]


def test_datasets_by_their_identifiers(ask, catalogue, survey):
    dids = in_band(catalogue, "r")[:2]
    ra, dec = survey.centre
    answer = ask(ID=dids, CIRCLE=f"{ra} {dec} 0.01", COVERAGE="1")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/fits"
    assert answer.headers["content-disposition"].startswith('attachment; filename="stitched_')
    assert steps_of(answer) == RESAMPLED_STEPS
    with fits.open(io.BytesIO(answer.content)) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "COVERAGE", "INPUTS"]
        used = hdus["INPUTS"].data["obs_publisher_did"].tolist()
        assert set(used) <= set(dids)
        assert np.isfinite(hdus[0].data).any()
        assert "CUTID" not in hdus[0].header or len(used) == 1


def test_a_collection_and_a_filter(ask, catalogue, survey):
    ra, dec = survey.centre
    given = {"COLLECTION": "survey", "CIRCLE": f"{ra} {dec} 0.004"}
    answer = ask(**given, FILTER="R", STACK="weighted")
    assert answer.status_code == 200
    with fits.open(io.BytesIO(answer.content)) as hdus:
        used = set(hdus["INPUTS"].data["obs_publisher_did"].tolist())
        circle = Circle(ra, dec, 0.004)
        met = {p.did for p in catalogue.products("survey", circle) if p.obscore["filter"] == "r"}
        assert used == met
        times = dict(zip(hdus["INPUTS"].data["obs_publisher_did"],
                         hdus["INPUTS"].data["weight"], strict=True))  # fmt: skip
        assert times == {did: catalogue.found[did].obscore["t_exptime"] for did in used}
    answer = ask(**given)
    assert answer.status_code == 400
    assert "several filters; give a FILTER, such as g, i, r" in answer.text


def test_as_a_picture_and_compressed(ask, catalogue, survey):
    ra, dec = survey.centre
    given = {"ID": in_band(catalogue, "g"), "CIRCLE": f"{ra} {dec} 0.004"}
    answer = ask(**given, RESPONSEFORMAT="image/png", SIZE="50")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith("inline")
    picture = Image.open(io.BytesIO(answer.content))
    assert max(picture.size) == 50
    assert np.ptp(np.asarray(picture)[..., 0]) > 50
    packed = ask(**given, RESPONSEFORMAT="fits-rice")
    plain = ask(**given)
    with fits.open(io.BytesIO(packed.content)) as a, fits.open(io.BytesIO(plain.content)) as b:
        np.testing.assert_array_equal(np.isnan(a[1].data), np.isnan(b[0].data))
        np.testing.assert_allclose(a[1].data, b[0].data, atol=np.nanstd(b[0].data))


def test_refusals_on_the_wire(ask, catalogue, survey):
    ra, dec = survey.centre
    dids = list(catalogue.found)
    empty = ask(ID=dids[:2], CIRCLE="0 -80 1")
    assert (empty.status_code, empty.content) == (204, b"")
    assert ask(ID=dids[:2], CIRCLE=f"{ra} {dec} 0.01", BAND="1 2").status_code == 204
    nowhere = ask(COLLECTION="survey", CIRCLE="0 -80 1")
    assert (nowhere.status_code, nowhere.content) == (204, b"")
    missing = ask(ID="ivo://nowhere", CIRCLE=f"{ra} {dec} 0.01")
    assert missing.status_code == 404
    assert missing.text.startswith("UsageError: there is no dataset 'ivo://nowhere'")
    large = ask(ID=dids[:2], CIRCLE=f"{ra} {dec} 0.01", PIXSCALE="0.01")
    assert large.status_code == 413
    assert "PIXSCALE" in large.text
    many = ask("sync", ID=dids[:2], CIRCLE=f"{ra} {dec} 0.01")
    assert many.status_code == 400
    assert many.text.startswith("MultiValuedParamNotSupported: ID may be given only once")
    assert "/stitched one image of several datasets" in many.text


def test_what_was_done_is_counted(catalogue, survey):
    registry = CollectorRegistry()
    ra, dec = survey.centre
    dids = in_band(catalogue, "r")[:2]

    def value(name, **labels):
        return registry.get_sample_value(f"skylane_soda_{name}", {"mode": "stitched", **labels})

    with served(catalogue, registry, max_output_bytes=3_000_000) as ask:
        # In the memory that is shared, in place of what a longer answer left there.
        long, short = (ask(ID=dids, CIRCLE=f"{ra} {dec} {r}", COVERAGE="1") for r in (0.01, 0.004))
        for answer in (long, short):
            with fits.open(io.BytesIO(answer.content)) as hdus:
                assert [hdu.name for hdu in hdus] == ["PRIMARY", "COVERAGE", "INPUTS"]
                assert np.nanmax(hdus["COVERAGE"].data) <= 2.0
        assert value("cutout_bytes_sum") == len(long.content) + len(short.content)
        for step in RESAMPLED_STEPS:
            assert value("step_seconds_count", step=step) == 2
        needed = registry.get_sample_value("skylane_soda_needed_bytes_total")
        read = registry.get_sample_value("skylane_soda_read_bytes_total")
        assert 10_000 < needed <= read < 5e6
        ask(ID=dids, CIRCLE="0 -80 1")
        ask(ID=dids, CIRCLE=f"{ra} {dec} 0.01", PIXSCALE="0.01")
        ask(PROJ="HPX")
    found = [int(value("cutouts_total", outcome=name)) for name in CUT_OUTCOMES]
    # A request that cannot be read is no cutout, as with those of /sync.
    assert found == [2, 1, 1, 0, 0, 0, 0]


def test_deadline_and_memory_hold(catalogue, survey):
    ra, dec = survey.centre
    dids = in_band(catalogue, "r")
    large = {"ID": dids, "CIRCLE": f"{ra} {dec} 0.01", "PIXSCALE": "0.008", "OUTSIDE": "keep"}
    with served(catalogue, memory_limit_bytes=1 << 28) as ask:
        answer = ask(**large)
        assert answer.status_code == 413
        assert "needs more memory than the 268 MB it may use" in answer.text
        assert ask(ID=dids, CIRCLE=f"{ra} {dec} 0.004").status_code == 200
    with served(catalogue, deadline_s=0.4) as ask:
        answer = ask(**large)
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers


def test_pictures_tell_their_steps(ask, catalogue, survey):
    ra, dec = survey.centre
    given = {"CIRCLE": f"{ra} {dec} 0.004", "RESPONSEFORMAT": "png"}
    dids = in_band(catalogue, "r")
    for more in ({"ID": dids[0]}, {"ID": [dids[0], dids[0], dids[1]], "COMBINE": "rgb"}):
        answer = ask("sync", **given, **more)
        assert answer.status_code in {200, 204}
        if answer.status_code == 200:
            assert steps_of(answer) == RESAMPLED_STEPS
    assert steps_of(ask(**given, ID=dids[:2])) == RESAMPLED_STEPS


def chosen(catalogue, most=100, **given):
    pairs = [
        (name, value)
        for name, values in given.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    return choose(parse_stitch(Params(pairs)), Finder(catalogue), catalogue, most)


def test_which_images_are_chosen(catalogue, survey):
    ra, dec = survey.centre
    dids = in_band(catalogue, "i")
    assert [one.source.did for one in chosen(catalogue, ID=dids[::-1])] == dids[::-1]
    with pytest.raises(TooLargeError, match="ID is given 2 times; at most 1 images"):
        chosen(catalogue, 1, ID=dids[:2])
    around = f"{ra} {dec} 1"
    with pytest.raises(TooLargeError, match=r"more than 2 images of COLLECTION=survey.*smaller"):
        chosen(catalogue, 2, COLLECTION="survey", CIRCLE=around, FILTER=["g", "r"])
    with pytest.raises(UsageError, match=r"several filters; give a FILTER, such as g, i"):
        chosen(catalogue, 2, COLLECTION="survey", CIRCLE=around)
    assert len(chosen(catalogue, COLLECTION="survey", CIRCLE=around, FILTER=["i", "g"])) == (
        len(dids) + len(in_band(catalogue, "g"))
    )
    assert chosen(catalogue, COLLECTION="survey", CIRCLE=around, FILTER="i", TIME="1 2") == ()
    with pytest.raises(UsageError, match="FILTER: the images there are of g, i, r"):
        chosen(catalogue, COLLECTION="survey", CIRCLE=around, FILTER="z")
    with pytest.raises(NotFoundError, match="no COLLECTION 'other'"):
        chosen(catalogue, COLLECTION="other", CIRCLE=around)
    with pytest.raises(UsageError, match="POL is not supported for this dataset"):
        chosen(catalogue, ID=dids, POL="I")


def test_masks_and_cubes_of_a_collection_are_left_out(survey):
    catalogue = Catalogue(survey.exposures[:3])
    for did, more in zip(list(catalogue.found), (
        {"dataproduct_subtype": "mask"}, {"dataproduct_type": "cube"}, {"filter": "g"},
    ), strict=True):  # fmt: skip
        product = catalogue.found[did]
        catalogue.found[did] = replace(product, obscore={**product.obscore, **more})
    found = chosen(catalogue, COLLECTION="survey", CIRCLE="{} {} 1".format(*survey.centre))
    assert [one.source.did for one in found] == [list(catalogue.found)[2]]


def test_all_parameters():
    asked = parse_stitch(Params([
        ("ID", "a"), ("id", "b"), ("POS", "CIRCLE 10 20 0.1"), ("PROJ", "zea"),
        ("PIXSCALE", "0.25"), ("ROTATION", "-30"), ("FRAME", "Galactic"), ("NPIX", "100 50"),
        ("SAMPLING", "lanczos3"), ("STACK", "median"), ("CONSERVE", "flux"),
        ("PHOTOMETRY", "none"), ("COVERAGE", "1"), ("OUTSIDE", "keep"),
    ]))  # fmt: skip
    assert asked.dids == ("a", "b")
    image = asked.image
    assert image == StitchRequest(
        selection=image.selection, projection="ZEA", scale_arcsec=0.25, rotation_deg=330.0,
        frame="galactic", npix=(100, 50), sampling="lanczos3", combination="median",
        conserved="flux", photometry="none", coverage=True, output=image.output,
    )  # fmt: skip
    assert image.stencil == Circle(10, 20, 0.1)
    assert image.output.outside == "keep"
    assert parse_stitch(Params([("ID", "a")])).image == StitchRequest()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the parameter ID is missing; give it once or more, or a COLLECTION"),
        ({"COLLECTION": "x"}, "with COLLECTION give one of POS, CIRCLE and POLYGON"),
        ({"ID": "a", "COLLECTION": "x"}, "give ID or COLLECTION, not both"),
        ({"ID": "a", "FILTER": "r"}, "FILTER chooses among the images of a COLLECTION"),
        ({"ID": "a", "PROJ": "HPX"}, "PROJ may be TAN, SIN, .*; not 'HPX'"),
        ({"ID": "a", "PIXSCALE": "0"}, "PIXSCALE takes one number from .* a pixel in arcseconds"),
        ({"ID": "a", "PIXSCALE": "x"}, "PIXSCALE takes one number from .*; 'x' is not a number"),
        ({"ID": "a", "PIXSCALE": "1 2"}, "PIXSCALE takes one number"),
        ({"ID": "a", "ROTATION": "inf"}, "ROTATION takes one .*; 'inf' is not a finite number"),
        ({"ID": "a", "FRAME": "fk5"}, "FRAME may be icrs, galactic; not 'fk5'"),
        ({"ID": "a", "NPIX": "10", "POS": "CIRCLE 1 2 3"}, "NPIX takes two whole numbers"),
        ({"ID": "a", "NPIX": "10.5 3", "POS": "CIRCLE 1 2 3"}, "NPIX takes two whole numbers"),
        ({"ID": "a", "NPIX": "10 10"}, "with NPIX give one of POS"),
        ({"ID": "a", "SAMPLING": "cubic"}, "SAMPLING may be bilinear, lanczos3"),
        ({"ID": "a", "STACK": "sum"}, "STACK may be mean, weighted, median, first; not 'sum'"),
        ({"ID": "a", "CONSERVE": "x"}, "CONSERVE may be auto, flux, brightness"),
        ({"ID": "a", "PHOTOMETRY": "x"}, "PHOTOMETRY may be zeropoint, none"),
        ({"ID": "a", "COVERAGE": "x"}, "COVERAGE may be 0, 1"),
        ({"ID": "a", "OUTSIDE": "mask"}, "OUTSIDE may be nan or keep for stitched images"),
        ({"ID": "a", "PIXELS": "[1:2,1:2]"}, "PIXELS is not for stitched images"),
        ({"ID": "a", "COMBINE": "rgb"}, "COMBINE=rgb"),
        ({"ID": "a", "POS": "CIRCLE 1 2"}, "POS=CIRCLE takes three numbers"),
    ],
)  # fmt: skip
def test_what_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        parse_stitch(Params(given.items()))


@pytest.mark.parametrize("name", ["POS", "BAND", "PROJ", "PIXSCALE", "COLLECTION"])
def test_what_may_be_given_once(name):
    values = {"POS": ("CIRCLE 1 2 3", "CIRCLE 1 2 4"), "COLLECTION": ("a", "b")}
    given = [(name, text) for text in values.get(name, ("1 2", "1 3"))]
    with pytest.raises(MultiValuedParamNotSupported):
        parse_stitch(Params([*given, *(() if name == "COLLECTION" else [("ID", "a")])]))
