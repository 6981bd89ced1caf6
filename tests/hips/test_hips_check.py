"""The check of HiPS: each clause is found broken where it is, and nowhere else."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from mocpy import MOC
from PIL import Image

from hips.build import build
from hips.check import Level, check_hips, check_list
from hips.check.finding import at_most_each, note
from hips.color.build import build_color
from hips.encode import png_grey
from hips.settings import HipsSettings
from hips.tiles.tree import TileTree
from skylane.testing import call, refused
from vodal.errors import NotFoundError, ServiceUnavailable
from vodal.testing.skies import make_wcs

ORDER = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory, save_image, new_shelf) -> Path:
    """Give a folder with HiPS of three bands and one in colour, of a sky that is no way alike."""
    folder = tmp_path_factory.mktemp("made")
    shelf = new_shelf()
    wcs = make_wcs(83.0, 5.0, 160, 25.0, 12.0, distorted=False)
    rng = np.random.default_rng(7)
    y, x = np.indices((160, 160))
    sky = 100.0 * np.exp(-((x - 40) ** 2 + (y - 120) ** 2) / 800.0) + 0.3 * x + 0.1 * y
    for band in "gri":
        data = (sky + rng.normal(0, 0.2, sky.shape)).astype(np.float32)
        shelf.put(save_image(folder / f"{band}.fits", data, wcs), filter=band)
    for product in shelf.items:
        band = product.obscore["filter"]
        build(
            [product], shelf.index, folder, HipsSettings(order=ORDER), name=f"demo-{band}",
            title=f"Demo {band}", creator_did=f"ivo://test.example/hips/{band}",
        )  # fmt: skip
    build_color(
        {band: folder / f"demo-{band}" for band in "irg"}, folder, HipsSettings(),
        name="demo-color", title="Demo", creator_did="ivo://test.example/hips/c",
    )  # fmt: skip
    return folder


@pytest.fixture
def good(made, tmp_path) -> Path:
    """Give a copy of a good HiPS, to be damaged."""
    return Path(shutil.copytree(made / "demo-g", tmp_path / "copy"))


@pytest.mark.parametrize("name", ["demo-g", "demo-color"])
def test_a_good_hips_has_no_fault(made, name):
    assert check_hips(made / name, 0) == []


def tile(folder: Path, order: int = ORDER, extension: str = "fits") -> Path:
    """Give the tile of an order with most values."""
    tree = TileTree(folder)
    paths = [tree.path(order, n, extension) for n in tree.tiles(order, extension)]
    return max(paths, key=lambda p: np.isfinite(fits.getdata(p.with_suffix(".fits"))).sum())


def edit(path: Path, change, **cards) -> None:
    """Change the pixels of a FITS tile and its cards."""
    with fits.open(path) as file:
        data, header = file[0].data.copy(), file[0].header.copy()
    for card, value in cards.items():
        header[card] = value
    fits.PrimaryHDU(np.ascontiguousarray(change(data)), header).writeto(path, overwrite=True)


def repaint(path: Path, change, **how) -> None:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGBA"))
    Image.fromarray(np.ascontiguousarray(change(pixels))).save(path, **how)


def say(key: str, value: str | None):
    """Give a damage: a keyword of the properties gets another value, or goes."""

    def damage(folder: Path) -> None:
        path = folder / "properties"
        lines = [line for line in path.read_text().splitlines() if line.split(" ")[0] != key]
        lines += [] if value is None else [f"{key} = {value}"]
        path.write_text("\n".join(lines) + "\n")

    return damage


def text(addition: bytes):
    def damage(folder: Path) -> None:
        path = folder / "properties"
        path.write_bytes(path.read_bytes() + addition)

    return damage


def no_order_1(folder):
    shutil.rmtree(folder / "Norder1")


def no_low_orders(folder):
    for order in range(3):
        shutil.rmtree(folder / f"Norder{order}")


def another_folder(folder):
    path = tile(folder, 4, "png")
    wrong = path.parent.with_name("Dir20000")
    wrong.mkdir()
    shutil.copy(path, wrong)


def too_high_number(folder):
    path = tile(folder, 3)
    path.with_name("Npix768.fits").write_bytes(path.read_bytes())


def upper_case(folder):
    path = tile(folder, extension="png")
    path.with_name(path.name.replace("png", "PNG")).write_bytes(path.read_bytes())


def gzipped(folder):
    tile(folder).write_bytes(gzip.compress(tile(folder).read_bytes()))


def cut_short(folder):
    tile(folder).write_bytes(tile(folder).read_bytes()[:-100])


def torn_png(folder):
    path = tile(folder, extension="png")
    path.write_bytes(path.read_bytes()[:2000])


def not_png(folder):
    tile(folder, extension="png").write_bytes(b"\xff\xd8\xff\xe0 what a picture")


def small_png(folder):
    tile(folder, extension="png").write_bytes(png_grey(np.ones((256, 256), np.uint8)))


def blank_leaf(folder):
    edit(tile(folder), lambda d: d * np.nan)


def values_elsewhere(folder):
    edit(tile(folder, 4), lambda d: d + 3.0)


def children_exchanged(folder):
    """Put the children 1 and 2 in each other's quarter, as x and y exchanged do."""

    def change(data):
        out = data.copy()
        out[:256, :256], out[256:, 256:] = data[256:, 256:], data[:256, :256]
        return out

    edit(tile(folder, 4), change)


