"""Compiled code is loaded when it pays, and compiled by one process of several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits import CompImageHDU

from vodal.fits.pixels import read_section
from vodal.fits.scan import scan_file
from vodal.later import LaterModule
from vodal.storage import LocalReader

KERNELS = """
from vodal.compiled import compiled, in_turn

@compiled
def inner(number):
    return number + 1

@compiled
def outer(number):
    return inner(number) * 2

@in_turn(outer)
def load():
    outer(1)
"""


def test_loading_is_begun_when_enough_work_was_asked():
    later = LaterModule("tests_no_such_module", pays_at=10)
    assert later.pays(4) is None
    assert later._thread is None
    assert later.pays(6) is None
    assert later._thread is not None
    later.wait()
    assert later.loaded is None  # there is none: others go on with the work


def test_a_small_section_is_decoded_without_compiled_code(tmp_path):
    """A process that makes one cutout neither compiles nor loads."""
    pixels = np.arange(128 * 128, dtype=np.int32).reshape(128, 128)
    path = tmp_path / "a.fits"
    hdu = CompImageHDU(pixels, compression_type="RICE_1", tile_shape=(32, 32))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    script = (
        "import sys; from pathlib import Path\n"
        "from vodal.fits.scan import scan_file\n"
        "from vodal.fits.pixels import read_section; from vodal.storage import LocalReader\n"
        "path = Path(sys.argv[1]); index = scan_file(path)\n"
        "with LocalReader(path) as reader:\n"
        "    part = read_section(reader, index.hdus[1], (slice(3, 40), slice(5, 70)))\n"
        "print(int(part.sum()), 'numba' in sys.modules)"
    )
    told = _python(script, str(path), cache=tmp_path).communicate()[0].split()
    index = scan_file(path)
    with LocalReader(path) as reader:
        here = read_section(reader, index.hdus[1], (slice(3, 40), slice(5, 70)))
    assert told == [str(int(pixels[3:40, 5:70].sum())), "False"]
    assert np.array_equal(here, pixels[3:40, 5:70])


def test_of_several_processes_one_compiles(tmp_path):
    """The others read what it made: numba counts hits and misses of what is kept on disk."""
    (tmp_path / "kernels.py").write_text(KERNELS)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import kernels; kernels.load()\n"
        "stats = kernels.outer.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))"
    )
    crew = [_python(script, str(tmp_path), cache=tmp_path / "cache") for _ in range(3)]
    told = sorted(one.communicate()[0].split() for one in crew)
    assert told == [["0", "1"], ["1", "0"], ["1", "0"]]


def _python(script: str, argument: str, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, argument],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )  # fmt: skip
