"""Simple Image Access 2.0: conditions against brute force on both databases, and clients."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
import warnings
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io.votable import parse, parse_single_table

from obscore.columns import COLUMN_NAMES
from obscore.sia.constraints import MOST_VALUES, condition
from obscore.sia.parameters import PARAMETERS
from obscore.sia.request import read_request
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_file, make_observation
from vodal.access.identity import ANONYMOUS
from vodal.access.rules import AccessRule, AccessRules
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params
from vodal.regions import Circle, parse_pos
from vodal.sphere import intersects

BY_NAME = {item.name: item for item in PARAMETERS}
DATALINK = "application/x-votable+xml;content=datalink"
TAP_LIMITS = TapSettings()


def varied():
    """Rows that differ in all that can be asked for, with NULLs, and one of another type."""
    rng = np.random.default_rng(5)
    nullable = ("s_resolution", "em_res_power", "t_resolution", "t_exptime", "t_min", "t_max",
                "em_min", "em_max", "s_fov", "facility_name", "instrument_name", "target_name",
                "pol_states")  # fmt: skip
    for number in range(160):
        place = float(rng.uniform(0, 360)), math.degrees(math.asin(float(rng.uniform(-1, 1))))
        t_min, em_min = 60000 + float(rng.uniform(0, 10)), float(rng.uniform(3e-7, 9e-7))
        row = {
            "dataproduct_type": ("image", "cube", "image", "spectrum")[number % 4],
            "calib_level": number % 5,
            "obs_collection": ("Deep", "deep", "O'Neil")[number % 3],
            "facility_name": ("Mt A", "mt a")[number % 2],
            "instrument_name": ("Cam", "Cam%", "C_m")[number % 3],
            "target_name": ("M 31", "m 31", "NGC 224")[number % 3],
            "pol_states": ("/I/", "/I/Q/U/", "/RR/LL/", "/Q/")[number % 4],
            "access_format": DATALINK,
            "s_fov": float(rng.uniform(0.1, 3)),
            "s_resolution": float(rng.uniform(0.1, 2)),
            "em_res_power": float(rng.uniform(1, 2000)),
            "t_resolution": float(rng.uniform(0.1, 50)),
            "t_exptime": float(rng.uniform(1, 3000)),
            "t_min": t_min, "t_max": t_min + float(rng.uniform(0, 1)),
            "em_min": em_min, "em_max": em_min * float(rng.uniform(1, 1.3)),
        }  # fmt: skip
        for name in nullable:
            if rng.random() < 0.08:
                row[name] = None
        region = None if rng.random() < 0.05 else Circle(*place, 4.0)
        did = f"ivo://Skylane.test/X?Night/{number:03d}.fits"
        yield make_observation(did, region, position=place, **row)


@pytest.fixture(scope="module")
def observations():
    return list(varied())


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def runner(request, make_backend, observations):
    backend = make_backend(request.param, [make_file("file:///x.fits", *observations)])
    runner = QueryRunner(backend.engine(connections=2, wait_s=20.0, batch_rows=1000), TAP_LIMITS)
    yield runner
    runner.close()


def found(runner, *pairs):
    asked = read_request(Params(pairs), TAP_LIMITS)
    stream = runner.run(asked.query, asked.max_rows, "http://x")
    try:
        return {row["obs_publisher_did"] for b in stream.batches for row in b.to_pylist()}
    finally:
        stream.close()


def ends(value):
    low, high = (
        (float(one) for one in (value.split() * 2)[:2])
        if " " not in value
        else map(float, value.split())
    )
    return low, high


def satisfies(item, name, value) -> bool:
    """Decide by the standard's words, without SQL."""
    row, kind = item.row, BY_NAME[name].kind
    cells = [row.get(column) for column in BY_NAME[name].columns]
    if name == "POS":
        return item.region is not None and intersects(item.region, parse_pos(value))
    if None in cells:
        return False
    match kind:
        case "overlap":
            low, high = ends(value)
            return cells[0] <= high and cells[1] >= low
        case "within":
            low, high = ends(value)
            return low <= cells[0] <= high
        case "states":
            return value in cells[0].split("/")
        case "identifier":
            return cells[0].lower() == value.lower()
        case "level":
            return cells[0] == int(value)
        case "format":
            return value in {"application/fits", "image/fits"} or cells[0] == value
    return cells[0] == value