def moc_of(cells, order, system=None):
    def damage(folder):
        moc = MOC.from_healpix_cells(
            np.array(cells, np.uint64), np.full(len(cells), order, np.uint8), order
        )
        moc.save(str(folder / "Moc.fits"), format="fits", overwrite=True)
        if system:
            with fits.open(folder / "Moc.fits", mode="update") as file:
                file[1].header["COORDSYS"] = system

    return damage


def moc_short(folder):
    moc_of(TileTree(folder).tiles(ORDER, "fits")[:-1], ORDER)(folder)


def moc_long(folder):
    moc_of([*TileTree(folder).tiles(ORDER, "fits"), 9000], ORDER)(folder)


def moc_galactic(folder):
    moc_of(TileTree(folder).tiles(ORDER, "fits"), ORDER, "G")(folder)


def allsky(name, change):
    def damage(folder):
        path = folder / "Norder3" / name
        (edit if name.endswith("fits") else repaint)(path, change)

    return damage


def cells_turned(pixels):
    cells = pixels.reshape(29, 64, 27, 64, *pixels.shape[2:])
    return cells[:, ::-1].reshape(pixels.shape)


def cells_from_below(pixels):
    cells = pixels.reshape(29, 64, 27, 64, *pixels.shape[2:])
    return cells[::-1].reshape(pixels.shape)


def wrong_preview(folder):
    repaint(folder / "preview.jpg", lambda p: p[:100, :100, :3], format="PNG")


def metadata_text(folder):
    (folder / "metadata.fits").write_text("no FITS")
    (folder / "metadata.xml").write_text("<a/>")


def trim_wrong(folder):
    edit(tile(folder), lambda d: d[100:, :], TRIM1=0, TRIM2=200, ONAXIS1=512, ONAXIS2=512)


