"""Live tiles of images on real servers: byte for byte those of the same files on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from hips.live.images import LiveImage, TileJob
from hips.live.worker import choose_recipe, make_preview, make_tile
from hips.settings import HipsSettings
from vodal.storage import LOCAL, Storage, StorageSettings
from vodal.storage.settings import S3Settings
from vodal.testing.nginx import has_nginx, serve_nginx
from vodal.testing.skies import make_wcs

SETTINGS = HipsSettings(order=9)


@pytest.fixture
def images(tmp_path, shelf):
    """Put three overlapping images, one compressed, into a folder; gives them as live ones."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(3):
        rng = np.random.default_rng(number)
        header = make_wcs(40.0 + 0.01 * number, 41.81, 300, 1.0, 30.0 * number).to_header(
            relax=True
        )
        data = rng.normal(100.0, 5.0, (300, 290)).astype(np.float32)
        path = folder / f"{number}.fits"
        if number == 2:
            hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, header, tile_shape=(32, 50))]
            fits.HDUList(hdus).writeto(path)
        else:
            fits.PrimaryHDU(data, header).writeto(path)
        shelf.put(path)
    return [LiveImage.of(one, shelf.index(one), LOCAL) for one in shelf.items]


@pytest.fixture
def by_nginx(tmp_path):
    if not has_nginx():
        pytest.skip("nginx is not installed")
    (tmp_path / "scratch").mkdir()
    with serve_nginx(tmp_path / "files", tmp_path / "scratch") as (host, _):
        yield f"http://{host}", StorageSettings(http_hosts=(host,))


@pytest.fixture
def by_s3(tmp_path, images):
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    from vodal.testing.s3 import KEYS, bucket_of, serve_s3

    with serve_s3() as endpoint, bucket_of(endpoint, "survey") as client:
        for number in range(len(images)):
            client.upload_file(str(tmp_path / "files" / f"{number}.fits"), "survey",
                               f"{number}.fits")  # fmt: skip
        s3 = S3Settings(buckets=("survey",), endpoint=endpoint, **KEYS)
        yield "s3://survey", StorageSettings(s3=s3)


@pytest.mark.parametrize("place", ["by_nginx", "by_s3"])
def test_tiles_and_previews_are_those_of_local_files(images, tmp_path, place, request):
    base, settings = request.getfixturevalue(place)
    storage = Storage(settings)
    far = []
    for number, image in enumerate(images):
        uri = f"{base}/{number}.fits"
        with storage.open(uri) as reader:
            version = reader.stat().version
        far.append(replace(image, uri=uri, version=version, storage=storage,
                           index=replace(image.index, version=version)))  # fmt: skip
    recipe = choose_recipe(images, SETTINGS, tmp_path / "here")
    assert choose_recipe(far, SETTINGS, tmp_path / "there") == recipe
    compared = 0
    from hips.live.regions import tile_at

    for npix in {tile_at(9, 40.0 + step, 41.81) for step in (-0.03, 0.0, 0.03)}:
        for extension in ("fits", "png"):
            job = TileJob(9, npix, extension, recipe.text, SETTINGS, tuple(images))
            made = make_tile(replace(job, images=tuple(far)))
            assert not made.lost
            assert made.body == make_tile(job).body
            compared += made.body is not None
    assert compared >= 2
    for number, (near, one) in enumerate(zip(images, far, strict=True)):
        paths = [tmp_path / f"{kind}{number}" for kind in ("near", "far")]
        for image, path in zip((near, one), paths, strict=True):
            assert make_preview(image, SETTINGS, path).size_bytes
        assert paths[0].read_bytes() == paths[1].read_bytes()
    storage.close()
