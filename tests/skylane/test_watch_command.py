"""``skylane ingest --watch`` beside a server, killed at any moment, and what its operator sees."""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import cdshealpix.nested as healpix
import httpx
import numpy as np
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from mocpy import MOC

from obscore.testing import unstamped
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from skylane.testing import refused
from vodal.testing.skies import make_survey, make_wcs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
one_server = pytest.mark.xdist_group("watch")

ENOUGH_S = 120.0
SETTINGS = """
[obscore.collections.demo]
folder = "{folder}"
[soda]
workers = 1
"""


def everything(site: Path) -> dict[str, object]:
    """Give all of a site's catalogue, but for its internal numbers and when it was written."""
    store = SiteFolder(site).backend(load_settings(site).store).writer()
    try:
        return {
            file.uri: (file.collection, file.mapping_digest, file.index.to_bytes(),
                       file.modified_unix_s, [unstamped(one) for one in file.observations])
            for file in store.files_after("", 100_000)
        }  # fmt: skip
    finally:
        store.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory, cli):
    """A server and a watcher on a site of four exposures of six; two lie aside."""
    site = tmp_path_factory.mktemp("watched")
    survey = make_survey(site / "data" / "demo", exposures=6, size=128, scale_arcsec=0.8, seed=3)
    (site / "aside").mkdir()
    for late in survey.exposures[3:5]:
        late.path.rename(site / "aside" / late.path.name)
    (site / "skylane.toml").write_text(SETTINGS.format(folder=site / "data" / "demo"))
    server, url = cli.start(site)
    watcher = cli.watcher(site)
    watcher.until(lambda: len(everything(site)) == 4)
    yield SimpleNamespace(site=site, survey=survey, url=url, watcher=watcher)
    if watcher.process.poll() is None:
        watcher.end(signal.SIGTERM)
    cli.stop(server)


def rows(url: str, query: str) -> list[list[str]]:
    asked = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
    text = httpx.post(f"{url}/tap/sync", data=asked, timeout=60).raise_for_status().text
    return [line.split(",") for line in text.split()[1:]]


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=120)


@one_server
def test_what_lands_is_everywhere_at_once(watched):
    late = watched.survey.exposures[3]
    ra, dec = (float(value) for value in late.wcs.all_pix2world(64, 64, 0))
    name, url = late.path.name, watched.url
    npix = int(healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), 9)[0])
    tile = f"{url}/hips/live/demo/Norder9/Dir{npix // 10000 * 10000}/Npix{npix}.fits"
    facets = "SELECT filter, COUNT(*) AS n FROM ivoa.obscore GROUP BY filter ORDER BY filter"
    before, counts = get(tile), dict(rows(url, facets))
    moc_before = get(f"{url}/hips/live/demo/Moc.fits").content

    shutil.copy(watched.site / "aside" / name, late.path.with_name(f".{name}.Xq3d81"))
    late.path.with_name(f".{name}.Xq3d81").rename(late.path)
    mine = (
        "SELECT obs_publisher_did, s_ra, s_dec FROM ivoa.obscore"
        f" WHERE obs_publisher_did LIKE '%{name}'"
    )
    watched.watcher.until(lambda: rows(url, mine))

    # From here on nothing is waited for.
    ((did, found_ra, found_dec),) = rows(url, mine)
    assert (float(found_ra), float(found_dec)) == pytest.approx(
        tuple(float(one) for one in late.wcs.all_pix2world(63.5, 63.5, 0)), abs=1e-6
    )
    assert int(dict(rows(url, facets))[late.band]) == int(counts[late.band]) + 1
    answer = httpx.get(
        f"{url}/soda/sync", params={"ID": did.strip('"'), "CIRCLE": f"{ra} {dec} 0.003"}, timeout=60
    ).raise_for_status()
    with fits.open(io.BytesIO(answer.content)) as cut, fits.open(late.path) as whole:
        part = cut["IMAGE"].data
        x, y = (int(whole["IMAGE"].header["CRPIX1"] - cut["IMAGE"].header["CRPIX1"]),
                int(whole["IMAGE"].header["CRPIX2"] - cut["IMAGE"].header["CRPIX2"]))  # fmt: skip
        wanted = whole["IMAGE"].data[y : y + part.shape[0], x : x + part.shape[1]]
        np.testing.assert_array_equal(part, wanted)
    after = get(tile)
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers.get("etag")
    assert after.content != before.content
    behind = get(f"{url}/hips/live/demo/progenitors?ra={ra}&dec={dec}").json()
    assert did.strip('"') in {image["obs_publisher_did"] for image in behind["images"]}
    with io.BytesIO(get(f"{url}/hips/live/demo/Moc.fits").content) as file:
        moc = MOC.from_fits(file)
    corners = late.wcs.all_pix2world([[3, 3], [3, 124], [124, 3], [124, 124]], 0)
    assert moc.contains_lonlat(
        Longitude(corners[:, 0], "deg"), Latitude(corners[:, 1], "deg")
    ).all()
    assert len(moc_before) > 0


