from __future__ import annotations

import pytest

from soda.formats import FITS, FORMATS, accepted_format, format_of_file, requested_format
from soda.output import Compression, Output, parse_output
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params

RICE = next(one for one in FORMATS if one.name == "fits-rice")


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_a_format_is_found_by_all_its_names(one):
    for name in (one.name, one.media_type, *one.aliases, one.media_type.upper()):
        for parameter in ("RESPONSEFORMAT", "format"):
            assert requested_format(Params([(parameter, name)])) == one


@pytest.mark.parametrize(
    "text",
    ["image/fits; compression=rice", 'image/fits ;Compression="RICE"', "image/x-fits-rice"],
)
def test_blanks_and_quotes_of_media_types_do_not_matter(text):
    assert requested_format(Params([("RESPONSEFORMAT", text)])) == RICE


def test_other_parameters_of_a_media_type_are_passed_over():
    assert requested_format(Params([("FORMAT", "image/fits; charset=binary")])) == FITS


@pytest.mark.parametrize("text", ["image/tiff", "image/fits;compression=lzma", "votable", "*/*"])
def test_an_unknown_format_is_refused_with_those_that_are_served(text):
    with pytest.raises(UsageError) as caught:
        requested_format(Params([("FORMAT", text)]))
    assert "FORMAT" in caught.value.message
    assert all(one.media_type in caught.value.message for one in FORMATS)


def test_two_formats_are_one_too_many():
    with pytest.raises(MultiValuedParamNotSupported):
        requested_format(Params([("RESPONSEFORMAT", "fits"), ("FORMAT", "fits-rice")]))
    same = Params([("RESPONSEFORMAT", "fits-rice"), ("FORMAT", "image/x-fits-rice")])
    assert requested_format(same) == RICE


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("", None),
        ("*/*", None),
        ("text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8", None),
        ("image/x-fits-rice", "fits-rice"),
        ("image/fits;compression=gzip", "fits-gzip"),
        ("image/fits;compression=gzip;q=0.1, image/x-fits-rice;q=0.5", "fits-rice"),
        ("image/x-fits-rice;q=0", None),
        ("image/x-fits-rice;q=x", None),
        ("image/x-fits-rice, image/fits;q=0.1", None),
        ("text/plain", None),
        ("fits-rice", None),
    ],
)
def test_accept_counts_only_where_fits_is_not_accepted(accept, name):
    found = accepted_format(accept)
    assert (None if found is None else found.name) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.fits", "fits"), ("a.b.FITS.FZ", "fits-rice"), ("fits", None), ("a.tiff", None)],
)
def test_the_name_of_a_file_tells_its_format(name, expected):
    found = format_of_file(name)
    assert (None if found is None else found.name) == expected


def test_a_parameter_stands_above_the_accept_header():
    assert parse_output(Params([]), RICE).format == RICE
    assert parse_output(Params([("FORMAT", "fits")]), RICE).format == FITS


def test_nothing_asked_is_plain_fits():
    assert parse_output(Params([])) == Output(FITS, "keep", Compression(4.0, None))


def test_values_are_read():
    given = [("OUTSIDE", "NaN"), ("QUANTIZE", "16"), ("TILE", "100 1"), ("FORMAT", "fits-rice")]
    assert parse_output(Params(given)) == Output(RICE, "nan", Compression(16.0, (100, 1)))


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("OUTSIDE", "drop", "keep, nan, mask"),
        ("QUANTIZE", "0", "above 0"),
        ("QUANTIZE", "1 2", "one number"),
        ("QUANTIZE", "many", "not a number"),
        ("QUANTIZE", "inf", "not a finite"),
        ("TILE", "10", "columns and rows"),
        ("TILE", "10 0", "from 1"),
        ("TILE", "10 1.5", "whole"),
        ("TILE", "10 100000", "65536"),
    ],
)
def test_a_wrong_value_is_told_by_the_parameters_name(name, value, word):
    with pytest.raises(UsageError) as caught:
        parse_output(Params([(name, value)]))
    assert name in caught.value.message
    assert word in caught.value.message
