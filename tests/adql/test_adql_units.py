"""Units: read as VOUnits says, converted as astropy converts them, and named where they do not."""

from __future__ import annotations

import math
import time
import warnings
from fractions import Fraction

import pytest
from astropy import units as u
from astropy.io.votable.ucd import parse_ucd
from astropy.units.format.vounit import VOUnit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from obscore import adql
from obscore.adql.units import MAX_UNIT, UnitError, factor, parse_unit, power, product
from vodal.errors import QueryError

QUIET = [HealthCheck.function_scoped_fixture]

OTHERWISE = {
    "Sun",  # "relative to the Sun", which is no number
    "ha",  # a year of a hundred, not an area
    "dau",  # a decimal mass unit: VOUnits has 'au' for AU without prefixes
    "Ba",  # the Besselian year, not the barye
}
"""What astropy has otherwise than the table of VOUnits 1.1, section 3.1."""


def test_every_symbol_means_what_astropy_says():
    base = {"g": u.g, "ph": u.photon, "ct": u.ct, "dB": u.dB}
    for name, known in VOUnit._units.items():
        if name in OTHERWISE:
            continue
        meaning = parse_unit(name).meaning
        same = u.dimensionless_unscaled
        for symbol, exponent in meaning.dimensions:
            same = same * base.get(symbol, u.Unit(symbol)) ** exponent
        assert known.to(same) == pytest.approx(float(meaning.exact) * meaning.inexact, rel=1e-9)