@one_server
def test_a_second_watcher_is_refused_and_a_run_by_hand_is_harmless(watched, cli):
    said = refused("ingest", "--watch", "--site", watched.site)
    assert f"(process {watched.watcher.process.pid}) runs for the site" in said
    late = watched.survey.exposures[4]
    shutil.copy(watched.site / "aside" / late.path.name, late.path)
    cli.run("ingest", "--site", watched.site, "--workers", "1")
    uri = late.path.as_uri()
    watched.watcher.until(lambda: uri in everything(watched.site))
    before = everything(watched.site)
    cli.run("ingest", "--site", watched.site, "--workers", "1")
    assert {entry["status"] for entry in cli.report_of(watched.site)} == {"unchanged"}
    assert everything(watched.site) == before


@one_server
def test_without_a_token_there_is_no_hook(watched):
    for token in ("Basic x", "Bearer", "Bearer None"):
        answer = httpx.post(
            f"{watched.url}/ingest", json=["/a.fits"], headers={"Authorization": token}
        )
        assert answer.status_code == 404


@one_server
def test_it_ends_in_good_order_and_has_told_of_all(watched):
    assert watched.watcher.end(signal.SIGTERM) == 0
    said = watched.watcher.said
    assert "Watching" in said
    assert "added; " in said
    assert "stopped; in all" in said
    assert "Traceback" not in said
    (report,) = [p for p in (watched.site / "reports").glob("*.jsonl") if str(p) in said]
    entries = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    named = {entry["file"] for entry in entries if entry["status"] in {"added", "updated"}}
    assert named == set(everything(watched.site))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--watch", "--dry-run", "."], "--watch writes what lands"),
        (["--poll", "3", "."], "give --watch too"),
        (["--watch", __file__], "--watch takes folders"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, arguments, says):
    assert says in refused("ingest", *arguments, "--site", tmp_path)


def image_bytes(folder: Path) -> bytes:
    header = make_wcs(40.0, 5.0, 30, 1.0, distorted=False).to_header()
    fits.PrimaryHDU(np.zeros((30, 30), np.int16), header).writeto(folder / "one.fits")
    return (folder / "one.fits").read_bytes()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_at_any_moment_it_loses_nothing_and_doubles_nothing(tmp_path, cli, request, kind):
    data, site, other = tmp_path / "data", tmp_path / "site", tmp_path / "other"
    for folder in (data, site, other):
        folder.mkdir()
    settings = SETTINGS.format(folder=data)
    (other / "skylane.toml").write_text(settings)
    if kind == "postgres":
        settings += f'[store]\nurl = "{request.getfixturevalue("postgres_url")}"\n'
    (site / "skylane.toml").write_text(settings)
    content = image_bytes(tmp_path)
    enough = threading.Event()
    written: list[Path] = []

    def burst() -> None:
        """Write, replace, rename and half-write files all the time."""
        rng = random.Random(4)
        while not enough.wait(0.05) and len(written) < 250:
            number = len(written)
            path = data / f"night{number % 7}" / f"{number:04d}.fits"
            path.parent.mkdir(exist_ok=True)
            if number % 3:
                path.write_bytes(content)
            else:
                path.with_name(f".{path.name}").write_bytes(content)
                path.with_name(f".{path.name}").rename(path)
            if number % 11 == 0:
                path.write_bytes(content + bytes(2880 * rng.randrange(3)))
            if number % 13 == 0:
                (data / f"short{number}.fits").write_bytes(content[:4000])
            written.append(path)

    thread = threading.Thread(target=burst)
    thread.start()
    rng = random.Random(kind)
    for turn in range(3):
        watcher = cli.watcher(site)
        if turn != 1:
            watcher.until(
                lambda watcher=watcher: " written" in watcher.said or not thread.is_alive()
            )
        time.sleep(rng.uniform(0.0, 0.5))
        assert watcher.end(signal.SIGKILL) == -signal.SIGKILL
    enough.set()
    thread.join()
    for path in data.glob("short*"):
        path.unlink()
    cli.run("ingest", "--site", other, "--workers", "1")
    wanted = everything(other)
    assert set(wanted) == {path.as_uri() for path in written}
    last = cli.watcher(site)
    last.until(lambda: everything(site) == wanted, pause_s=0.5)
    assert last.end(signal.SIGINT) == 0
    cli.run("ingest", "--site", site, "--workers", "1")
    assert {entry["status"] for entry in cli.report_of(site)} == {"unchanged"}
    assert everything(site) == wanted
