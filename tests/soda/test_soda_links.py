from __future__ import annotations

import dataclasses

import numpy as np

from soda.distance import signed_distance, unit_vectors
from soda.links import SodaAnnotator, SodaLinkMaker
from vodal.products import Product
from vodal.regions import Circle, Polygon
from vodal.tables.columns import Column

BASE = "https://x.org"
FOOTPRINT = Polygon(((10.0, 20.0), (10.5, 20.0), (10.5, 20.5), (10.0, 20.5)))


def product(region=FOOTPRINT, **row):
    return Product(
        did="ivo://example.org/survey?a%20b/c&d.fits:CCD,3", collection="c", uri="file:///x",
        file_name="x", content_type="image/fits", size_bytes=1, version="1", modified_unix_s=0.0,
        hdus=(0,), region=region, obscore=row,
    )  # fmt: skip


def inputs(descriptor):
    return {one.name: one for one in descriptor.inputs}


def cutout_of(one, base=BASE):
    """Give the one row whose semantics any client takes for a cutout's."""
    (found,) = [link for link in SodaLinkMaker().links(one, base) if "cutout" in link.semantics]
    return found


def test_exactly_one_cutout_row_with_its_own_descriptor():
    link = cutout_of(product(), "https://x.org/sky")
    assert link.semantics == "#cutout"
    assert link.access_url is None
    assert link.error_message is None
    assert link.did == product().did
    service = link.service
    assert service.standard_id == "ivo://ivoa.net/std/SODA#sync-1.0"
    assert service.access_url == "https://x.org/sky/soda/sync"
    given = inputs(service)
    assert given["ID"].value == product().did
    assert given["ID"].ref is None
    assert (given["CIRCLE"].xtype, given["CIRCLE"].arraysize, given["CIRCLE"].unit) == (
        "circle", "3", "deg",
    )  # fmt: skip
    assert given["CIRCLE"].ucd == given["POLYGON"].ucd == given["POS"].ucd == "pos.outline;obs"
    assert given["POLYGON"].maximum == "10 20 10.5 20 10.5 20.5 10 20.5"


def test_the_circle_covers_the_footprint_and_is_hardly_larger():
    link = cutout_of(product())
    ra, dec, radius = map(float, inputs(link.service)["CIRCLE"].maximum.split())
    corners = np.array(FOOTPRINT.vertices)
    distance = signed_distance(Circle(ra, dec, radius))(unit_vectors(*corners.T))
    assert (distance <= 0).all()
    assert radius < 0.36


def test_products_of_other_shapes():
    link = cutout_of(product(Circle(1.0, 2.0, 0.25)))
    given = inputs(link.service)
    assert given["CIRCLE"].maximum == "1 2 0.25000001"
    assert given["POLYGON"].maximum is None
    link = cutout_of(product(None))
    assert inputs(link.service)["CIRCLE"].maximum is None


def test_what_the_row_tells_are_limits_and_options():
    cube = product(em_min=4.75e-7, em_max=9.35e-7, em_xel=3681, t_min=57000.25, t_max=57000.5,
                   pol_states="/I/Q/")  # fmt: skip
    link = cutout_of(cube)
    given = inputs(link.service)
    band, time, pol = given["BAND"], given["TIME"], given["POL"]
    assert (band.minimum, band.maximum, band.unit) == ("4.75e-07", "9.35e-07", "m")
    assert (band.xtype, band.arraysize, band.ucd) == ("interval", "2", "em.wl;stat.interval")
    assert (time.minimum, time.maximum, time.unit) == ("57000.25", "57000.5", "d")
    assert time.ucd == "time.interval;obs.exposure"
    assert (pol.options, pol.ucd) == (("I", "Q"), "meta.code;phys.polarization")
    assert {"PIXELS", "HDU", "TABLES", "KIND"} <= set(given)
    # What the service would refuse, as nothing is known, is not offered.
    link = cutout_of(product())
    assert not {"BAND", "TIME", "POL"} & set(inputs(link.service))


def test_the_generic_descriptor_points_to_the_column_of_identifiers():
    did = Column(
        "my_id", "char", "*", utype="obscore:Curation.publisherDID", id="obs_publisher_did"
    )
    other = Column("s_ra", "double", unit="deg", id="s_ra")
    descriptor, jobs, stitched = SodaAnnotator().descriptors((other, did), "http://localhost:8080")
    given = inputs(descriptor)
    assert given["ID"].ref == "obs_publisher_did"
    assert given["ID"].value == ""
    assert given["CIRCLE"].maximum is None
    assert {"BAND", "TIME", "POL", "PIXELS", "HDU", "TABLES", "KIND"} <= set(given)
    assert given["BAND"].minimum is given["TIME"].maximum is None
    assert descriptor.access_url == "http://localhost:8080/soda/sync"
    assert jobs.standard_id == "ivo://ivoa.net/std/SODA#async-1.0"
    assert jobs.access_url == "http://localhost:8080/soda/async"
    assert jobs.inputs == descriptor.inputs
    assert stitched.access_url == "http://localhost:8080/soda/stitched"
    assert inputs(stitched)["ID"].ref == "obs_publisher_did"
    assert {"PROJ", "PIXSCALE", "CIRCLE", "STACK"} <= set(inputs(stitched))
    # pyvo and Firefly know cutouts by it.
    assert not stitched.standard_id
    assert not SodaAnnotator().descriptors((other,), "http://localhost:8080")
    nameless = dataclasses.replace(did, id=None)
    assert not SodaAnnotator().descriptors((nameless,), "http://localhost:8080")


def test_a_row_for_jobs_asks_for_the_same():
    cube = product(em_min=4.75e-7, em_max=9.35e-7, em_xel=3681, pol_states="/I/Q/")
    cutout, jobs = SodaLinkMaker().links(cube, BASE)
    assert (cutout.semantics, jobs.semantics) == ("#cutout", "#proc")
    assert jobs.did == cube.did
    assert jobs.service.id == "soda-async"
    assert jobs.service.standard_id == "ivo://ivoa.net/std/SODA#async-1.0"
    assert jobs.service.access_url == "https://x.org/soda/async"
    assert jobs.service.inputs == cutout.service.inputs
    # Firefly takes any of these words for a second cutout, and shows no toggle then.
    assert "cutout" not in f"{jobs.semantics} {jobs.local_semantics}".lower()


def test_an_image_has_a_row_for_other_grids():
    cutout, jobs, other = SodaLinkMaker().links(
        product(dataproduct_type="image", em_min=1e-7, em_max=2e-7), BASE
    )
    assert [one.semantics for one in (cutout, jobs, other)] == ["#cutout", "#proc", "#proc"]
    given = inputs(other.service)
    assert given["ID"].value == product().did
    assert given["PROJ"].options[0] == "TAN"
    assert given["POLYGON"].maximum == "10 20 10.5 20 10.5 20.5 10 20.5"
    # With ID they are refused.
    assert not {"COLLECTION", "FILTER", "TIME", "KIND"} & set(given)
    for nowhere in (product(dataproduct_type="cube"), product(None, dataproduct_type="image")):
        assert len(list(SodaLinkMaker().links(nowhere, BASE))) == 2
