"""``--watch`` on servers beside a running site, and products that are retracted meanwhile."""

from __future__ import annotations

import io
import signal
from types import SimpleNamespace

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits, votable

from vodal.testing.archive import nginx_listing, serve_archive
from vodal.testing.s3 import KEYS, bucket_of, serve_s3
from vodal.testing.skies import make_wcs

pytestmark = pytest.mark.xdist_group("far")

TOKEN = "0123456789abcdef0123"
SETTINGS = """
[soda]
workers = 1
[storage]
http_hosts = ["{host}"]
s3 = {{ buckets = ["night"], endpoint = "{endpoint}", access_key_id = "{access_key_id}", \
secret_access_key = "{secret_access_key}" }}
[obscore.ingest]
poll_seconds = 0.2
settle_seconds = 0.3
hook_token = "{token}"
[obscore.collections.bucket]
folder = "s3://night/raw/"
[obscore.collections.listing]
folder = "{url}/listing/"
[obscore.collections.disk]
folder = "{folder}"
"""
PLACES = ("bucket", "listing", "disk")


def image(number: int, dec: float) -> bytes:
    header = make_wcs(40.0, dec, 32, 1.0, distorted=False).to_header()
    header["FILTER"] = "r"
    out = io.BytesIO()
    fits.PrimaryHDU(np.arange(1024.0, dtype=np.float32).reshape(32, 32) + number, header).writeto(
        out
    )
    return out.getvalue()


@pytest.fixture(scope="module")
def far(tmp_path_factory, cli):
    """A site whose collections lie in a bucket, on a server of pages and on the disk."""
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    site = tmp_path_factory.mktemp("far")
    for folder in (site / "www" / "listing", site / "disk"):
        folder.mkdir(parents=True)
    with (
        serve_archive(site / "www") as archive, serve_s3() as endpoint,
        bucket_of(endpoint, "night") as client,
    ):  # fmt: skip
        archive.listing = nginx_listing

        def put(place: str, name: str, content: bytes) -> None:
            if place == "bucket":
                client.put_object(Bucket="night", Key=f"raw/{name}", Body=content)
                return
            folder = site / "www" / "listing" if place == "listing" else site / "disk"
            (folder / f".{name}").write_bytes(content)
            (folder / f".{name}").rename(folder / name)

        (site / "skylane.toml").write_text(SETTINGS.format(
            host=archive.host, url=archive.url, endpoint=endpoint, folder=site / "disk",
            token=TOKEN, **KEYS,
        ))  # fmt: skip
        for place in PLACES:
            put(place, "first.fits", image(0, 5.0))
        cli.run("ingest", "--site", site, "--workers", "1")
        server, url = cli.start(site)
        found = SimpleNamespace(site=site, url=url, put=put, watcher=cli.watcher(site))
        yield found
        if found.watcher.process.poll() is None:
            found.watcher.end(signal.SIGKILL)
        cli.stop(server)


def rows(far, query: str) -> list[list[str]]:
    asked = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
    answer = httpx.post(f"{far.url}/tap/sync", data=asked, timeout=60).raise_for_status()
    return [line.split(",") for line in answer.text.split()[1:]]


def dids(far, name: str) -> dict[str, str]:
    """Give identifiers of the files of a name, by collection."""
    query = "SELECT obs_collection, obs_publisher_did FROM ivoa.obscore"
    return {place: did for place, did in rows(far, query) if did.endswith(f"?{name}")}


def cut(far, did: str, dec: float) -> httpx.Response:
    asked = {"ID": did, "CIRCLE": f"40 {dec} 0.001"}
    return httpx.get(f"{far.url}/soda/sync", params=asked, timeout=60)


