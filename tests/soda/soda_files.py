"""FITS files and comparisons for the tests of cutouts."""

import subprocess
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import Catalogue, CollectionSummary, Product, Resolver
from vodal.regions import Polygon
from vodal.sphere import intersects
from vodal.storage import stat_local

DID = "ivo://example.org/survey?night%201/{}"


class Products(Catalogue, Resolver):
    """A resolver of the files in memory; each product of each file is one dataset."""

    def __init__(self, *paths):
        self.found = {}
        self.indexes = {}
        for path in paths:
            index = scan_file(path)
            groups = group_planes(index)
            stat = stat_local(path)
            for group in groups:
                did = DID.format(path.name) + ("" if len(groups) == 1 else f":{group.label}")
                self.found[did] = Product(
                    did=did,
                    collection="survey",
                    uri=path.resolve().as_uri(),
                    file_name=path.name,
                    content_type="image/fits",
                    size_bytes=stat.size_bytes,
                    version=stat.version,
                    modified_unix_s=stat.modified_unix_s,
                    hdus=group.hdus,
                    region=None,
                    obscore={"em_min": 4e-7, "em_max": 5e-7, "t_min": 60000.0, "t_max": 60000.1},
                )
                self.indexes[did] = index

    def collections(self):
        return [CollectionSummary("survey", len(self.found), ())]

    def products(self, collection=None, region=None):
        """Give those whose outline meets a region, as a catalogue does."""
        for did in sorted(self.found):
            product = self.found[did]
            if product.region is None:
                with fits.open(Path(url2pathname(urlsplit(product.uri).path))) as hdus:
                    wcs = WCS(hdus[product.hdus[0]].header)
                corners = tuple((float(a), float(b)) for a, b in wcs.calc_footprint())
                product = self.found[did] = replace(product, region=Polygon(corners))
            if collection in {None, product.collection} and (
                region is None or intersects(product.region, region)
            ):
                yield product

    def sample(self, kind, count):
        found = (one for one in self.products() if one.obscore.get("dataproduct_type") == kind)
        return list(islice(found, count))

    def resolve(self, dids):
        return {did: self.found[did] for did in dids if did in self.found}

    def ready(self, product):
        return product

    def index(self, product):
        return self.indexes[product.did]


def section(header):
    """Read CUTSEC as numpy slices."""
    parts = header["CUTSEC"].strip("[]").split(",")
    bounds = [part.split(":") for part in reversed(parts)]
    return tuple(slice(int(low) - 1, int(high), *map(int, step)) for low, high, *step in bounds)


def verify(path):
    """Run fitsverify; gives what it complains of."""
    done = subprocess.run(["fitsverify", "-e", path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout


def assert_same_pixels(cut, original):
    """Compare a cutout's pixels with those of the original; raw values where there are any."""
    expected = np.asarray(original.data)[section(cut.header)]
    found = np.asarray(cut.data)
    assert found.shape == expected.shape
    assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


def assert_same_sky(cut, original, cut_file, original_file, key=" "):
    """Compare the places on the sky of a cutout's pixels with those of the original's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = WCS(cut.header, cut_file, key=key)
        theirs = WCS(original.header, original_file, key=key)
        axes = ours.naxis
        slices = section(cut.header)
        rng = np.random.default_rng(1)
        places = np.zeros((20, axes))
        shift = np.zeros(axes)
        for axis in range(min(axes, len(slices))):
            part = slices[len(slices) - 1 - axis]
            places[:, axis] = rng.uniform(-0.5, part.stop - part.start - 0.5, 20)
            shift[axis] = part.start
        a = ours.all_pix2world(places, 0)
        b = theirs.all_pix2world(places + shift, 0)
        # In pixels: what a difference on the sky amounts to.
        scale = np.abs(np.diag(theirs.pixel_scale_matrix)) + np.abs(theirs.pixel_scale_matrix).max()
        assert (np.isfinite(a) == np.isfinite(b)).all()
        good = np.isfinite(a).all(axis=1)
        difference = np.abs(a[good] - b[good])
        difference = np.minimum(difference, np.abs(360.0 - difference))
        tolerance = 1e-6 * np.maximum(scale, 1e-300)
        if abs(b[good]).max(initial=0) > 80:  # near a pole longitudes spread
            tolerance = tolerance * 100
        assert (difference <= tolerance + 1e-13 * np.abs(b[good])).all()


def write(path, *hdus):
    fits.HDUList(list(hdus)).writeto(path, overwrite=True)
    return path


def assert_same_product(body, did, survey, tmp_path):
    """Compare a cutout with its original, by astropy."""
    original = next(e.path for e in survey.exposures if did.endswith(e.path.name))
    path = tmp_path / "one.fits"
    path.write_bytes(body)
    assert verify(path) == ""
    with fits.open(path) as cut, fits.open(original) as whole:
        assert cut[0].header["CUTID"] == did
        for name in ("IMAGE", "MASK", "VARIANCE"):
            assert_same_pixels(cut[name], whole[name])
        assert_same_sky(cut["IMAGE"], whole["IMAGE"], cut, whole)


def all_sky_header() -> fits.Header:
    """Give the header of a map of the whole sky, 180 by 90 pixels, whose corners are off it."""
    return fits.Header(
        {
            "CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT", "CRVAL1": 0.0, "CRVAL2": 0.0,
            "CRPIX1": 90.5, "CRPIX2": 45.5, "CDELT1": -2.0, "CDELT2": 2.0,
        }
    )  # fmt: skip
