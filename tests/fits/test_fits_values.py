"""The values of header cards are those that astropy reads from the same cards."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.cards import _SOUND, _parses, repair_cards
from vodal.fits.index import HduIndex
from vodal.fits.quiet import quiet
from vodal.fits.scan import scan_file
from vodal.fits.values import HeaderValues

KEYWORDS = st.sampled_from(
    ["CRVAL1", "A_ORDER", "DATE-OBS", "X", "DP1", "HIERARCH ESO DET NAME", "HIERARCH CTYPE1",
     "HIERARCH a.b", "HIERARCH HIERARCH X", "CONTINUE", "COMMENT", "HISTORY", "", "crpix1"]
)  # fmt: skip
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90)
QUOTED = st.text(st.sampled_from("'' /:&ab1.= "), max_size=30)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: f"{x:.9E}".replace("E", "D")),
    st.sampled_from(["007", "+5", "-0", "5.", ".5", "1d5", "1 E5", "- 3", "1E400", "(1, 2.5)"]),
)
VALUES = st.one_of(
    NUMBERS,
    st.sampled_from(["T", "F", "", "''", "' '", "'EXTVER: 1'", "'AXIS.1: 2.5'", "'a''b'", "nan"]),
    PRINTABLE.map(lambda text: "'" + text.replace("'", "''") + "'"),
    QUOTED.map(lambda text: f"'{text}'"),
    QUOTED,
    PRINTABLE,
)
REMARKS = st.one_of(
    st.just(""), QUOTED.map(lambda text: "/ " + text), PRINTABLE.map(lambda text: "/" + text)
)
INDICATORS = st.sampled_from(["= ", "= ", "= ", "=", "  "])


@st.composite
def cards(draw: st.DrawFn) -> str:
    keyword = draw(KEYWORDS)
    text = f"{keyword:<8}{draw(INDICATORS)}{draw(VALUES)} {draw(REMARKS)}"
    return text[:80].ljust(80)


def assert_alike(found: HeaderValues, header: fits.Header) -> None:
    """Compare with astropy's reading."""
    with quiet():
        remarks = {"COMMENT", "HISTORY", ""}
        keywords = [fits.Card.normalize_keyword(key) for key in header]
        assert set(found) == set(keywords) - remarks
        assert [key for key, _ in found.cards] == keywords
        for keyword in found:
            # By its place, since a ? or * in a keyword is a pattern to astropy.
            expected = header[keywords.index(keyword)]
            value = found[keyword]
            assert type(value) is type(expected), keyword
            assert repr(value) == repr(expected), keyword
            assert found.comment(keyword) == header.comments[keywords.index(keyword)], keyword
        assert found.text() == header_text(header)


def header_text(header: fits.Header) -> str:
    with quiet():
        return str(header.tostring(endcard=False, padding=False))


@settings(max_examples=600, deadline=None)
@given(st.lists(cards(), max_size=8))
@example(["HIERARCH ESO DET NAME  '?' / =".ljust(80)])
@example(["KEY     = ''    / it's '".ljust(80)])
@example(["KEY     = 'a'' / b' / c".ljust(80)])
@example(["KEY     = 'abc&' / remark".ljust(80), "CONTINUE  'def' / more".ljust(80)])
@example(["DP1     = 'EXTVER: 1'".ljust(80), "DP1     = 'NAXES: 2' / axes".ljust(80)])
def test_sound_cards_are_read_as_astropy_reads_them(made: list[str]) -> None:
    sound = repair_cards(made)
    if sound and sound[0].startswith("CONTINUE"):
        sound = sound[1:]
    text = "".join(sound)
    with quiet():
        assert_alike(HeaderValues.of(text), fits.Header.fromstring(text))


HIERARCH = st.lists(
    st.text("AZ09_-", min_size=1, max_size=6), min_size=1, max_size=4
).flatmap(lambda names: st.sampled_from([" ".join(names), ".".join(names)]))  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(HIERARCH.map("HIERARCH {}".format), KEYWORDS), INDICATORS, VALUES, REMARKS)
@example("HIERARCH ESO-2", "= ", "1.5D+3", "")
@example("HIERARCH CONTINUE", "= ", "1", "")
@example("HIERARCH A", "= ", "'it''s: 1'", "/ x: 2")
@example("TZERO5", "= ", "-2.4508685D+06", "/ x")
def test_cards_that_are_not_shown_to_astropy_are_sound(keyword, indicator, value, remark):
    """Whatever the quick look takes for sound, astropy reads and writes without complaint."""
    for blank in ("", " ", "   "):
        card = f"{keyword:<8}{blank}{indicator}{value} {remark}"[:80].ljust(80)
        if _SOUND.match(card):
            assert _parses(card), card


def test_what_is_not_there_is_missing() -> None:
    values = HeaderValues.of("CRVAL1  = 1.5".ljust(80) + "COMMENT X".ljust(80))
    assert "CRVAL2" not in values
    assert "COMMENT" not in values
    assert values.get("CRVAL2") is None
    assert values.comment("CRVAL2") == ""
    with pytest.raises(KeyError):
        values["CRVAL2"]
    assert len(values) == 1


@pytest.mark.realdata
def test_headers_of_real_files_are_read_as_astropy_reads_them(real_images: Path) -> None:
    read = 0
    for path in sorted(real_images.rglob("*")):
        try:
            index = scan_file(path) if path.is_file() else None
        except DataError:
            continue
        for hdu in index.hdus if index else ():
            assert_alike(hdu.values, hdu.header)
            assert_image_alike(hdu)
            read += 1
    assert read > 250


def assert_image_alike(hdu: HduIndex) -> None:
    """Compare with the header that astropy writes of an image, but for remarks on structure."""
    header = hdu.image_header
    keywords = {fits.Card.normalize_keyword(key) for key in header} - {"COMMENT", "HISTORY", ""}
    assert set(hdu.image_values) == keywords
    for keyword in keywords:
        assert repr(hdu.image_values[keyword]) == repr(header[keyword]), keyword
