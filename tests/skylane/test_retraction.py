"""``skylane retract`` beside a running server: gone from all services, until that is undone."""

from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace

import cdshealpix.nested as healpix
import httpx
import pytest
from astropy.coordinates import Latitude, Longitude
from astropy.io import votable
from pyarrow import parquet

from skylane.testing import refused
from vodal.testing.skies import make_survey

SETTINGS = """
[obscore.collections.demo]
folder = "{folder}"
[soda]
workers = 1
"""
REASON = "the flat was wrong"


@pytest.fixture(scope="module")
def served(tmp_path_factory, cli):
    site = tmp_path_factory.mktemp("retracted")
    survey = make_survey(site / "data" / "demo", exposures=5, size=128, scale_arcsec=0.8, seed=3)
    (site / "skylane.toml").write_text(SETTINGS.format(folder=site / "data" / "demo"))
    cli.run("ingest", "--site", site, "--workers", "1")
    cli.run("hips", "build", "demo", "--site", site, "--workers", "1")
    process, url = cli.start(site)
    yield SimpleNamespace(site=site, survey=survey, url=url)
    cli.stop(process)


def rows(url: str, query: str) -> list[list[str]]:
    asked = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
    text = httpx.post(f"{url}/tap/sync", data=asked, timeout=60).raise_for_status().text
    return [line.split(",") for line in text.splitlines()[1:]]


def fault(url: str, did: str) -> str:
    answer = httpx.get(f"{url}/datalink/links", params={"ID": did}, timeout=60).raise_for_status()
    table = votable.parse_single_table(io.BytesIO(answer.content)).to_table()
    return "" if len(table) > 1 else str(table["error_message"][0])


def job(url: str, dids: list[str]) -> httpx.Response:
    """Ask for a job of cutouts; gives the answer, or the log of the job that was made."""
    asked = {"ID": dids, "CIRCLE": "150.1 2.2 0.01", "PHASE": "RUN"}
    answer = httpx.post(f"{url}/soda/async", data=asked, timeout=60)
    if answer.is_client_error:
        return answer
    where = answer.headers["location"]
    while httpx.get(f"{where}/phase").text in {"PENDING", "QUEUED", "EXECUTING"}:
        time.sleep(0.1)
    return httpx.get(f"{where}/results/index", timeout=60)


def failures(index: httpx.Response) -> str:
    return str(parquet.read_table(io.BytesIO(index.content)).to_pylist())