@pytest.mark.parametrize(("unit", "to", "wanted"), [
    ("deg", "arcmin", 60.0),
    ("deg", "arcsec", 3600.0),
    ("deg", "mas", 3_600_000.0),
    ("deg", "rad", math.radians(1.0)),
    ("rad", "deg", math.degrees(1.0)),
    ("deg**2", "sr", math.radians(1.0) ** 2),
    ("d", "s", 86400.0),
    ("yr", "d", 365.25),
    ("m", "nm", 1e9),
    ("m", "Angstrom", 1e10),
    ("kbyte", "Mbyte", 1e-3),
    ("Kibyte", "byte", 1024.0),
    ("10**3m", "km", 1.0),
    ("0.5m", "cm", 50.0),
    ("km/s", "m.s**-1", 1000.0),
    ("mas/yr", "deg/d", 1 / 3_600_000 / 365.25),
    ("(m/s)**2", "J/kg", 1.0),
    ("sqrt(m**2)", "cm", 100.0),
    ("m**(3/2).m**(-0.5)", "m", 1.0),
    ("Jy", "erg.s**-1.cm**-2.Hz**-1", 1e-23),
    ("ct/s", "count/min", 60.0),
    ("%", "%", 1.0),
])  # fmt: skip
def test_factors(unit, to, wanted):
    assert factor(parse_unit(unit), parse_unit(to)) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(("text", "words"), [
    ("foo", "no unit"),
    ("deg2", "breaks off before '2'"),
    ("m s", "breaks off before ' s'"),
    ("m/s/s", "breaks off before '/s'"),
    ("m//s", "breaks off"),
    ("(m", "breaks off before ''"),
    ("m)", "breaks off"),
    ("m**", "breaks off"),
    ("m**x", "breaks off before 'x'"),
    ("m**(1/0)", "breaks off"),
    (".m", "breaks off"),
    (" m", "breaks off"),
    ("Ymm", "no unit"),
    ("kmas", "no unit"),
    ("Kim", "no unit"),
    ("'furlong'", "in quotes"),
    ('"furlong"', "in quotes"),
    ("log(m)", "cannot be converted"),
    ("m**25", "too large"),
    ("m" * 101, "at most 100"),
    ("(" * 20 + "m" + ")" * 20, "parentheses"),
    ("\0", "breaks off"),
    ("µm", "breaks off"),
])  # fmt: skip
def test_what_is_no_unit_is_named(text, words):
    with pytest.raises(UnitError) as caught:
        parse_unit(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(("unit", "to"), [
    ("deg", "kg"), ("Hz", "m"), ("ph", "ct"), ("mag", "dB"), ("m", "m**2"), ("pix", "voxel"),
])  # fmt: skip
def test_units_of_different_things_have_no_factor(unit, to):
    with pytest.raises(UnitError, match="measure different things"):
        factor(parse_unit(unit), parse_unit(to))


def test_factors_out_of_range_are_refused():
    with pytest.raises(UnitError, match="out of range"):
        factor(parse_unit("Ym**20"), parse_unit("ym**20"))


@pytest.mark.parametrize(("loose", "strict"), [
    ("deg2", "deg**2"), ("km s-1", "km.s**-1"), ("erg/s/cm2", "erg.cm**-2.s**-1"),
    ("W m^-2", "W.m**-2"), ("m*s", "m.s"), ("J / s", "J.s**-1"), ("1e-3 Jy", "1e-3Jy"),
    ("10**-7 m", "10**-7m"), (" deg ", "deg"), ("mas yr-1", "mas.yr**-1"),
])  # fmt: skip
def test_columns_may_have_the_spellings_of_fits_and_cds(loose, strict):
    assert parse_unit(loose, loose=True).meaning == parse_unit(strict).meaning


names = st.sampled_from(["m", "s", "km", "deg", "arcsec", "Jy", "keV", "yr", "ct", "pix"])
exponents = st.sampled_from([1, 2, -1, -3, Fraction(1, 2), Fraction(-3, 2)])


@settings(max_examples=200, deadline=None)
@given(terms=st.dictionaries(names, exponents, min_size=1, max_size=4))
def test_units_are_read_as_they_are_written_and_as_astropy_reads_them(terms):
    unit = None
    for name, exponent in terms.items():
        part = power(name, Fraction(exponent))
        unit = part if unit is None else product(unit, part)
    parsed = parse_unit(unit)
    assert str(parsed) == unit
    assert dict(parsed.symbols) == terms
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = u.Unit(unit, format="vounit")
    wanted = math.prod(
        u.Unit(name).decompose().scale ** float(power) for name, power in terms.items()
    )
    assert theirs.decompose().scale == pytest.approx(wanted, rel=1e-12)


def test_products_that_cancel_or_are_not_known_have_no_unit():
    assert product("m", "m", -1) is None
    assert product("m", None) is None
    assert product("furlong", "m") is None
    assert power(None, Fraction(2)) is None
    assert product("10m", "m") is None


@settings(max_examples=300, deadline=None)
@given(text=st.text("msdeg0123456789.*/()+-' %kM", max_size=MAX_UNIT))
@example(text="m**" * 33)
@example(text="sqrt(" * 20)
@example(text="10**999m")
@example(text="1e999m")
@example(text="9" * 100)
def test_any_text_is_read_or_refused_at_once(text):
    start = time.thread_time()
    for loose in (False, True):
        message = "a unit of length"
        try:
            factor(parse_unit(text, loose=loose), parse_unit("m"))
        except UnitError as error:
            message = str(error)
        assert 0 < len(message) < 400
    assert time.thread_time() - start < 0.5


# In queries ----------------------------------------------------------------------------------


def test_in_unit_converts_values_and_tells_their_unit(run, schema, numbers):
    query = "SELECT IN_UNIT(x, 'km'), IN_UNIT(x, 'cm'), IN_UNIT(x + 1, 'mm') FROM test.numbers"
    columns = adql.translate(query, schema).columns
    assert [column.unit for column in columns] == ["km", "cm", "mm"]
    assert {column.datatype for column in columns} == {"double"}
    for row, (*_, x, _y, _a, _b) in zip(run(query), numbers, strict=True):
        wanted = (None,) * 3 if x is None else (x / 1000.0, x * 100.0, (x + 1) * 1000.0)
        assert row == wanted
    assert run("SELECT id FROM test.numbers WHERE IN_UNIT(x, 'cm') = 250") == [(2,)]


@pytest.mark.parametrize(("value", "unit"), [
    ("x * y", "m**2"),
    ("x / y", None),
    ("x * 2", None),
    ("x + 2", "m"),
    ("x - y", "m"),
    ("x + i", None),
    ("x / y * x", None),
    ("POWER(x, 2)", "m**2"),
    ("POWER(x, 0.5)", "m**(0.5)"),
    ("POWER(x, i)", None),
    ("SQRT(POWER(x, 2) + POWER(y, 2))", "m"),
    ("ABS(-x)", "m"),
    ("COALESCE(x, y)", "m"),
    ("MAX(x)", "m"),
    ("x * x / y", "m"),
])  # fmt: skip
def test_units_of_expressions_are_told_where_they_are_certain(value, unit, schema):
    grouped = "" if "MAX" in value else ", i"
    query = f"SELECT {value}{grouped} FROM test.numbers"
    assert adql.translate(query, schema).columns[0].unit == unit


@pytest.mark.parametrize(("call", "words"), [
    ("IN_UNIT(s_ra, '')", "without unit"),
    ("IN_UNIT(s_ra, '10')", "without unit"),
    ("IN_UNIT(s_ra, 'foo')", "'foo' is no unit"),
    ("IN_UNIT(s_ra, 'kg')", "'deg' cannot be converted to 'kg'"),
    ("IN_UNIT(calib_level, 'deg')", "a value that has a unit"),
    ("IN_UNIT(42, 'kg')", "a value that has a unit"),
    ("IN_UNIT(40 + 2, 'deg')", "a value that has a unit"),
    ("IN_UNIT(SQRT(42), 'deg')", "a value that has a unit"),
    ("IN_UNIT(NULL, 'deg')", "a value that has a unit"),
    ("IN_UNIT(obs_id, 'deg')", "takes numbers"),
    ("IN_UNIT(s_ra)", "is written IN_UNIT(value, 'unit')"),
    ("IN_UNIT(s_ra, obs_id)", "is written IN_UNIT(value, 'unit')"),
    ("IN_UNIT(s_ra, 'd' || 'eg')", "is written IN_UNIT(value, 'unit')"),
])  # fmt: skip
def test_what_cannot_be_converted_is_refused_by_name(call, words, schema):
    with pytest.raises(QueryError) as caught:
        adql.translate(f"SELECT {call} FROM ivoa.obscore", schema)
    assert words in str(caught.value)
    assert caught.value.line == 1


def test_ucds_of_aggregates_are_valid(schema):
    query = (
        "SELECT MIN(s_ra), MAX(s_ra), AVG(s_ra), SUM(s_ra), MAX(q.m), COUNT(s_ra) "
        "FROM ivoa.obscore, (SELECT MIN(s_dec) AS m FROM ivoa.obscore) AS q"
    )
    ucds = [column.ucd for column in adql.translate(query, schema).columns]
    assert ucds == [
        "pos.eq.ra;stat.min", "pos.eq.ra;stat.max", "pos.eq.ra;stat.mean", "pos.eq.ra;arith.sum",
        "pos.eq.dec;stat.min", "meta.number",
    ]  # fmt: skip
    for ucd in ucds:
        assert parse_ucd(ucd, check_controlled_vocabulary=True)