DAMAGES = [
    # 4.1
    (no_order_1, "error", "4.1", "parent"),
    (no_order_1, "error", "4.1", "order-missing"),
    (no_low_orders, "warning", "4.3.1", "low-orders"),
    (no_low_orders, "warning", "4.4.1", "order-min"),
    (another_folder, "error", "4.1", "tile-folder"),
    (too_high_number, "error", "4.1", "tile-number"),
    (lambda f: (f / "Norder4" / "Dir5x").mkdir(), "error", "4.1", "folder-name"),
    (lambda f: (f / "Norder4" / "Dir0" / "a.fits").touch(), "warning", "4.1", "tile-name"),
    (upper_case, "error", "4.2.1.3", "tile-extension"),
    (lambda f: tile(f, 4).unlink(), "error", "4.1", "parent"),
    (lambda f: tile(f).unlink(), "warning", "4.2.1.3", "formats-differ"),
    (lambda f: tile(f).unlink(), "warning", "4.2.1.2", "parent-values"),
    (lambda f: edit(tile(f), lambda d: d, NPIX=1), "error", "4.1", "tile-address"),
    (lambda f: edit(tile(f), lambda d: d, CRPIX1=1.0), "error", "4.1", "tile-coordinates"),
    (
        lambda f: edit(tile(f), lambda d: d, CTYPE1="GLON-HPX", CTYPE2="GLAT-HPX"),
        "error", "4.4.1", "tile-frame",
    ),
    (blank_leaf, "note", "4.1", "tile-blank"),
    # 4.2.1
    (small_png, "error", "4.2.1", "tile-size"),
    (say("hips_tile_width", "256"), "error", "4.2.1", "tile-size"),
    (say("hips_tile_width", "500"), "error", "4.2.1", "tile-width"),
    (say("hips_tile_width", "32"), "warning", "Aladin Lite", "tile-width-odd"),
    (say("hips_tile_width", None), "note", "4.2.1", "tile-width"),
    (say("hips_pixel_bitpix", "32"), "error", "4.2.1", "tile-bitpix"),
    (trim_wrong, "error", "4.2.1.3", "tile-unreadable"),
    (gzipped, "warning", "4.2.1.3", "tile-gzip"),
    (cut_short, "warning", "4.2.1.3", "tile-padding"),
    (torn_png, "error", "4.2.1.3", "tile-unreadable"),
    (not_png, "error", "4.2.1.3", "tile-content"),
    (values_elsewhere, "error", "4.2.1.2", "parent-values"),
    (children_exchanged, "error", "4.2.1.2", "child-place"),
    (lambda f: edit(tile(f), np.flipud), "error", "4.2.1.2", "child-turned"),
    (lambda f: edit(tile(f), np.transpose), "error", "4.2.1.2", "child-turned"),
    (lambda f: repaint(tile(f, 5, "png"), np.flipud), "error", "4.2.1.3", "picture-turned"),
    (lambda f: repaint(tile(f, 5, "png"), np.rot90), "error", "4.2.1.3", "picture-turned"),
    (
        lambda f: repaint(tile(f, 5, "png"), lambda p: p[..., :3]),
        "note", "Aladin Lite", None,
    ),
    # 4.3.2
    (lambda f: (f / "Norder3" / "Allsky.png").unlink(), "warning", "4.3.2", "allsky"),
    (allsky("Allsky.fits", lambda d: d[:-64]), "error", "4.3.2", "allsky-size"),
    (allsky("Allsky.png", cells_turned), "error", "4.3.2", "allsky-turned"),
    (allsky("Allsky.fits", cells_turned), "error", "4.3.2", "allsky-turned"),
    (allsky("Allsky.fits", cells_from_below), "error", "4.3.2", "allsky-cells"),
    # 4.4.1
    (lambda f: (f / "properties").unlink(), "error", "4.4.1", "properties"),
    (say("creator_did", None), "error", "4.4.1", "keyword-mandatory"),
    (say("hips_frame", ""), "error", "4.4.1", "keyword-mandatory"),
    (say("t_min", None), "warning", "4.4.1", "keyword-recommended"),
    (text(b"obs_title = again\n"), "error", "4.4.1", "keyword-repeated"),
    (text(b"a key = 1\n"), "error", "4.4.1", "keyword-blank"),
    (text(b"what a line\n"), "error", "4.4.1", "syntax"),
    (text(b"obs_ack = caf\xe9\n"), "error", "4.4.1", "encoding"),
    (text(b"obs_ack = x\robs_doi = y\n"), "error", "4.4.1", "line-ends"),
    (say("creator_did", "http://x.example/hips"), "error", "4.4.1", "creator-did"),
    (say("creator_did", "ivo://x y"), "error", "4.4.1", "creator-did"),
    (say("obs_title", "x" * 101), "warning", "4.4.1", "title-long"),
    (say("hips_release_date", "2026-01-01T00:00:00Z"), "error", "4.4.1", "date"),
    (say("hips_creation_date", "2026-13-01T00:00Z"), "error", "4.4.1", "date"),
    (say("hips_release_date", "2001-01-01T00:00Z"), "warning", "4.4.1", "date-order"),
    (say("hips_status", "public, master"), "error", "4.4.1", "status"),
    (say("hips_status", "public private"), "error", "4.4.1", "status"),
    (say("hips_status", "open"), "error", "4.4.1", "status"),
    (say("hips_version", "one"), "error", "4.4.1", "version"),
    (say("hips_version", "1.2"), "warning", "4.4.1", "version"),
    (say("hips_tile_format", "png, fits"), "error", "4.4.1", "tile-format"),
    (say("hips_tile_format", "png jpg fits"), "error", "4.4.1", "tile-format"),
    (say("hips_tile_format", "png fits jpeg"), "error", "4.1", "deepest-order"),
    (say("hips_tile_format", "webp"), "warning", "4.2.1.3", "tile-format-webp"),
    (say("hips_order", "five"), "error", "4.4.1", "order"),
    (say("hips_order", "4"), "warning", "4.4.1", "order-deeper"),
    (say("hips_order", "6"), "error", "4.1", "deepest-order"),
    (say("hips_order_min", "7"), "error", "4.4.1", "order"),
    (say("hips_frame", "J2000"), "error", "4.4.1", "frame"),
    (say("dataproduct_type", "picture"), "error", "4.4.1", "dataproduct-type"),
    (say("dataproduct_type", "cube"), "error", "4.4.1", "cube-depth"),
    (say("obs_regime", "Optical, UV"), "warning", "4.4.1", "regime"),
    (say("hips_initial_ra", "east"), "error", "4.4.1", "number"),
    (say("hips_initial_dec", "91"), "error", "4.4.1", "number"),
    (say("hips_pixel_cut", "1"), "error", "4.4.1", "range"),
    (say("hips_pixel_cut", "5 1"), "error", "4.4.1", "range"),
    (say("t_min", "99999"), "error", "4.4.1", "range"),
    (say("hips_pixel_bitpix", "33"), "error", "4.4.1", "bitpix"),
    (say("hips_pixel_bitpix", None), "warning", "Aladin Lite", "bitpix-missing"),
    (say("hips_pixel_cut", None), "warning", "Aladin Lite", "pixel-cut-missing"),
    (say("hips_service_url", "here"), "error", "4.4.1", "url"),
    (say("publisher_id", "me"), "warning", "4.4.1", "publisher-id"),
    (say("moc_sky_fraction", "0.5"), "warning", "4.4.1", "moc-fraction"),
    # 4.4.2 to 4.4.5
    (lambda f: (f / "Moc.fits").unlink(), "warning", "4.4.2", "moc"),
    (lambda f: (f / "Moc.fits").write_bytes(b"SIMPLE"), "error", "4.4.2", "moc-unreadable"),
    (moc_short, "error", "4.4.2", "moc-cells"),
    (moc_long, "error", "4.4.2", "moc-cells"),
    (moc_galactic, "error", "4.4.2", "moc-frame"),
    (metadata_text, "error", "4.4.3", "metadata"),
    (wrong_preview, "error", "4.4.4", "preview"),
    (lambda f: (f / "preview.jpg").write_text("x"), "error", "4.4.4", "preview"),
    (lambda f: (f / "index.html").write_text("x"), "warning", "4.4.5", "page"),
    (lambda f: (f / "index.html").unlink(), "note", "4.4.5", "page"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "level", "clause", "rule"),
    DAMAGES,
    ids=[f"{number}-{rule}" for number, (*_, rule) in enumerate(DAMAGES)],
)
def test_each_damage_is_named_with_its_clause(good, damage, level, clause, rule):
    damage(good)
    # What properties say is held against a few tiles as against all.
    findings = check_hips(good, 2 if damage.__qualname__.startswith("say.") else None)
    if rule is None:
        # A picture that cannot be transparent: black where blank is as it should be.
        assert [f for f in findings if f.level == Level.ERROR] == []
        return
    found = [f for f in findings if f.rule == rule]
    assert found, findings
    assert {(f.level.value, f.clause) for f in found} == {(level, clause)}
    assert all(f.where and len(f.what) > 10 for f in found)


