"""Service descriptors as text, read again by a parser that is not ours."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from vodal.links import InputParam, ServiceDescriptor
from vodal.tables.markup import descriptor_pieces

TEXTS = st.text(st.sampled_from("ab \t\n\r&<>\"'é\U0001f52d"), max_size=5)
MAYBE = st.none() | TEXTS
PARAMS = st.builds(
    InputParam,
    name=TEXTS,
    datatype=st.sampled_from(["char", "double"]),
    arraysize=MAYBE,
    value=TEXTS,
    unit=MAYBE,
    ucd=MAYBE,
    utype=MAYBE,
    xtype=MAYBE,
    ref=MAYBE,
    minimum=MAYBE,
    maximum=MAYBE,
    options=st.lists(TEXTS, max_size=2).map(tuple),
    description=MAYBE,
)
CHANGES = st.fixed_dictionaries(
    {}, optional={"value": TEXTS, "minimum": MAYBE, "maximum": MAYBE, "description": MAYBE}
)
ATTRIBUTES = ("name", "datatype", "arraysize", "unit", "ucd", "utype", "xtype", "ref", "value")


def described(*params):
    return ServiceDescriptor("a&b", 'say "x"', "http://x/?a=1&b=2", "ivo://s", params, "<what>")


def descriptor(service):
    return "".join(descriptor_pieces(service))


def end_of(param, tag):
    values = [one.get("value") for one in param.iterfind(f"VALUES/{tag}")]
    return values[0] if values else None


def read_param(param):
    about = param.find("DESCRIPTION")
    return InputParam(
        **{name: param.get(name) for name in ATTRIBUTES},
        minimum=end_of(param, "MIN"),
        maximum=end_of(param, "MAX"),
        options=tuple(one.get("value") for one in param.iterfind("VALUES/OPTION")),
        description=None if about is None else about.text or "",
    )


@given(st.lists(PARAMS, max_size=3), CHANGES)
@settings(max_examples=150, deadline=None)
def test_a_parser_reads_what_was_described(params, changes):
    first = etree.fromstring(descriptor(described(*params)))
    assert [read_param(one) for one in first.iterfind("GROUP/PARAM")] == params
    # Texts are kept with parameters; what is made of one has its own.
    changed = [one.changed(**changes) for one in params]
    assert changed == [replace(one, **changes) for one in params]
    for _ in range(2):
        again = etree.fromstring(descriptor(described(*changed)))
        assert [read_param(one) for one in again.iterfind("GROUP/PARAM")] == changed


def test_what_stands_before_the_parameters():
    found = etree.fromstring(descriptor(described(InputParam("ID"))))
    assert (found.get("ID"), found.get("name")) == ("a&b", 'say "x"')
    assert (found.get("type"), found.get("utype")) == ("meta", "adhoc:service")
    assert found.findtext("DESCRIPTION") == "<what>"
    told = {one.get("name"): one.get("value") for one in found.iterfind("PARAM")}
    assert told == {"accessURL": "http://x/?a=1&b=2", "standardID": "ivo://s"}