def expected(observations, *pairs):
    names = {name for name, _ in pairs}
    return {
        item.did
        for item in observations
        if item.row["dataproduct_type"] in {"image", "cube"}
        and all(
            any(satisfies(item, name, value) for other, value in pairs if other == name)
            for name in names
        )
    }


CASES = [
    (("POS", "CIRCLE 10 20 40"),),
    (("POS", "RANGE 300 360 -20 60"), ("POS", "CIRCLE 5 88 12")),
    (("POS", "RANGE 0 360 70 +Inf"),),
    (("POS", "RANGE -Inf +Inf -Inf +Inf"),),
    (("POS", "POLYGON 350 -30 40 -30 40 30 350 30"),),
    (("BAND", "5e-7"),),
    (("BAND", "5e-7 6e-7"), ("BAND", "8.5e-7 +Inf")),
    (("BAND", "-Inf 4e-7"),),
    (("BAND", "-Inf +Inf"),),
    (("TIME", "60003.5"),),
    (("TIME", "60003 60004.25"), ("TIME", "-Inf 60001")),
    (("POL", "I"),),
    (("POL", "Q"), ("POL", "LL")),
    (("FOV", "1.0 2.0"),),
    (("FOV", "-Inf 0.3"), ("FOV", "2.8 Inf")),
    (("FOV", "-Inf Inf"),),
    (("SPATRES", "-Inf 0.7"),),
    (("SPECRP", "1000 +Inf"),),
    (("EXPTIME", "600 1800"),),
    (("TIMERES", "-Inf 10"),),
    (("ID", "IVO://skylane.TEST/x?night/007.FITS"), ("ID", "ivo://Skylane.test/X?Night/008.fits")),
    (("ID", "ivo://skylane.test/x?nothing"),),
    (("COLLECTION", "deep"),),
    (("COLLECTION", "O'Neil"), ("COLLECTION", "Deep")),
    (("FACILITY", "Mt A"),),
    (("INSTRUMENT", "Cam%"),),
    (("INSTRUMENT", "C_m"),),
    (("TARGET", "M 31"), ("TARGET", "NGC 224")),
    (("DPTYPE", "cube"),),
    (("CALIB", "2"), ("CALIB", "3")),
    (("FORMAT", "application/fits"),),
    (("FORMAT", DATALINK),),
    (("FORMAT", "image/jpeg"),),
    (),
    (("POS", "CIRCLE 180 0 80"), ("BAND", "4e-7 8e-7"), ("COLLECTION", "Deep"), ("CALIB", "1"),
     ("CALIB", "0"), ("POL", "I")),
]  # fmt: skip