def test_a_damage_is_all_that_is_found(good):
    """What is said is about the damage: no rule cries for what another has found."""
    for damage, rules in (
        (say("obs_title", None), {"keyword-mandatory"}),
        (say("hips_pixel_bitpix", "32"), {"tile-bitpix", "keyword-mandatory"}),
    ):
        damage(good)
        assert {f.rule for f in check_hips(good)} == rules


def test_how_a_tile_is_turned_is_said(good):
    edit(tile(good), np.flipud)
    said = " ".join(f.what for f in check_hips(good) if f.rule == "child-turned")
    assert "upside down" in said
    png = tile(good, 4, "png")
    repaint(png, np.fliplr)
    said = [f for f in check_hips(good) if f.rule == "picture-turned" and f.where in str(png)]
    assert "mirrored left to right" in said[0].what


def test_colour_tiles_are_held_against_those_above(made, tmp_path):
    folder = Path(shutil.copytree(made / "demo-color", tmp_path / "copy"))
    path = TileTree(folder).path(
        ORDER, int(re.findall(r"\d+", tile(made / "demo-g").name)[0]), "png"
    )
    repaint(path, np.fliplr)
    assert {f.rule for f in check_hips(folder)} == {"child-turned"}


def test_trimmed_and_compressed_tiles_are_read(good):
    """TRIM cards and RICE are of the draft of HiPS 2.0; makers use them."""
    path = tile(good)
    with fits.open(path) as file:
        data, header = file[0].data.copy(), file[0].header.copy()
    data[:40] = np.nan
    edit(path, lambda _: data)
    before = {(f.rule, f.where) for f in check_hips(good)}
    header.update(TRIM1=0, TRIM2=40, ONAXIS1=512, ONAXIS2=512, CRPIX2=header["CRPIX2"] - 40)
    fits.PrimaryHDU(data[40:], header).writeto(path, overwrite=True)
    assert {(f.rule, f.where) for f in check_hips(good)} == before
    packed = fits.CompImageHDU(np.nan_to_num(data).astype(np.int16))
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path, overwrite=True)
    rules = {f.rule for f in check_hips(good)}
    assert "tile-unreadable" not in rules
    assert "tile-bitpix" in rules