def test_what_lands_on_servers_is_found_and_cut_also_after_a_pause(far, cli):
    watcher = far.watcher
    for place in PLACES:
        far.put(place, "second.fits", image(1, 5.1))
    watcher.until(lambda: set(dids(far, "second.fits")) == set(PLACES), pause_s=0.1)
    for did in dids(far, "second.fits").values():
        with fits.open(io.BytesIO(cut(far, did, 5.1).raise_for_status().content)) as hdus:
            assert 1 < hdus[0].data.size < 1024
            assert hdus[0].data.max() > 500
    # What lands while nobody watches is found at the start, changes too.
    assert watcher.end(signal.SIGINT) == 0
    assert "Traceback" not in watcher.said
    changed = image(7000, 5.0)
    for place in PLACES:
        far.put(place, "third.fits", image(2, 5.2))
        far.put(place, "first.fits", changed + bytes(2880))
    before = dict(rows(far, "SELECT obs_publisher_did, last_modified FROM ivoa.obscore"))
    far.watcher = again = cli.watcher(far.site)
    again.until(lambda: set(dids(far, "third.fits")) == set(PLACES), pause_s=0.1)
    first = dids(far, "first.fits")

    def renewed() -> bool:
        now = dict(rows(far, "SELECT obs_publisher_did, last_modified FROM ivoa.obscore"))
        return all(now[did] > before[did] for did in first.values())

    again.until(renewed, pause_s=0.1)
    for did in first.values():
        with fits.open(io.BytesIO(cut(far, did, 5.0).raise_for_status().content)) as hdus:
            assert hdus[0].data.min() >= 7000


def test_what_is_retracted_stays_away_while_all_goes_on(far, cli):
    places = {"bucket": 6.0, "disk": 7.0}
    for place, dec in places.items():
        far.put(place, "wrong.fits", image(3, dec))
    far.watcher.until(lambda: set(dids(far, "wrong.fits")) == set(places), pause_s=0.1)
    wrong = dids(far, "wrong.fits")
    tiles = {}
    for place, dec in places.items():
        at = Longitude([40.0], "deg"), Latitude([dec], "deg")
        npix = int(healpix.lonlat_to_healpix(*at, 9)[0])
        tiles[place] = f"/hips/live/{place}/Norder9/Dir{npix // 10000 * 10000}/Npix{npix}.fits"
        assert httpx.get(far.url + tiles[place], timeout=120).status_code == 200
        assert cut(far, wrong[place], dec).status_code == 200

    cli.run("retract", *wrong.values(), "--reason", "bad", "--site", far.site)
    # Their files come again, and the pipeline names them.
    for place, dec in places.items():
        far.put(place, "wrong.fits", image(4, dec) + bytes(2880))
    uris = ["s3://night/raw/wrong.fits", (far.site / "disk" / "wrong.fits").as_uri()]
    answer = httpx.post(
        f"{far.url}/ingest?wait=60", json=uris, headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=90,
    )  # fmt: skip
    told = {(one["status"], one["reason"]) for one in answer.json()["files"]}
    assert told == {("skipped", "retracted")}
    # What lands behind them has come: so the watch has met the files.
    for place, dec in places.items():
        far.put(place, "zz.fits", image(5, dec + 0.5))
    far.watcher.until(lambda: set(dids(far, "zz.fits")) == set(places), pause_s=0.1)

    assert not dids(far, "wrong.fits")
    for place, did in wrong.items():
        links = httpx.get(f"{far.url}/datalink/links", params={"ID": did}).raise_for_status()
        (row,) = votable.parse_single_table(io.BytesIO(links.content)).to_table()
        assert "was retracted" in row["error_message"]
        assert cut(far, did, places[place]).status_code == 410
        assert httpx.get(far.url + tiles[place], timeout=120).status_code == 404
    gone = rows(far, "SELECT obs_publisher_did, kind, reason FROM skylane.tombstones")
    assert {tuple(one) for one in gone} == {(did, "retracted", "bad") for did in wrong.values()}
    assert far.watcher.end(signal.SIGTERM) == 0
    assert "Traceback" not in far.watcher.said