def test_what_is_retracted_is_gone_from_all_services_and_stays_away(served, cli):
    exposure, url = served.survey.exposures[2], served.url
    ra, dec = (float(value) for value in exposure.wcs.all_pix2world(64, 64, 0))
    mine = (
        "SELECT obs_publisher_did, access_url FROM ivoa.obscore"
        f" WHERE obs_publisher_did LIKE '%{exposure.path.name}'"
    )
    ((did, _),) = rows(url, mine)
    (files,) = [
        link
        for link in votable.parse_single_table(
            io.BytesIO(httpx.get(f"{url}/datalink/links", params={"ID": did}).content)
        ).to_table()
        if link["semantics"] == "#this"
    ]
    preview = str(files["access_url"]).replace("/files/", "/files/preview/")
    cutout = {"ID": did, "CIRCLE": f"{ra} {dec} 0.003"}
    npix = int(healpix.lonlat_to_healpix(Longitude([ra], "deg"), Latitude([dec], "deg"), 9)[0])
    tile = f"{url}/hips/live/demo/Norder9/Dir{npix // 10000 * 10000}/Npix{npix}.fits"
    behind = f"{url}/hips/live/demo/progenitors?ra={ra}&dec={dec}"
    facets = "SELECT filter, COUNT(*) AS n FROM ivoa.obscore GROUP BY filter"
    counts = dict(rows(url, facets))
    for path in (files["access_url"], preview, tile):
        assert httpx.get(path, timeout=120).status_code == 200, path
    assert httpx.get(f"{url}/soda/sync", params=cutout, timeout=60).status_code == 200
    shown = httpx.get(tile, timeout=120)
    (latest,) = rows(url, "SELECT MAX(last_modified) FROM ivoa.obscore")

    told = cli.run("retract", did, "--reason", REASON, "--dry-run", "--site", served.site).stdout
    assert "1 product would be retracted" in told
    assert rows(url, mine)
    cli.run("retract", str(exposure.path), "--reason", REASON, "--site", served.site)

    assert not rows(url, mine)
    after = dict(rows(url, facets))
    assert int(after.get(exposure.band, 0)) == int(counts[exposure.band]) - 1
    ((gone, collection, deleted, kind, reason),) = rows(url, "SELECT * FROM skylane.tombstones")
    assert (gone, collection, kind, reason) == (did, "demo", "retracted", REASON)
    assert deleted > latest[0]
    sentence = f"{did} was retracted on {deleted[:19]}Z: {REASON}"
    assert fault(url, did) == f"NotFoundFault: {sentence}"
    for path in (files["access_url"], preview):
        answer = httpx.get(path, timeout=60)
        assert (answer.status_code, sentence in answer.text) == (410, True), path
    time.sleep(1.1)  # a cutout service knows a dataset that was just asked for a second longer
    answer = httpx.get(f"{url}/soda/sync", params=cutout, timeout=60)
    assert (answer.status_code, sentence in answer.text) == (410, True)
    answer = job(url, [did])
    assert (answer.status_code, sentence in answer.text) == (410, True)
    ((other,), *_) = rows(url, "SELECT obs_publisher_did FROM ivoa.obscore")
    assert sentence in failures(job(url, [other, did]))
    assert did not in {i["obs_publisher_did"] for i in httpx.get(behind).json()["images"]}
    now = httpx.get(tile, timeout=120)
    assert now.status_code == 404 or now.content != shown.content

    # Its file does not bring it back, as it is or changed.
    for _ in range(2):
        cli.run("ingest", "--site", served.site, "--workers", "1")
        (entry,) = [
            one for one in cli.report_of(served.site) if one["file"] == exposure.path.as_uri()
        ]
        assert (entry["status"], entry["reason"]) == ("skipped", "retracted")
        assert not rows(url, mine)
        exposure.path.write_bytes(exposure.path.read_bytes() + bytes(2880))
    cli.run("hips", "build", "demo", "--site", served.site, "--workers", "1")
    built = f"{url}/hips/demo-{exposure.band}/progenitors?ra={ra}&dec={dec}"
    assert did not in {i["obs_publisher_did"] for i in httpx.get(built).json()["images"]}

    explain = ("ingest", "--explain", exposure.path, "--site", served.site, "--format", "json")
    (product,) = json.loads(cli.run(*explain).stdout)["products"]
    assert product["notes"] == [f"{sentence}; 'skylane retract --undo' lets it come back"]

    told = cli.run("retract", "--undo", did, "--site", served.site).stdout
    assert exposure.path.as_uri() in told
    assert "withdrawn" in fault(url, did)
    cli.run("ingest", "--site", served.site, "--workers", "1")
    assert len(rows(url, mine)) == 1
    assert rows(url, "SELECT * FROM skylane.tombstones") == []
    assert fault(url, did) == ""
    ((changed,),) = rows(
        url, f"SELECT obs_publisher_did FROM ivoa.obscore WHERE last_modified > '{latest[0]}'"
    )
    assert changed == did
    assert dict(rows(url, facets)) == counts


def test_several_are_retracted_by_a_condition_or_a_list(served, cli):
    url, wanted = served.url, rows(served.url, "SELECT obs_publisher_did FROM ivoa.obscore")
    first, second, *_ = sorted(did for (did,) in wanted)
    path = served.site / "wrong.txt"
    path.write_text(f"{first}\n\n{served.survey.exposures[0].path}\n{first}\n")
    said = refused("retract", "--file", path, "ivo://x/y?none", "--site", served.site)
    assert "nothing called 'ivo://x/y?none' is in the catalogue" in said
    assert "by ID or file" in refused("retract", "--site", served.site)
    assert "--where looks among" in refused(
        "retract", "--undo", "--where", "1=1", "--site", served.site
    )
    assert "line 1" in refused("retract", "--where", "t_min >", "--site", served.site)
    assert len(rows(url, "SELECT obs_publisher_did FROM ivoa.obscore")) == len(wanted)
    condition = f"obs_publisher_did = '{second}'"
    cli.run("retract", "--file", path, "--where", condition, "--site", served.site)
    gone = {did for did, *_ in rows(url, "SELECT * FROM skylane.tombstones")}
    assert {first, second} <= gone
    left = {did for (did,) in rows(url, "SELECT obs_publisher_did FROM ivoa.obscore")}
    assert left == {did for (did,) in wanted} - gone
    cli.run("retract", "--undo", *sorted(gone), "--site", served.site)
    cli.run("ingest", "--site", served.site, "--workers", "1")
    assert sorted(rows(url, "SELECT obs_publisher_did FROM ivoa.obscore")) == sorted(wanted)