@pytest.mark.parametrize("pairs", CASES, ids=lambda pairs: "&".join(f"{a}={b}" for a, b in pairs))
def test_rows_are_those_of_brute_force(runner, observations, pairs):
    rows = expected(observations, *pairs)
    assert found(runner, *pairs) == rows
    if pairs and pairs[-1] not in {
        ("ID", "ivo://skylane.test/x?nothing"),
        ("FORMAT", "image/jpeg"),
    }:
        assert rows, "a case that finds nothing shows nothing"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("POS", "BOX 1 2 3 4", "POS starts with CIRCLE, RANGE or POLYGON"),
        ("POS", "CIRCLE 1 2", "POS=CIRCLE takes three numbers"),
        ("POS", "CIRCLE 1 2 -3", "POS=CIRCLE"),
        ("POS", "CIRCLE 1 95 3", "POS=CIRCLE"),
        ("POS", "POLYGON 1 2 3 4", "three or more pairs"),
        ("BAND", "red", "'red' is not a number"),
        ("BAND", "1 2 3", "BAND takes a number or two numbers 'low high' in m"),
        ("BAND", "2e-7 1e-7", "the interval from 2e-07 to 1e-07 is empty"),
        ("BAND", "NaN 1", "not a number"),
        ("TIME", "2026-01-01T00:00:00", "is not a number"),
        ("POL", "i", "POL takes one of I, Q, U, V"),
        ("FOV", "+Inf", "is empty"),
        ("DPTYPE", "spectrum", "DPTYPE takes image or cube here"),
        ("CALIB", "raw", "CALIB takes 0, 1, 2, 3 or 4"),
        ("CALIB", "5", "CALIB takes 0, 1, 2, 3 or 4"),
        ("MAXREC", "-1", "MAXREC must be 0 or more"),
        ("RESPONSEFORMAT", "docx", "RESPONSEFORMAT 'docx' is not available"),
        ("UPLOAD", "t,param:t", "takes no UPLOAD"),
    ],
)
def test_what_a_parameter_does_not_take(name, value, words):
    with pytest.raises(UsageError) as caught:
        read_request(Params([(name, value)]), TAP_LIMITS)
    assert words in caught.value.message


def test_values_are_bounded_and_repeated_ones_count_once():
    many = [str(number) for number in range(MOST_VALUES + 1)]
    with pytest.raises(UsageError, match="at most 1000 values"):
        condition(BY_NAME["TARGET"], many)
    assert condition(BY_NAME["TARGET"], ["a", "a"]) == "(target_name IN ('a'))"
    with pytest.raises(MultiValuedParamNotSupported):
        read_request(Params([("MAXREC", "1"), ("maxrec", "2")]), TAP_LIMITS)


def ask(tap, *pairs, **more):
    return httpx.get(f"{tap.site}/sia2/query", params=pairs, timeout=30, **more)


def test_the_rows_are_those_of_tap(tap):
    answer = ask(tap, ("POS", "CIRCLE 150.1 2.2 20"), ("pos", "CIRCLE 10 -80 9"), ("Whatever", "1"))
    assert answer.headers["content-type"].startswith("application/x-votable+xml")
    rows = parse_single_table(io.BytesIO(answer.content)).to_table(use_names_over_ids=True)
    query = (
        "SELECT * FROM ivoa.obscore WHERE 1=INTERSECTS(s_region, CIRCLE(150.1, 2.2, 20))"
        " OR 1=INTERSECTS(s_region, CIRCLE(10, -80, 9))"
    )
    same = httpx.get(f"{tap.url}/sync", params={"LANG": "ADQL", "QUERY": query})
    others = parse_single_table(io.BytesIO(same.content)).to_table(use_names_over_ids=True)
    assert rows.colnames == others.colnames == list(COLUMN_NAMES)
    rows.sort("obs_publisher_did")
    others.sort("obs_publisher_did")
    assert len(rows) > 10
    assert all((rows[name] == others[name]).all() for name in ("obs_publisher_did", "access_url"))


def test_pyvo_finds_images_and_their_links(tap):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        service = pyvo.dal.SIA2Service(f"{tap.site}/sia2")
        found = service.search(pos=(150.1, 2.2, 1.0), band=6e-7, calib_level=4, maxrec=5)
        assert [str(row["obs_publisher_did"]) for row in found] == [
            "ivo://skylane.test/nasty?a b&c=d#e/é.fits"
        ]
        several = service.search(pos=[(150.1, 2.2, 9.0), (0.0, 90.0, 5.0)], maxrec=3)
    assert len(several) == 3
    told = [(info.name, info.value) for info in several.votable.resources[0].infos]
    assert ("QUERY_STATUS", "OVERFLOW") in told
    services = {resource.ID for resource in several.votable.resources if resource.type == "meta"}
    assert "links" in services


