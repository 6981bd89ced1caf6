"""Files that changed under the catalogue are taken into it anew, or left to the assembly line."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from obscore.assembly.line import ingest
from obscore.assembly.read import read_file
from obscore.assembly.renewal import Renewal, relative_of
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources import FolderSource
from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings
from vodal.fits.opening import open_scanned
from vodal.fits.scan import scan_file
from vodal.storage import Storage, StorageSettings
from vodal.testing.archive import serve_archive
from vodal.testing.skies import make_wcs

SETTINGS = ObsCoreSettings(authority="example.org")


def write(path: Path, *values: int, size: int = 60, **cards: object) -> Path:
    """Write an image a value; with several, each is a field of its own."""
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [fits.PrimaryHDU()]
    for number, value in enumerate(values):
        header = make_wcs(40.0 + number, 5.0, size, 1.0, distorted=False).to_header()
        header.update(cards)
        data = np.full((size, size), value, np.int16)
        hdus.append(fits.ImageHDU(data, header, name=f"CHIP{number}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    moment = 10**18 + sum(values) * 10**9 + size
    os.utime(path, ns=(moment, moment))
    return path


class Site:
    """A folder of two nights and its catalogue."""

    def __init__(self, folder: Path, url: str) -> None:
        self.data, self.settings = folder / "data", SETTINGS
        folder.mkdir(exist_ok=True)
        self.backend = make_backend(StoreSettings(url=url), folder / "skylane.db")
        self.backend.prepare()
        self.files = [write(self.data / "night 1" / f"{n}+é.fits", n + 1) for n in range(3)]
        self.files.append(write(self.data / "night 2" / "chips.fits", 7, 8))
        self.ingest()

    def ingest(self) -> None:
        store = self.backend.writer()
        ingest(FolderSource(self.data, collection="survey"), store, self.settings, workers=0)
        store.close()

    def versions(self) -> dict[str, str]:
        store = self.backend.writer()
        known = store.known_files()
        store.close()
        return {uri: file.version for uri, file in known.items()}

    def product(self, number: int):
        resolver, catalogue = self.backend.resolver(), self.backend.catalogue()
        uri = self.uri(number)
        found = [one for one in catalogue.products() if one.uri == uri]
        index = resolver.index(found[0])
        resolver.close()
        catalogue.close()
        return found[0], index

    def uri(self, number: int) -> str:
        name = self.files[number].name
        return next(uri for uri in self.versions() if uri.endswith(name.replace("é", "%C3%A9")))

    def renew(self, *told: tuple[str, str], storage: Storage | None = None) -> None:
        """Tell of files, from another thread, and wait until there is nothing to do."""

        async def run() -> None:
            renewal = Renewal(self.backend, self.settings, storage or Storage(StorageSettings()))
            async with renewal:
                for item in told:
                    await asyncio.to_thread(renewal.refresh, *item)
                end = time.monotonic() + 60
                await asyncio.sleep(0.05)
                while renewal.busy:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.02)

        asyncio.run(run())


@pytest.fixture(params=["sqlite", "postgres"])
def site(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    return Site(tmp_path, url)


def test_rows_and_byte_index_are_those_of_a_new_run(site):
    before = site.versions()
    path, uri = site.files[1], site.uri(1)
    old, _ = site.product(1)
    write(path, 5, size=90, EXPTIME=40.0, OBJECT="M 31")
    site.renew(*[(uri, before[uri])] * 3)
    now, index = site.product(1)
    assert index.to_bytes() == scan_file(path).to_bytes()
    assert (now.did, now.hdus) == (old.did, old.hdus)
    assert now.obscore["access_estsize"] == -(-path.stat().st_size // 1000)
    assert now.obscore["access_estsize"] != old.obscore["access_estsize"]
    assert (now.obscore["target_name"], now.obscore["t_exptime"]) == ("M 31", 40.0)
    assert now.size_bytes == path.stat().st_size
    others = {key: value for key, value in site.versions().items() if key != uri}
    assert others == {key: value for key, value in before.items() if key != uri}
    # The assembly line finds nothing to do, and would have made the same.
    assert site.versions()[uri] != before[uri]
    row = dict(now.obscore)
    site.ingest()
    assert dict(site.product(1)[0].obscore) == row


def test_all_products_of_a_file_are_renewed_together(site):
    before, uri = site.versions(), site.uri(3)
    path = write(site.files[3], 9, 10, size=80)
    site.renew((uri, before[uri]))
    catalogue = site.backend.catalogue()
    chips = [one for one in catalogue.products() if one.uri == uri]
    catalogue.close()
    assert len(chips) == 2
    assert {one.obscore["s_xel1"] for one in chips} == {80}
    assert {one.version for one in chips} == {scan_file(path).version}


@pytest.mark.parametrize("change", ["lost", "damaged", "gone", "settings", "other version"])
def test_what_only_the_assembly_line_can_decide_is_left_to_it(site, change, caplog):
    before, uri = site.versions(), site.uri(3)
    told = before[uri]
    match change:
        case "lost":
            write(site.files[3], 9)
            why = "it has 1 products now, and had 2"
        case "damaged":
            site.files[3].write_bytes(b"no FITS")
            why = "run 'skylane ingest': "
        case "gone":
            site.files[3].unlink()
            why = "not there any more|cannot be opened"
        case "settings":
            write(site.files[3], 9, 9)
            site.settings = ObsCoreSettings(authority="other.example")
            why = "settings that make its rows changed"
        case _:
            write(site.files[3], 9, 9)
            told, why = "1-1", None
    with caplog.at_level(logging.WARNING, "obscore.assembly.renewal"):
        site.renew((uri, told))
    assert site.versions() == before
    if why is None:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert uri in record.getMessage()
        assert any(part in record.getMessage() for part in why.split("|"))


def test_it_can_be_switched_off_and_is_quiet_when_the_server_stops(site):
    before, uri = site.versions(), site.uri(0)
    write(site.files[0], 9)
    site.settings = SETTINGS.model_copy(
        update={"ingest": SETTINGS.ingest.model_copy(update={"renew_changed": False})}
    )
    site.renew((uri, before[uri]))
    assert site.versions() == before
    stopped = Renewal(site.backend, SETTINGS)
    stopped.refresh(uri, before[uri])
    assert site.versions() == before


def test_a_file_on_a_server_is_renewed_too(tmp_path):
    path = write(tmp_path / "files" / "night 1" / "a.fits", 1)
    site = Site(tmp_path / "site", "")
    with serve_archive(tmp_path / "files") as archive:
        storage = Storage(StorageSettings(http_hosts=(archive.host,)))
        uri = f"{archive.url}/night%201/a.fits"
        # What an assembly line writes, at the place where the file is served.
        store = site.backend.writer()
        (file,) = [one for one in store.files_after("", 9) if one.uri.endswith("/0%2B%C3%A9.fits")
                   or one.uri.endswith("/0+%C3%A9.fits")]  # fmt: skip
        index, reader = open_scanned(uri, storage=storage)
        reader.__exit__(None, None, None)
        digest = rules_for(SETTINGS, "survey").digest_for("night 1/a.fits")
        row = {**file.observations[0].row, "obs_publisher_did": "ivo://example.org/survey?moved"}
        store.write(
            [replace(file, uri=uri, index=index, mapping_digest=digest,
                     observations=(replace(file.observations[0], row=row),))]
        )  # fmt: skip
        store.close()
        write(path, 2, size=90)
        site.renew((uri, index.version), storage=storage)
        storage.close()
    catalogue = site.backend.catalogue()
    (now,) = [one for one in catalogue.products() if one.uri == uri]
    catalogue.close()
    assert now.obscore["s_xel1"] == 90
    assert now.version != index.version
    assert now.size_bytes == path.stat().st_size


def test_a_burst_of_files_is_renewed_one_after_the_other(site):
    before = site.versions()
    for path, value in zip(site.files[:3], (11, 12, 13), strict=True):
        write(path, value)
    uris = [site.uri(number) for number in range(3)]
    site.renew(*[(uri, before[uri]) for uri in uris * 5])
    now = site.versions()
    for number, uri in enumerate(uris):
        assert now[uri] == scan_file(site.files[number]).version


def test_the_path_of_a_file_is_known_by_its_digest():
    rules = rules_for(SETTINGS, "survey")
    for relative in ("a.fits", "n 1/a+é.fits", "x/y/a.fits"):
        digest = rules.digest_for(relative)
        uri = "file:///srv/x/" + relative.replace(" ", "%20").replace("é", "%C3%A9")
        assert relative_of(uri, rules, digest) == relative
        assert relative_of("file:///srv/other.fits", rules, digest) is None


def test_a_file_that_changes_after_it_was_met_has_the_time_of_what_was_read(tmp_path):
    path = write(tmp_path / "data" / "a.fits", 1)
    (met,) = FolderSource(tmp_path / "data", collection="demo").walk()
    write(path, 3)
    file = read_file(met, rules_for(SETTINGS, "demo")).file
    assert file.version != met.stat.version
    assert file.modified_unix_s == path.stat().st_mtime_ns / 1e9 != met.stat.modified_unix_s