def test_many_findings_of_one_rule_are_counted():
    many = [note("4.1", "one", f"n{k}", "is so") for k in range(25)]
    told = list(at_most_each(many))
    assert len(told) == 11
    assert told[-1].what == "and 15 more of the kind"


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - of the class on purpose

    def log_message(self, *_):
        pass

    def send_head(self):
        self.asked.append(self.path)
        return super().send_head()


@pytest.fixture
def served(good):
    """Serve the copy of a good HiPS; gives its URL."""
    handler = functools.partial(Quiet, directory=str(good.parent))
    Quiet.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/copy"
        server.shutdown()
        thread.join()


def test_a_hips_on_a_server_is_checked_by_a_sample(served, good):
    assert check_hips(served, 2) == []
    tiles = [path for path in Quiet.asked if "Npix" in path]
    deepest = {path for path in tiles if f"Norder{ORDER}/" in path}
    assert len(deepest) <= 4
    assert len(tiles) <= 2 * 2 * (ORDER + 1)
    # Listing is not asked for: servers of tiles have none.
    assert not [path for path in Quiet.asked if path.endswith("/")]
    edit(tile(good), np.flipud)
    assert {f.rule for f in check_hips(served + "/", 0)} >= {"child-turned", "picture-turned"}
    tile(good).unlink()
    missing = [f for f in check_hips(served, 0) if f.rule == "tile-missing"]
    assert [(f.level, f.clause) for f in missing] == [(Level.ERROR, "4.4.2")]


