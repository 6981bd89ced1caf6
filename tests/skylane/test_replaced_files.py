"""Files that are replaced while a site with several server processes serves them."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from astropy.io import fits

from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.fits.scan import scan_file
from vodal.testing.skies import make_wcs

SIZE = 300
PLACE = "40.0 5.0 0.01"


def image(path: Path, value: int, kind: str) -> Path:
    """Write an image of one value, whose header grows with it."""
    header = make_wcs(40.0, 5.0, SIZE, 1.0, distorted=False).to_header()
    header["EXPTIME"] = float(value)
    for _ in range(40 * value):
        header["HISTORY"] = "reduced anew"
    data = np.full((SIZE, SIZE), value, np.int32)
    hdus = [fits.PrimaryHDU(data, header)]
    if kind == "rice":
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(data, header, tile_shape=(50, 50))]
    fits.HDUList(hdus).writeto(path)
    moment = 10**18 + value * 10**9
    os.utime(path, ns=(moment, moment))
    return path


def put(version: Path, path: Path) -> None:
    """Put a version in a file's place at one moment, as pipelines do."""
    spare = path.with_name(f".{path.name}")
    shutil.copy2(version, spare)
    spare.replace(path)


def known(site: SiteFolder) -> dict[str, str]:
    store = site.backend(load_settings(site.path).store).writer()
    try:
        return {uri: file.version for uri, file in store.known_files().items()}
    finally:
        store.close()


@pytest.mark.parametrize(("store", "servers"), [("sqlite", 2), ("postgres", 1)])
def test_cutouts_are_right_and_the_catalogue_follows(request, store, servers, tmp_path, cli):
    data = tmp_path / "data" / "night"
    data.mkdir(parents=True)
    settings = f"[soda]\nworkers = {3 - servers}\n"
    if store == "postgres":
        settings += f'[store]\nurl = "{request.getfixturevalue("postgres_url")}"\n'
    (tmp_path / "skylane.toml").write_text(settings)
    versions = {
        kind: [image(tmp_path / f"{kind}{n}.fits", n, kind) for n in range(1, 5)]
        for kind in ("plain", "rice")
    }
    for kind, made in versions.items():
        put(made[0], data / f"{kind}.fits")
    cli.run("ingest", data, "--site", tmp_path)
    site = SiteFolder(tmp_path)
    process, url = cli.start(tmp_path, "--workers", str(servers))
    try:
        adql = "SELECT obs_publisher_did, t_exptime, access_estsize FROM ivoa.obscore"
        query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": adql}

        def rows() -> dict[str, tuple[float, int]]:
            text = httpx.post(f"{url}/tap/sync", data=query, timeout=60).raise_for_status().text
            cells = [line.split(",") for line in text.split()[1:]]
            return {did: (float(time_s), int(size)) for did, time_s, size in cells}

        dids = {kind: next(did for did in rows() if kind in did) for kind in versions}
        seen: dict[str, set[int]] = {kind: set() for kind in versions}
        faults: list[str] = []
        stop = threading.Event()

        def ask(kind: str) -> None:
            while not stop.is_set():
                asked = urlencode({"ID": dids[kind], "CIRCLE": PLACE})
                answer = httpx.get(f"{url}/soda/sync?{asked}", timeout=60)
                if answer.status_code != 200:
                    faults.append(f"{answer.status_code} {answer.text}")
                    continue
                with fits.open(io.BytesIO(answer.content)) as hdus:
                    hdu = next(one for one in hdus if one.data is not None)
                    values = set(np.unique(hdu.data).tolist())
                    if values != {int(hdu.header["EXPTIME"])}:
                        faults.append(f"{kind}: {values} with the header of another version")
                    seen[kind] |= values

        threads = [threading.Thread(target=ask, args=(kind,)) for kind in (*versions, *versions)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(4):
                for kind, made in versions.items():
                    put(made[turn], data / f"{kind}.fits")
                expected = {
                    (data / f"{kind}.fits").as_uri(): scan_file(made[turn]).version
                    for kind, made in versions.items()
                }
                until = time.monotonic() + 120
                while known(site) != expected:
                    assert time.monotonic() < until, "the catalogue was not brought up to date"
                    time.sleep(0.1)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert faults == []
        for values in seen.values():
            assert {2, 3, 4} <= values <= {1, 2, 3, 4}
        for kind, did in dids.items():
            size = versions[kind][3].stat().st_size
            assert rows()[did] == (4.0, -(-size // 1000))
        backend = site.backend(load_settings(tmp_path).store)
        resolver = backend.resolver()
        for kind, did in dids.items():
            product = resolver.resolve([did])[did]
            index = scan_file(versions[kind][3])
            assert resolver.index(product).to_bytes() == index.to_bytes()
        resolver.close()
    finally:
        cli.stop(process)
    assert "Traceback" not in (tmp_path / "server.log").read_text()
