"""Which tiles of a HiPS elsewhere are asked for, by its MOC and the frame of that."""

from __future__ import annotations

import io

import pytest
from astropy.io import fits

from hips.coverage import moc_file
from hips.names import tile_path
from hips.remote import RemoteHips
from vodal.storage import LOCAL

COVERED, OTHER = 300, 500
ALL, INSIDE = {COVERED, OTHER}, {COVERED}


def moc_of(system: str | None) -> bytes:
    """Give the MOC of a cell of order 3, in a frame."""
    with fits.open(io.BytesIO(moc_file(3, [COVERED]))) as file:
        if system is None:
            file[1].header.pop("COORDSYS", None)
        else:
            file[1].header["COORDSYS"] = system
        out = io.BytesIO()
        file.writeto(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("frame", "system", "given"),
    [
        ("equatorial", "C", INSIDE),
        ("equatorial", None, INSIDE),
        ("galactic", "G", INSIDE),
        ("ecliptic", "E", INSIDE),
        # Cells of another frame say nothing of these tiles.
        ("galactic", "C", ALL),
        ("galactic", None, ALL),
        ("equatorial", "G", ALL),
        ("equatorial", "", ALL),
    ],
)
def test_a_map_holds_off_tiles_of_its_own_frame_alone(tmp_path, frame, system, given):
    (tmp_path / "properties").write_text(f"hips_frame = {frame}\nhips_order = 3\n")
    data = b"no MOC" if system == "" else moc_of(system)
    (tmp_path / "Moc.fits").write_bytes(data)
    for npix in sorted(ALL):
        path = tmp_path / tile_path(3, npix, "jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"tile")
    hips = RemoteHips(tmp_path.as_uri(), LOCAL)
    assert {npix for npix in ALL if hips.tile(3, npix, "jpg") is not None} == given