def test_what_is_no_hips_is_told(tmp_path, served):
    with pytest.raises(NotFoundError, match="neither a folder nor a URL"):
        check_hips(tmp_path / "none")
    assert [f.rule for f in check_hips(tmp_path)] == ["properties"]
    assert [f.rule for f in check_hips(served + "x")] == ["properties"]
    with pytest.raises(ServiceUnavailable, match="no answer"):
        check_hips("http://127.0.0.1:9/hips")


GOOD_RECORD = """creator_did = ivo://test.example/hips/g
hips_release_date = 2026-01-01T00:00Z
hips_service_url = https://x.example/hips/g
hips_status = public master clonable
"""


@pytest.mark.parametrize(
    ("record", "rules"),
    [
        (GOOD_RECORD, []),
        ("# a comment\n" + GOOD_RECORD + "\n\n" + GOOD_RECORD.replace("/g", "/r"), []),
        (GOOD_RECORD + "\n" + GOOD_RECORD, ["list-repeated"]),
        (GOOD_RECORD.replace("T00:00Z", ""), ["list-date"]),
        (GOOD_RECORD.replace("https:", "x:"), ["list-url"]),
        (GOOD_RECORD.replace("public", "private"), ["list-private"]),
        (GOOD_RECORD.replace("creator_did", "obs_id"), ["list-mandatory"]),
        (GOOD_RECORD + "what\n", ["list-syntax"]),
        ("\n", ["list-empty"]),
        ("\udcff", ["list-encoding"]),
    ],
)
def test_a_list_is_checked_record_by_record(record, rules):
    data = record.encode("utf-8", "surrogateescape")
    findings = check_list(data)
    assert [f.rule for f in findings] == rules
    assert all(f.clause == "5.2" for f in findings)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "skylane", "hips", "check", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_command_tells_text_or_json_and_by_its_exit_code(good, tmp_path):
    done = run(str(good))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("nothing is wrong\n")
    (good / "Moc.fits").unlink()
    call("hips", "check", good)
    refused("hips", "check", good, "--strict")
    say("creator_did", "\x1b[31mred")(good)
    done = run("--json", str(good))
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["error"], found["warning"], found["note"]) == (1, 1, 0)
    assert {f["rule"] for f in found["findings"]} == {"creator-did", "moc"}
    assert "\x1b[31mred" not in refused("hips", "check", good)
    none = tmp_path / "none"
    assert "neither a folder nor a URL" in refused("hips", "check", none, code=2)
    path = tmp_path / "list"
    path.write_text(GOOD_RECORD.replace("public", "private"))
    call("hips", "check", "--list", path)
    assert "Example: skylane hips check" in call("hips", "check", "--help")


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IRAC4", {"low-orders", "tile-padding"}),
        ("Planck-HFI143", {"low-orders", "tile-padding", "formats-differ"}),
    ],
)
def test_what_is_found_in_published_hips(real_images, name, expected):
    """Excerpts of HiPS of 2011 and 2013: orders 3 only, properties of before HiPS 1.0.

    Their tiles are right: pictures and FITS agree, widths are 512 and 256, frames are galactic.
    """
    findings = check_hips(real_images / "hips_reference" / name, 0)
    errors = [(f.rule, f.what) for f in findings if f.level == Level.ERROR]
    assert errors == [("keyword-mandatory", "creator_did is missing")]
    common = {
        "keyword-mandatory", "keyword-recommended", "version", "bitpix-missing",
        "pixel-cut-missing", "allsky", "moc", "metadata", "preview", "page",
    }  # fmt: skip
    assert {f.rule for f in findings} == common | expected


@pytest.mark.realdata
def test_a_published_tile_that_is_turned_is_found(real_images, tmp_path):
    folder = Path(shutil.copytree(real_images / "hips_reference" / "IRAC4", tmp_path / "copy"))
    for path in folder.rglob("*"):
        path.chmod(0o755)
    path = folder / "Norder3" / "Dir0" / "Npix300.jpg"
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        out = io.BytesIO()
        turned.save(out, "JPEG")
    path.write_bytes(out.getvalue())
    assert "picture-turned" in {f.rule for f in check_hips(folder)}
