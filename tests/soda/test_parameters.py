"""What is declared of parameters is what the services take, no more and no less."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from soda.packing import Packing, read_packing
from soda.parameters import PARAMETERS, STATES, Parameter, of_resource
from soda.params import parse_params
from soda.stitch.request import parse_stitch
from vodal.errors import UsageError
from vodal.params import Params

REFUSED = {"PIXELS", "HDU", "TABLES", "KIND", "COMBINE"}
"""By /stitched, if they are given."""


class Watched(Params):
    """Parameters that note the names that are asked for."""

    def __init__(self, pairs=()) -> None:
        super().__init__(pairs)
        self.asked = set()

    def all(self, name):
        self.asked.add(name)
        return super().all(name)

    def __iter__(self) -> Iterator[str]:
        # Only PIXEL_n has no fixed name.
        self.asked.add("PIXEL_n")
        return super().__iter__()


def names(resource) -> set[str]:
    return {one.name for one in of_resource(resource)}


def test_a_cutout_takes_what_is_declared():
    params = Watched([("ID", "a")])
    parse_params(params)
    packing = Watched()
    read_packing(packing)
    assert names("sync") == params.asked | (packing.asked - {"PIXEL_n"})


def test_a_stitched_image_takes_what_is_declared():
    params = Watched([("ID", "a")])
    parse_stitch(params)
    # Q is of three datasets in colour.
    assert names("stitched") == params.asked - REFUSED - {"PIXEL_n", "Q"}
    for name in REFUSED - {"COMBINE"}:
        with pytest.raises(UsageError, match=name):
            parse_stitch(Params([("ID", "a"), (name, "1")]))


def test_stitched_images_may_be_asked_for_as_of_jobs():
    given = [("ID", "a"), ("CIRCLE", "1 2 0.1")]
    assert parse_stitch(Params([*given, ("COMBINE", "stitch")])) == parse_stitch(Params(given))
    with pytest.raises(UsageError, match="COMBINE"):
        parse_stitch(Params([*given, ("COMBINE", "hsv")]))


def test_no_name_is_declared_twice_for_a_resource():
    for resource in ("sync", "stitched"):
        told = [one.name for one in of_resource(resource)]
        assert len(told) == len(set(told))
        assert {"ID", "CIRCLE", "POLYGON", "POS", "BAND", "TIME", "POL"} <= set(told)


def parse(resource, *pairs):
    given = Params([("ID", "a"), ("CIRCLE", "1 2 3"), *pairs])
    return parse_params(given) if resource == "sync" else parse_stitch(given)


CASES = [(resource, one) for resource in ("sync", "stitched") for one in of_resource(resource)]


def of(condition) -> list[tuple[str, Parameter]]:
    return [pytest.param(*case, id=f"{case[0]}-{case[1].name}") for case in CASES
            if condition(case[1])]  # fmt: skip


@pytest.mark.parametrize(("resource", "one"), of(lambda one: one.options))
def test_every_option_is_taken_and_the_first_changes_nothing(resource, one):
    for option in one.options:
        if (one.name, option) == ("COMBINE", "rgb"):
            continue
        parse(resource, (one.name, option))
        parse(resource, (one.name, option.swapcase()))
    # Firefly sends the first of each.
    assert parse(resource, (one.name, one.options[0])) == parse(resource)
    with pytest.raises(UsageError, match=f"{one.name} may be"):
        parse(resource, (one.name, "nonsense"))


def test_all_first_options_together_change_nothing():
    for resource in ("sync", "stitched"):
        first = [(one.name, one.options[0]) for one in of_resource(resource) if one.options]
        assert parse(resource, *first) == parse(resource)


def bounded(one) -> bool:
    return any(end is not None for end in (one.above, one.least, one.most))


@pytest.mark.parametrize(("resource", "one"), of(bounded))
def test_numbers_are_taken_up_to_their_bounds(resource, one):
    whole = one.datatype == "int"
    count = int(one.arraysize or 1) if whole else 1

    def text(value):
        return " ".join([f"{value!r}"] * count)

    good = [end for end in (one.least, one.most) if end is not None]
    bad = [one.above] if one.above is not None else []
    if one.least is not None:
        bad.append(one.least - 1 if whole else math.nextafter(one.least, -math.inf))
    if one.most is not None:
        bad.append(one.most + 1 if whole else math.nextafter(one.most, math.inf))
    for value in good:
        parse(resource, (one.name, text(value)))
    if whole:
        parse(resource, (one.name, text(4.0)))
        bad.append(4.5)
    for value in [*map(text, bad), "x", "nan", "inf", "1 2 3", "1e999"]:
        with pytest.raises(UsageError, match=one.name):
            parse(resource, (one.name, value))


def test_the_words_of_other_parameters_are_taken():
    for state in STATES:
        assert parse_params(Params([("ID", "a"), ("POL", state.lower())])).pol == (state,)
    (multi,) = [one for one in PARAMETERS if one.name == "MULTI"]
    for word in multi.form.replace("`", "").split(", "):
        assert read_packing(Params([("MULTI", word)]))[0] is Packing(word)


def test_yes_and_no_in_all_their_forms():
    for name in ("TABLES", "INVERT"):
        for yes, no in (("1", "0"), ("true", "false"), ("T", "F"), ("yes", "NO")):
            assert parse("sync", (name, yes)) == parse("sync", (name, "1"))
            assert parse("sync", (name, no)) == parse("sync")
