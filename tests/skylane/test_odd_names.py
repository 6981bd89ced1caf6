"""Files of any name: found, linked, retrieved and cut under an identifier that holds it."""

from __future__ import annotations

import io
import re
import shutil
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from astropy.io import fits, votable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.fits import FolderSource
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.testing.skies import make_wcs

SIZE = 24


@pytest.fixture(scope="module")
def odd(tmp_path_factory, cli):
    """A running site whose catalogue is written by the tests, file by file."""
    site = tmp_path_factory.mktemp("odd")
    (site / "data").mkdir()
    (site / "skylane.toml").write_text("[soda]\nworkers = 1\n")
    SiteFolder(site).prepare(load_settings(site).store)
    process, url = cli.start(site)
    store = SiteFolder(site).backend(load_settings(site).store).writer()
    with httpx.Client(timeout=60) as client:
        yield SimpleNamespace(folder=site / "data", url=url, store=store, client=client)
    store.close()
    cli.stop(process)


def image(number: int) -> bytes:
    header = make_wcs(150.0, 2.0, SIZE, 1.0, distorted=False).to_header()
    out = io.BytesIO()
    data = np.arange(SIZE * SIZE, dtype=np.int32).reshape(SIZE, SIZE) + number
    fits.PrimaryHDU(data, header).writeto(out)
    return out.getvalue()


def rows_of(answer: httpx.Response):
    assert answer.status_code == 200, answer.text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return votable.parse_single_table(io.BytesIO(answer.content)).to_table()


RAW = ObsCoreSettings.model_validate(
    {"collections": {"data": {"mapping": {"obs_publisher_did": "ivo://raw.test/data?{path}"}}}}
)
"""Identifiers that hold the path as it is; by default it is percent-encoded within them."""


def catalogued(odd, name: str, content: bytes, settings: ObsCoreSettings) -> tuple[str, str]:
    """Put a file into the catalogue, alone; gives what TAP tells of its identifier and links."""
    shutil.rmtree(odd.folder)
    path = odd.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    summary = ingest(FolderSource(odd.folder), odd.store, settings, workers=0, prune=True)
    assert not summary.refused, (name, summary)
    asked = {"LANG": "ADQL", "QUERY": "SELECT * FROM ivoa.obscore"}
    (row,) = rows_of(odd.client.post(f"{odd.url}/tap/sync", data=asked))
    return str(row["obs_publisher_did"]), str(row["access_url"])


def when_known(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask again for as long as the server goes by a file that had the name a moment ago."""
    end = time.monotonic() + 20.0
    while (answer := ask()).status_code == 503 and time.monotonic() < end:
        assert "retry-after" in answer.headers
        time.sleep(0.1)
    return answer


PART = st.text(
    st.one_of(
        st.sampled_from("?&#+%/;=:~@,'\"<>[]{}|\\^` é→😀"),
        st.characters(exclude_categories=["C", "Z"]),
    ),
    min_size=1,
    max_size=30,
)


def is_path(name: str) -> bool:
    parts = name.split("/")
    return all(part and not part.startswith(".") and len(part.encode()) <= 250 for part in parts)


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@given(name=PART.map(lambda text: f"{text}.fits").filter(is_path), raw=st.booleans())
@example(name="a?b.fits", raw=True)
@example(name="a&b=c;d.fits", raw=True)
@example(name="a#b.fits", raw=True)
@example(name="a+b.fits", raw=True)
@example(name="100%.fits", raw=True)
@example(name="a%2Fb.fits", raw=True)
@example(name="%252F%3f%26.fits", raw=True)
@example(name=" blank at its start and its end /a b .fits", raw=True)
@example(name="O'Neil's \"image\".fits", raw=True)
@example(name="naïve/Füße/天文/🔭.fits", raw=True)
@example(name="e\u0301.fits", raw=True)
@example(name="a:SCI,1.fits", raw=True)
@example(name="l" * 240 + "/" + "o" * 240 + "/" + "n" * 240 + ".fits", raw=True)
@example(name="--/;DROP TABLE obscore.fits", raw=True)
@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_of_a_file_leads_from_the_row_to_its_pixels(odd, name, raw):
    # An IVOID given by a rule holds printable ASCII alone.
    raw = raw and re.fullmatch("[!-~]+", name) is not None
    content = image(sum(name.encode()))
    did, access_url = catalogued(odd, name, content, RAW if raw else ObsCoreSettings())
    local = did.partition("?")[2]
    assert (local if raw else unquote(local)) == name
    # As a literal of a query, and by the parameter of image access.
    where = did.replace("'", "''")
    asked = {
        "LANG": "ADQL",
        "QUERY": f"SELECT obs_publisher_did FROM ivoa.obscore WHERE obs_publisher_did = '{where}'",
    }
    assert list(
        rows_of(odd.client.post(f"{odd.url}/tap/sync", data=asked))["obs_publisher_did"]
    ) == [did]
    found = rows_of(odd.client.get(f"{odd.url}/sia2/query", params={"ID": did}))
    assert list(found["obs_publisher_did"]) == [did]
    # As it stands, and as an identifier of its own; by GET and by POST.
    told = {}
    for answer in (
        odd.client.get(access_url),
        odd.client.get(f"{odd.url}/datalink/links", params={"ID": did}),
        odd.client.post(f"{odd.url}/datalink/links", data={"ID": did}),
    ):
        links = rows_of(answer)
        assert set(links["ID"]) == {did}
        assert not any(links["error_message"])
        told |= {row["semantics"]: row for row in links}
    whole = odd.client.get(str(told["#this"]["access_url"]))
    assert (whole.status_code, whole.content == content) == (200, True)
    assert "\n" not in whole.headers["content-disposition"]
    assert odd.client.head(str(told["#this"]["access_url"])).status_code == 200
    asked = {"ID": did, "CIRCLE": "150 2 0.001"}
    for answer in (
        when_known(lambda: odd.client.get(f"{odd.url}/soda/sync", params=asked)),
        when_known(lambda: odd.client.post(f"{odd.url}/soda/sync", data=asked)),
    ):
        assert answer.status_code == 200, answer.text
        with fits.open(io.BytesIO(answer.content)) as cut, fits.open(io.BytesIO(content)) as all_:
            ny, nx = cut[0].shape
            y, x = (int(all_[0].header[key] - cut[0].header[key]) for key in ("CRPIX2", "CRPIX1"))
            np.testing.assert_array_equal(cut[0].data, all_[0].data[y : y + ny, x : x + nx])
            assert 0 < ny < SIZE


@pytest.mark.parametrize(
    "name", ["line\nfeed.fits", "bell\x07.fits", "a\u00adb.fits", "a\udcff.fits"]
)
def test_a_name_that_no_table_can_carry_is_refused_by_name(odd, name):
    shutil.rmtree(odd.folder)
    odd.folder.mkdir()
    (odd.folder / name).write_bytes(image(0))
    reports = []
    ingest(
        FolderSource(odd.folder), odd.store, ObsCoreSettings(), workers=0, prune=True,
        report=reports.append,
    )  # fmt: skip
    (told,) = (one for one in reports if one.status != "removed")
    assert (told.status, told.reason) in {("refused", "row:types"), ("refused", "bad-name")}
