"""Cuts from files that were damaged in many ways, under limits of memory and processor time.

    python tests/soda/damaged_files.py FOLDER [COUNT] [SEED]

Each file is a sound one with bytes changed in a header, in the table of tiles or in the data. The
answer must be a cutout that astropy reads, none, or an error of our tree that tells what is wrong;
for plain images whose file astropy reads with the same shape, the pixels must be astropy's. Prints
how often each came out; a finding is an exception, or a signal that ends the process.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from soda.cut import cutout_file
from soda.selection import Selection
from vodal.errors import SkylaneError
from vodal.fits.scan import scan_file
from vodal.fits.tiled import rice
from vodal.regions import Circle
from vodal.testing.skies import make_wcs

MEMORY_BYTES = 1 << 30
LIMIT_BYTES = 1 << 26
SLOW_S = 20.0
"""Of the processor, for one file of some 30 kB; a finding if it takes longer."""
RA, DEC = 40.0, 5.0
SIZE = 48

Place = tuple[int, int, str]
"""First byte, one behind the last, and what it is."""


def sound_files() -> dict[str, bytes]:
    """Make the files that are damaged later."""
    header = make_wcs(RA, DEC, SIZE, 1.0).to_header(relax=True)
    rng = np.random.default_rng(1)
    image = rng.normal(500, 20, (SIZE, SIZE)).astype(np.float32)
    counts = rng.integers(0, 3000, (SIZE, SIZE)).astype(np.int16)
    made: dict[str, list[Any]] = {
        "plain": [
            fits.PrimaryHDU(image, header), fits.ImageHDU(counts, name="MASK"),
            fits.ImageHDU(image**2, header, name="VARIANCE"),
        ],
        "cube": [fits.PrimaryHDU(), fits.ImageHDU(np.stack([image] * 3), cube_header())],
        "lookup": lookup_hdus(image, make_wcs(RA, DEC, SIZE, 1.0, distorted=False).to_header()),
    }  # fmt: skip
    made["table"] = table_hdus(image)
    for kind in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"):
        options: dict[str, Any] = {"compression_type": kind, "tile_shape": (16, 24)}
        made[kind] = [fits.PrimaryHDU(), fits.CompImageHDU(counts, header, name="I", **options)]
        if kind != "PLIO_1":
            made[kind].append(
                fits.CompImageHDU(image, header, name="V", quantize_method=2, **options)
            )
    files = {}
    for name, hdus in made.items():
        stream = io.BytesIO()
        fits.HDUList(hdus).writeto(stream)
        files[name] = stream.getvalue()
    files["plain.gz"] = gzip.compress(files["plain"], 1)
    return files


def cube_header() -> fits.Header:
    header = WCS(naxis=3).to_header()
    values = {
        "CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CTYPE3": "FREQ", "CRVAL1": RA, "CRVAL2": DEC,
        "CRVAL3": 1.4e9, "CRPIX1": 24.0, "CRPIX2": 24.0, "CRPIX3": 1.0, "CDELT1": -1 / 3600,
        "CDELT2": 1 / 3600, "CDELT3": 1e6, "PV2_1": 0.01, "PV2_2": 0.02,
    }  # fmt: skip
    header.update(values)
    return header


def lookup_hdus(image: np.ndarray, header: fits.Header) -> list[Any]:
    sci = fits.ImageHDU(image, header, name="SCI")
    hdus = [fits.PrimaryHDU(), sci]
    for axis in (1, 2):
        table = fits.ImageHDU(np.full((5, 5), 0.2, np.float32), name="WCSDVARR")
        table.ver = axis
        for k in (1, 2):
            table.header[f"CRPIX{k}"], table.header[f"CRVAL{k}"] = 1.0, 1.0
            table.header[f"CDELT{k}"] = 12.0
        hdus.append(table)
        sci.header[f"CPDIS{axis}"] = "LOOKUP"
        for record in (f"EXTVER: {axis}.0", "NAXES: 2.0", "AXIS.1: 1.0", "AXIS.2: 2.0"):
            sci.header.append(fits.Card(f"DP{axis}", record), end=True)
    return hdus


def table_hdus(image: np.ndarray) -> list[Any]:
    """Make an image whose positions are in a table."""
    v, u = np.mgrid[0:SIZE:2, 0:SIZE:2]
    where = np.stack([RA - (u - 24) / 3600, DEC + (v - 24) / 3600], -1)
    column = fits.Column("P", f"{where.size}D", dim="(2,24,24)", array=where[None])
    hdu = fits.ImageHDU(image, name="SCI")
    for axis, name in ((1, "RA---TAB"), (2, "DEC--TAB")):
        cards = {"CTYPE": name, "CRVAL": 1.0, "CRPIX": 1.0, "CDELT": 0.5}
        hdu.header.update({f"{key}{axis}": value for key, value in cards.items()})
        table = {"PS{}_0": "T", "PS{}_1": "P", "PV{}_1": 1.0, "PV{}_2": 1.0, "PV{}_3": float(axis)}
        hdu.header.update({key.format(axis): value for key, value in table.items()})
    return [fits.PrimaryHDU(), hdu, fits.BinTableHDU.from_columns([column], name="T", ver=1)]


def places(path: Path) -> list[Place]:
    """Tell where headers, tables of tiles and data of a sound file lie."""
    index = scan_file(path)
    if index.encoding:
        return [(0, index.size_bytes, "gzip")]
    found = []
    for hdu in index.hdus:
        found.append((hdu.header_offset, hdu.header_offset + hdu.header_length, "header"))
        end = hdu.data_offset + hdu.data_length
        if hdu.tiles is not None:
            heap = int(hdu.tiles.offsets.min())
            found += [(hdu.data_offset, heap, "tiles"), (heap, end, "heap")]
        elif hdu.data_length:
            found.append((hdu.data_offset, end, "data"))
    return found


def damage(data: bytes, where: list[Place], rng: np.random.Generator) -> tuple[bytes, str]:
    """Change a few bytes of one part, in a way that is likely to be taken for something."""
    start, end, what = where[rng.integers(len(where))]
    broken = bytearray(data)
    if rng.random() < 0.03:
        return bytes(broken[: rng.integers(0, len(broken))]), "cut"
    for _ in range(rng.integers(1, 4)):
        if what == "header" and rng.random() < 0.8:
            change_card(broken, start, end, rng)
            continue
        at = int(rng.integers(start, end))
        new = rng.choice([0, 255, 127, 128, int(rng.integers(256)), broken[at] ^ 1])
        broken[at] = int(new)
    return bytes(broken), what


def change_card(broken: bytearray, start: int, end: int, rng: np.random.Generator) -> None:
    """Change a digit or the whole value of a card, or exchange two cards."""
    cards = [at for at in range(start, end, 80) if broken[at : at + 3].strip()]
    at = cards[rng.integers(len(cards))]
    match rng.integers(4):
        case 0:
            value = rng.choice(
                ["0", "-1", "1", "2", "2147483648", "99999999999999999999", "1E308", "-1E-300",
                 "NaN", "T", "'x'", "''", "'RA---TAN'", "'DEC--ZPN'", "'FREQ'", "4", "999"]
            )  # fmt: skip
            broken[at + 10 : at + 80] = str(value).rjust(20).ljust(70).encode()
        case 1:
            other = cards[rng.integers(len(cards))]
            one, two = broken[at : at + 80], broken[other : other + 80]
            broken[at : at + 80], broken[other : other + 80] = two, one
        case _:
            digits = [k for k in range(at, at + 80) if chr(broken[k]) in "0123456789.E-"]
            if digits:
                broken[digits[rng.integers(len(digits))]] = ord(rng.choice(list("0123456789.E-")))


def outcome(path: Path, what: str, stencil: Circle | None, *, is_plain: bool) -> str:
    """Cut, and look at the answer."""
    try:
        made = cutout_file(path, Selection(stencil), limit_bytes=LIMIT_BYTES)
    except SkylaneError as error:
        if not 10 <= len(str(error)) < 600:
            raise AssertionError("no useful sentence") from error
        return f"{what}: refused"
    if made is None:
        return f"{what}: nothing"
    with fits.open(io.BytesIO(bytes(made.body))) as cut:
        for hdu in cut:
            # Tables go along as they are.
            _ = hdu.data if hdu.is_image else None
            if is_plain and "CUTHDU" in hdu.header:
                compare(hdu, path)
    return f"{what}: cut"


def compare(cut: Any, path: Path) -> None:
    try:
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            hdu = hdus[cut.header["CUTHDU"]]
            theirs, offset = np.array(hdu.data), hdu.fileinfo()["datLoc"]
    except Exception:  # noqa: BLE001 - astropy need not read what is damaged
        return
    if scan_file(path).hdus[cut.header["CUTHDU"]].data_offset != offset:
        return  # a damaged END card, which astropy takes for one
    parts = [part.split(":") for part in cut.header["CUTSEC"].strip("[]").split(",")]
    section = tuple(slice(int(low) - 1, int(high)) for low, high in reversed(parts))
    ours = np.frombuffer(stored(cut), np.uint8)
    expected = theirs[section]
    expected = np.ascontiguousarray(expected, expected.dtype.newbyteorder(">"))
    if expected.nbytes == ours.size:
        assert expected.tobytes() == ours.tobytes(), "other pixels than astropy's"


def stored(hdu: Any) -> bytes:
    """Give the bytes of an image as the file has them."""
    info = hdu.fileinfo()
    count = abs(hdu.header["BITPIX"]) // 8
    for axis in range(1, hdu.header["NAXIS"] + 1):
        count *= hdu.header[f"NAXIS{axis}"]
    info["file"].seek(info["datLoc"])
    return bytes(info["file"].read(count))


def main(folder: Path, count: int, seed: int) -> None:
    """Damage files and cut from them."""
    warnings.simplefilter("ignore")
    logging.disable()
    rice.wait()
    files = sound_files()
    where = {}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        where[name] = places(folder / name)
    names = sorted(files)
    # What is loaded and compiled above is not counted.
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    path = folder / "damaged.fits"
    seen: Counter[str] = Counter()
    stencils = [None, Circle(RA, DEC, 8 / 3600), Circle(RA + 0.006, DEC - 0.006, 4 / 3600),
                Circle(0.0, 0.0, 180.0)]  # fmt: skip
    for number in range(seed, seed + count):
        rng = np.random.default_rng(number)
        name = names[rng.integers(len(names))]
        data, what = damage(files[name], where[name], rng)
        path.write_bytes(data)
        (folder / "seed").write_text(str(number))
        stencil = stencils[rng.integers(len(stencils))]
        signal.alarm(120)
        begin = time.process_time()
        try:
            seen[outcome(path, what, stencil, is_plain=name in {"plain", "cube"})] += 1
        except BaseException:
            print(f"found by seed {number}: {name}, {what}", file=sys.stderr)
            raise
        spent = time.process_time() - begin
        assert spent < SLOW_S, f"{spent} s"
    signal.alarm(0)
    print(json.dumps(dict(sorted(seen.items()))))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]), int((given[1:2] or ["500"])[0]), int((given[2:3] or ["0"])[0]))
