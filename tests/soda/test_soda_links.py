from __future__ import annotations

import dataclasses

import numpy as np

from soda.distance import signed_distance, unit_vectors
from soda.links import SodaAnnotator, SodaLinkMaker
from vodal.products import Product
from vodal.regions import Circle, Polygon
from vodal.tables.columns import Column

FOOTPRINT = Polygon(((10.0, 20.0), (10.5, 20.0), (10.5, 20.5), (10.0, 20.5)))


def product(region=FOOTPRINT):
    return Product(
        did="ivo://example.org/survey?a%20b/c&d.fits:CCD,3", collection="c", uri="file:///x",
        file_name="x", content_type="image/fits", size_bytes=1, version="1", modified_unix_s=0.0,
        hdus=(0,), region=region,
    )  # fmt: skip


def inputs(descriptor):
    return {one.name: one for one in descriptor.inputs}


def test_exactly_one_cutout_row_with_its_own_descriptor():
    (link,) = SodaLinkMaker().links(product(), "https://x.org/sky")
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
    (link,) = SodaLinkMaker().links(product(), "https://x.org")
    ra, dec, radius = map(float, inputs(link.service)["CIRCLE"].maximum.split())
    corners = np.array(FOOTPRINT.vertices)
    distance = signed_distance(Circle(ra, dec, radius))(unit_vectors(*corners.T))
    assert (distance <= 0).all()
    assert radius < 0.36


def test_products_of_other_shapes():
    (link,) = SodaLinkMaker().links(product(Circle(1.0, 2.0, 0.25)), "https://x.org")
    given = inputs(link.service)
    assert given["CIRCLE"].maximum == "1 2 0.25000001"
    assert given["POLYGON"].maximum is None
    (link,) = SodaLinkMaker().links(product(None), "https://x.org")
    assert inputs(link.service)["CIRCLE"].maximum is None


def test_the_generic_descriptor_points_to_the_column_of_identifiers():
    did = Column(
        "my_id", "char", "*", utype="obscore:Curation.publisherDID", id="obs_publisher_did"
    )
    other = Column("s_ra", "double", unit="deg", id="s_ra")
    (descriptor,) = SodaAnnotator().descriptors((other, did), "http://localhost:8080")
    given = inputs(descriptor)
    assert given["ID"].ref == "obs_publisher_did"
    assert given["ID"].value == ""
    assert given["CIRCLE"].maximum is None
    assert descriptor.access_url == "http://localhost:8080/soda/sync"
    assert not SodaAnnotator().descriptors((other,), "http://localhost:8080")
    nameless = dataclasses.replace(did, id=None)
    assert not SodaAnnotator().descriptors((nameless,), "http://localhost:8080")