def test_the_service_describes_itself(tap):
    document = parse(io.BytesIO(ask(tap, ("MAXREC", "0")).content))
    (results,) = [one for one in document.resources if one.type == "results"]
    assert [field.name for field in results.tables[0].fields] == list(COLUMN_NAMES)
    assert len(results.tables[0].array) == 0
    (own,) = [one for one in document.resources if one.name == "this"]
    (standard,) = [param for param in own.params if param.name == "standardID"]
    assert standard.value == "ivo://ivoa.net/std/SIA#query-2.0"
    (group,) = own.groups
    params = {param.name: param for param in group.entries}
    assert {item.name for item in PARAMETERS} <= set(params)
    assert ("COLLECTION", "synthetic") in [
        (name, option[1]) for name in params for option in params[name].values.options
    ]
    assert str(params["BAND"].unit) == "m"


def test_choices_are_those_of_who_asks(runner):
    from obscore.sia.choices import Choices

    rules = AccessRules(
        AccessRule(), {"Deep": AccessRule(data="groups", groups=("g",), metadata="hidden")}
    )
    choices = Choices(runner)
    assert choices.of(rules.rights(ANONYMOUS))["COLLECTION"] == ("O'Neil", "deep")
    assert choices.of(rules.rights(ANONYMOUS))["DPTYPE"] == ("cube", "image")


def test_capabilities_name_the_query(tap):
    root = ET.fromstring(httpx.get(f"{tap.site}/sia2/capabilities").content)
    (query,) = [one for one in root if one.get("standardID") == "ivo://ivoa.net/std/SIA#query-2.0"]
    assert query.findtext("interface/accessURL") == f"{tap.site}/sia2/query"
    available = httpx.get(f"{tap.site}/sia2/availability")
    assert b"<vosi:available>true" in available.content


def test_errors_begin_with_the_word_of_the_standard(tap):
    answer = ask(tap, ("BAND", "red"))
    assert answer.status_code == 400
    root = ET.fromstring(answer.content)
    (status,) = [one for one in root.iter() if one.get("name") == "QUERY_STATUS"]
    assert status.get("value") == "ERROR"
    assert (status.text or "").startswith("UsageFault: BAND takes a number")
    plain = ask(tap, ("BAND", "red"), ("RESPONSEFORMAT", "csv"))
    assert plain.headers["content-type"].startswith("text/plain")
    assert plain.text.startswith("UsageFault: BAND")
    page = ask(tap, ("BAND", "red"), headers={"Accept": "text/html,application/xhtml+xml"})
    assert page.headers["content-type"].startswith("text/html")
    assert "Traceback" not in page.text


def test_a_form_and_other_formats(tap):
    answer = httpx.post(
        f"{tap.site}/sia2/query",
        data={"POS": "CIRCLE 150.1 2.2 0.1", "RESPONSEFORMAT": "csv", "FORMAT": "image/fits"},
    )
    assert answer.status_code == 200
    lines = answer.text.splitlines()
    assert lines[0].split(",")[:2] == ["dataproduct_type", "calib_level"]


@pytest.mark.skipif(shutil.which("stilts") is None, reason="no stilts command")
@pytest.mark.parametrize("pairs", [(("MAXREC", "0"),), (("POS", "CIRCLE 150 2 15"),)])
def test_votlint_finds_nothing(tap, pairs, tmp_path):
    path = tmp_path / "answer.vot"
    path.write_bytes(ask(tap, *pairs).content)
    done = subprocess.run(
        ["stilts", "votlint", "ucd=false", str(path)], capture_output=True, text=True, check=False
    )
    told = [line for line in done.stdout.splitlines() if "ERROR" in line or "WARNING" in line]
    assert (done.returncode, told) == (0, [])
