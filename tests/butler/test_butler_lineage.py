"""The coadds of an image and the images of a coadd, by the rule that the page on Butlers gives."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from skylane.settings import load_settings
from skylane.site import SiteFolder, create_app
from skylane.testing import call
from vodal.testing.asgi import AppClient

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "butler.md"


@pytest.fixture(scope="module")
def links(repository, tmp_path_factory):
    """Give what gives the links of identifiers, by the settings of the page."""
    (text,) = re.findall(r"```toml\n([^`]*\[\[datalink\.related\]\][^`]*)```", PAGE.read_text())
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "skylane.toml").write_text(text.replace("/repo/main", repository.root))
    call("ingest", "--workers", 0, "--site", folder)
    app = AppClient(create_app(SiteFolder(folder), load_settings(folder, {})))

    def ask(did: str) -> list[dict[str, str]]:
        answer = app.get("/datalink/links", params={"ID": did, "RESPONSEFORMAT": "csv"})
        return list(csv.DictReader(answer.text.splitlines()))

    return ask


def did_of(ref) -> str:
    kind = "coadds" if ref.datasetType.name == "deep_coadd" else "visits"
    return f"ivo://observatory.example/{kind}?repo=main&id={ref.id}"


def related(rows, semantics: str) -> set[str]:
    """Give the ids of datasets to whose files rows lead."""
    urls = [one["access_url"] for one in rows if one["semantics"] == semantics]
    return {found[1] for url in urls if (found := re.search(r"~26id~3D([0-9a-f-]{36})", url))}


def test_each_leads_to_those_of_its_band_that_it_overlaps(repository, links):
    """By the regions of the registry and the geometry of LSST."""
    with repository.butler() as butler:
        expand = butler.registry.expandDataId
        refs = list(repository.refs.values())
        coadds = [ref for ref in refs if ref.datasetType.name == "deep_coadd"]
        found = butler.registry.queryDatasets("visit_image", collections="Cam/all", findFirst=True)
        images = list(found)
        where = {ref: expand(ref.dataId).region for ref in (*coadds, *images)}
        bands = {ref: expand(ref.dataId)["band"] for ref in (*coadds, *images)}
    pairs = {
        (coadd.id, image.id)
        for coadd in coadds
        for image in images
        if bands[coadd] == bands[image] and where[coadd].intersects(where[image])
    }
    # Otherwise it would tell nothing.
    assert pairs
    for coadd in coadds:
        wanted = {str(image) for one, image in pairs if one == coadd.id}
        assert related(links(did_of(coadd)), "#progenitor") == wanted
    for image in images:
        wanted = {str(coadd) for coadd, one in pairs if one == image.id}
        assert related(links(did_of(image)), "#derivation") == wanted
