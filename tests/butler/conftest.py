"""A Butler repository that the tests share."""

from __future__ import annotations

import pytest
from lsst.daf.butler import CollectionType

from obscore.sources.butler.testing import VISITS, begin_repository, polygon


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """Give a repository of raws, calibrated images, coadds and a warp. Not to be changed.

    The second run has one visit of the first anew. Exposure 104 is no visit.
    """
    made = begin_repository(tmp_path_factory.mktemp("survey"))
    with made.butler() as butler:
        for visit in VISITS:
            made.add_visit(butler, visit)
            made.add_calibrated(butler, visit, "Cam/first")
        made.add_visit(butler, 104, defined=False)
        made.add_calibrated(butler, VISITS[0], "Cam/second")
        add = butler.registry.insertDimensionData
        add("skymap", {"name": "map", "hash": b"0", "tract_max": 9, "patch_nx_max": 2,
                       "patch_ny_max": 1})  # fmt: skip
        tract = polygon((359.9, 19.9), (0.2, 19.9), (0.2, 20.2), (359.9, 20.2))
        add("tract", {"skymap": "map", "id": 7, "region": tract})
        for patch in (0, 1):
            path, region = made.write_image(f"coadd-{patch}.fits", 0.02 * patch, 20.03)
            sky = {"skymap": "map", "tract": 7, "patch": patch}
            add("patch", {"skymap": "map", "tract": 7, "id": patch, "cell_x": patch, "cell_y": 0,
                          "region": region})  # fmt: skip
            made.put(butler, "deep_coadd", path, "coadds", band="i", **sky)
        path, _ = made.write_image("warp.fits", 0.0, 20.03)
        made.put(butler, "warp", path, "coadds", skymap="map", tract=7, patch=0,
                 instrument="Cam", visit=102)  # fmt: skip
        butler.collections.register("Cam/all", CollectionType.CHAINED)
        butler.collections.redefine_chain("Cam/all", ["Cam/second", "Cam/first", "Cam/raw",
                                                      "coadds"])  # fmt: skip
        butler.collections.register("best", CollectionType.TAGGED)
        butler.registry.associate(
            "best",
            [ref for ref in made.refs.values()
             if ref.datasetType.name == "visit_image" and ref.run == "Cam/first"],
        )  # fmt: skip
    return made
