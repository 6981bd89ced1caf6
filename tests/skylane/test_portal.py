"""The portal page in a real browser, against a real site."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

selenium = pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from vodal.testing.asgi import AppClient  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="chromedriver is not installed"),
    pytest.mark.xdist_group("site"),
]

WAIT_S = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist",
        "--window-size=1280,860", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
        # Nothing but our own port may be reached: the page must work without a network.
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(browser, site) -> webdriver.Chrome:
    for _ in range(3):
        browser.get(site.url + "/")
        _wait(browser, "document.body.dataset.ready === 'true'")
        said = browser.find_element(By.ID, "sky").text
        if "WebGL2 not supported" not in said:
            break
        # The browser's own process for graphics died or is late on a busy machine.
        time.sleep(5)
    assert browser.execute_script("return window.skylane.state.aladin !== null"), said
    return browser


def _wait(page, script: str):
    return WebDriverWait(page, WAIT_S).until(lambda b: b.execute_script(f"return {script}"))


def _picture(page, name: str) -> None:
    """Keep a screenshot where a folder for them is named."""
    folder = os.environ.get("TEST_SCREENSHOTS")
    if folder:
        page.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_the_sky_is_the_colour_hips(page, site):
    assert _wait(page, "window.skylane.state.aladin !== null")
    chosen = page.find_element(By.ID, "survey")
    names = [option.text for option in chosen.find_elements(By.TAG_NAME, "option")]
    assert len(names) >= 4
    assert "colo" in names[0].lower()
    # Tiles were asked for and came: some request of the page is a PNG of the colour HiPS.
    tiles = "performance.getEntriesByType('resource').map(e => e.name)"
    assert _wait(page, f"{tiles}.some(name => /hips\\/.*Norder\\d+\\/.*\\.png/.test(name))")
    _picture(page, "sky")


def test_a_cone_search_lists_and_draws_the_images(page, site):
    page.execute_script(
        "document.getElementById('position').value = '150.1 2.2';"
        "document.getElementById('radius').value = '0.02';"
    )
    page.find_element(By.CSS_SELECTOR, "#search button[type=submit]").click()
    _wait(page, "document.getElementById('status').textContent.includes('found')")
    rows = page.find_elements(By.CSS_SELECTOR, "#results tbody tr")
    assert len(rows) == len(site.dids_around(150.1, 2.2, 0.02))
    footprints = page.execute_script("return window.skylane.state.overlay.overlayItems.length")
    assert footprints == len(rows)


def test_the_files_of_all_rows_are_asked_for_as_one_archive(page, site):
    form = page.find_element(By.ID, "fetch-all")
    assert form.is_displayed()
    # What the browser would send and save is fetched here instead.
    action, dids = (
        form.get_attribute("action"),
        page.execute_script(
            "return new FormData(document.getElementById('fetch-all')).getAll('ID')"
        ),
    )
    assert sorted(dids) == sorted(site.dids_around(150.1, 2.2, 0.02))
    answer = httpx.post(action, data={"ID": dids}, follow_redirects=True)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        manifest = next(one for one in archive if one.name.endswith("/manifest.txt"))
        told = archive.extractfile(manifest).read().decode()
    assert all(did in told for did in dids)


def test_a_region_search_takes_a_polygon(page, site):
    page.find_element(By.CSS_SELECTOR, 'input[name="kind"][value="region"]').click()
    page.execute_script(
        "document.getElementById('region').value = 'POLYGON 150.09 2.19 150.11 2.19 150.1 2.21'"
    )
    page.find_element(By.CSS_SELECTOR, "#search button[type=submit]").click()
    _wait(page, "document.getElementById('status').textContent.includes('found')")
    assert page.find_elements(By.CSS_SELECTOR, "#results tbody tr")
    page.find_element(By.CSS_SELECTOR, 'input[name="kind"][value="cone"]').click()


def test_a_click_on_a_footprint_shows_metadata_links_and_a_cutout(page, site):
    page.execute_script("window.skylane.clicked({ra: 150.1, dec: 2.2})")
    _wait(page, "!document.getElementById('cutout-download').hidden")
    metadata = page.find_element(By.ID, "metadata").text
    assert "obs_publisher_did" in metadata
    assert "DemoCam" in metadata
    links = page.find_element(By.ID, "links").text
    assert "#this" in links
    assert "#cutout" in links
    assert page.execute_script(
        "const links = document.getElementById('links'), long = document.createElement('li');"
        "long.textContent = 'x'.repeat(300); links.append(long);"
        "const fits = links.scrollWidth <= links.clientWidth; long.remove(); return fits"
    ), "a long name widens the panel"
    grey = page.execute_script(
        "const c = document.getElementById('cutout');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return Array.from(new Set(p)).length"
    )
    assert grey > 20, "the cutout is drawn with many shades"
    _picture(page, "footprint")


def test_the_coverage_of_a_collection_is_drawn_and_taken_away(page, site):
    def choose(name):
        page.execute_script(
            "const s = document.getElementById('coverage'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('change'))", name,
        )  # fmt: skip

    offered = page.find_element(By.ID, "coverage").find_elements(By.TAG_NAME, "option")
    assert [option.text for option in offered] == ["not drawn", "demo"]
    page.execute_script("window.skylane.state.aladin.setFoV(3)")
    choose("demo")
    _wait(page, "document.getElementById('status').textContent.includes('demo covers')")
    assert page.find_element(By.ID, "coverage-file").get_attribute("href") == f"{site.url}/moc/demo"
    moc = "window.skylane.state.coverage"
    _wait(page, f"{moc}.skyFraction() > 0")
    assert page.execute_script(f"return {moc}.contains(150.1, 2.2) && !{moc}.contains(150.1, 9)")
    _picture(page, "coverage")
    choose("")
    assert page.execute_script(f"return {moc} === null")
    page.execute_script("window.skylane.state.aladin.setFoV(0.3)")


def test_a_search_that_finds_other_images_forgets_the_chosen_one(page):
    hidden = "document.getElementById('details').hidden"
    for position, found, is_hidden in (("150.1 2.2", "images found", False),
                                       ("10 -40", "0 images found", True)):  # fmt: skip
        page.execute_script("document.getElementById('position').value = arguments[0]", position)
        page.find_element(By.CSS_SELECTOR, "#search button[type=submit]").click()
        _wait(page, f"document.getElementById('status').textContent.includes('{found}')"
                    f" && {hidden} === {str(is_hidden).lower()}")  # fmt: skip


def test_a_narrow_window_hides_nothing_of_the_head(page):
    page.set_window_size(500, 860)
    _wait(page, "document.querySelector('header').scrollWidth <= window.innerWidth")
    page.set_window_size(1280, 860)


def test_a_wrong_position_is_told(page):
    page.execute_script("document.getElementById('position').value = 'here'")
    page.find_element(By.CSS_SELECTOR, "#search button[type=submit]").click()
    _wait(page, "document.getElementById('status').className === 'error'")
    assert "two numbers" in page.find_element(By.ID, "status").text


def test_the_page_reached_for_nothing_elsewhere(page, site):
    names = page.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    away = [n for n in names if not n.startswith((site.url, "data:", "blob:"))]
    assert not away, json.dumps(away)


@pytest.mark.parametrize("name", ["demo-r", "live/demo-r"])
def test_a_hips_is_shown_on_its_own_page(page, site, name):
    """The stars of the brightest exposure of the band are where they are on the sky."""
    page.get(f"{site.url}/hips/{name}/")
    tiles = "performance.getEntriesByType('resource').map(e => e.name)"
    pattern = f"hips\\/{name.replace('/', chr(92) + '/')}\\/Norder\\d+\\/.*Npix\\d+\\.png"
    assert _wait(page, f"{tiles}.some(name => /{pattern}/.test(name))")

    def shown(browser) -> bool:
        picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("L")
        middle = np.asarray(picture)[300:700, 300:900]
        return len(np.unique(middle)) > 60

    WebDriverWait(page, WAIT_S).until(shown)
    _picture(page, f"hips-{name.replace('/', '-')}")
    names = page.execute_script(f"return {tiles}")
    assert not [n for n in names if not n.startswith((site.url, "data:", "blob:"))]


def test_without_aladin_lite_the_page_says_how_to_get_it(site_settings, tmp_path):
    from starlette.applications import Starlette

    from skylane.portal.routes import portal_routes

    settings = site_settings.portal.model_copy(update={"aladin_lite": tmp_path / "none.js"})
    client = AppClient(Starlette(routes=portal_routes(settings)))
    answer = client.get("/portal/vendor/aladin.js")
    assert answer.status_code == 404
    assert "npm ci" in answer.text
