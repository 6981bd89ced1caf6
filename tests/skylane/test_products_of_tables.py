"""Rows of a table catalogued without opening a file, and then cut, shown and fetched by HTTP."""

from __future__ import annotations

import csv
import io

import httpx
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS

from datalink.testing import links_faults
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.testing.skies import make_wcs

SIZE = 120
CHIPS = {"S1": (40.0, 5.0), "S2": (41.0, 5.0)}


def write_images(folder):
    """Write a plain image and two chips in one file, RICE-compressed, with pixels that differ."""
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True)
    header = make_wcs(10.0, -30.0, SIZE, 1.0, distorted=False).to_header()
    fits.PrimaryHDU(rng.integers(0, 999, (SIZE, SIZE), np.int16), header).writeto(
        folder / "one.fits"
    )
    hdus = [fits.PrimaryHDU()]
    for name, place in CHIPS.items():
        header = make_wcs(*place, SIZE, 1.0, distorted=False).to_header()
        data = rng.integers(0, 999, (SIZE, SIZE), np.int16)
        hdus.append(fits.CompImageHDU(data, header, name=name, tile_shape=(40, 40)))
    fits.HDUList(hdus).writeto(folder / "chips.fits.fz")


TABLE = """file,chip,s_ra,s_dec,s_region,filter,t_min,t_exptime,seen
one.fits,,10.0,-30.0,CIRCLE ICRS 10 -30 0.02,r,60000.5,30,1.5
chips.fits.fz,S1,40.0,5.0,CIRCLE ICRS 40 5 0.02,g,60001.5,30,1.6
chips.fits.fz,S2,41.0,5.0,CIRCLE ICRS 41 5 0.02,g,60001.5,30,1.7
gone.fits,,80.0,5.0,CIRCLE ICRS 80 5 0.02,g,60002.5,30,1.8
"""


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_row_of_a_table_is_served_as_any_other(request, store, tmp_path, cli, pyvo_sockets):
    write_images(tmp_path / "data")
    (tmp_path / "data" / "night.csv").write_text(TABLE)
    settings = f"""
[soda]
workers = 1
[obscore.collections.night]
table = {{ path = "{tmp_path}/data/night.csv", hdu = "chip" }}
[obscore.collections.night.mapping]
s_resolution = "fact:seen"
"""
    if store == "postgres":
        settings += f'[store]\nurl = "{request.getfixturevalue("postgres_url")}"\n'
    (tmp_path / "skylane.toml").write_text(settings)
    # No file is opened: they may not even be there.
    (tmp_path / "data").rename(tmp_path / "away")
    (tmp_path / "data").mkdir()
    (tmp_path / "away" / "night.csv").rename(tmp_path / "data" / "night.csv")
    assert "4 rows written" in cli.run("ingest", "--site", tmp_path).stdout
    for path in (tmp_path / "away").iterdir():
        path.rename(tmp_path / "data" / path.name)
    process, url = cli.start(tmp_path)
    try:
        adql = """SELECT obs_publisher_did, s_ra, s_dec, em_min, access_estsize, s_resolution
            FROM ivoa.obscore WHERE CONTAINS(POINT('ICRS', s_ra, s_dec), s_region) = 1
            ORDER BY s_ra"""
        query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": adql}
        text = httpx.post(f"{url}/tap/sync", data=query, timeout=60).raise_for_status().text
        rows = list(csv.DictReader(io.StringIO(text)))
        dids = [row["obs_publisher_did"] for row in rows]
        assert [did.rpartition("?")[2] for did in dids] == [
            "one.fits", "chips.fits.fz:S1", "chips.fits.fz:S2", "gone.fits",
        ]  # fmt: skip
        assert [float(row["s_resolution"]) for row in rows] == [1.5, 1.6, 1.7, 1.8]
        assert all(float(row["em_min"]) > 3e-7 and not row["access_estsize"] for row in rows)
        # The file as stored, before anything is known of it.
        whole = httpx.get(f"{url}/files/{httpx.QueryParams({'': dids[0]})}".replace("/=", "/"))
        links = httpx.get(f"{url}/datalink/links", params={"ID": dids[0]}).raise_for_status().text
        assert "#cutout" in links
        # None of them was opened yet.
        assert "HDU=" not in links
        asked = httpx.URL(f"{url}/datalink/links", params={"ID": dids})
        assert links_faults(str(asked)) == []
        assert whole.status_code == 200
        assert whole.content == (tmp_path / "data" / "one.fits").read_bytes()
        for row, (name, hdu) in zip(rows, (("one.fits", 0), ("chips.fits.fz", 1),
                                           ("chips.fits.fz", 2)), strict=False):  # fmt: skip
            circle = f"{row['s_ra']} {row['s_dec']} 0.005"
            asked = {"ID": row["obs_publisher_did"], "CIRCLE": circle}
            answer = httpx.get(f"{url}/soda/sync", params=asked, timeout=60).raise_for_status()
            with fits.open(io.BytesIO(answer.content)) as cut:
                (got,) = (one for one in cut if one.data is not None and one.data.ndim == 2)
                with fits.open(tmp_path / "data" / name) as hdus:
                    data, wcs = hdus[hdu].data, WCS(hdus[hdu].header)
                corner = WCS(got.header).pixel_to_world(0, 0)
                x, y = (round(float(v)) for v in wcs.world_to_pixel(corner))
                middle = (x + (got.shape[1] - 1) / 2, y + (got.shape[0] - 1) / 2)
                wanted = Cutout2D(data, middle, got.shape, mode="strict")
                assert np.array_equal(got.data, wanted.data)
                assert got.shape[0] > 30
        picture = httpx.get(f"{url}/files/preview/{httpx.QueryParams({'': dids[1]})}"
                            .replace("/=", "/"), timeout=60)  # fmt: skip
        assert picture.headers["content-type"] == "image/png"
        lost = httpx.get(f"{url}/soda/sync", params={"ID": dids[3], "CIRCLE": "80 5 0.005"})
        assert (lost.status_code, "gone.fits" in lost.text) == (404, True)
    finally:
        cli.stop(process)
    # The catalogue was told once, and the next run has nothing to do.
    site = SiteFolder(tmp_path)
    writer = site.backend(load_settings(tmp_path).store).writer()
    told = [writer.file_at((tmp_path / "data" / name).as_uri())
            for name in ("one.fits", "chips.fits.fz", "gone.fits")]  # fmt: skip
    writer.close()
    assert [[one.hdus for one in file.observations] for file in told] == [
        [(0,)], [(1,), (2,)], [()],
    ]  # fmt: skip
    assert told[0].size_bytes == (tmp_path / "data" / "one.fits").stat().st_size
    assert "3 unchanged" in cli.run("ingest", "--site", tmp_path).stdout
    if store == "sqlite":
        built = cli.run("hips", "build", "night", "--site", tmp_path).stdout
        assert "night-r: order" in built
        assert "from 2 images" in built
        assert "gone.fits" in built
