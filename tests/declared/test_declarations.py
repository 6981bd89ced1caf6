"""Declarations: read, checked, written; Felis itself is the judge of what is written."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.declared.draft import draft
from obscore.declared.reading import read_declaration
from obscore.declared.tables import (
    DeclaredColumn,
    DeclaredIndex,
    DeclaredKey,
    DeclaredSchema,
    DeclaredTable,
)
from obscore.declared.writing import write_declaration
from vodal.errors import UsageError
from vodal.tables.columns import Column

SMALL = """
name: cat
description: Catalogues
tables:
- name: stars
  description: Stars
  primaryKey: "#stars.id"
  columns:
  - {name: id, datatype: long, nullable: false, "ivoa:ucd": meta.id;meta.main, "tap:principal": 1}
  - {name: ra, datatype: double, "ivoa:ucd": pos.eq.ra;meta.main, "fits:tunit": deg}
  - {name: dec, datatype: double, "ivoa:ucd": pos.eq.dec;meta.main, "ivoa:unit": deg}
  - {name: name, datatype: string, length: 20, description: "What it is called"}
  - {name: seen, datatype: timestamp}
  - {name: colours, datatype: float, "votable:arraysize": 3}
  indexes:
  - {name: stars_sky, columns: ["#stars.ra", "#stars.dec"]}
  - {name: stars_name, columns: ["#stars.name"]}
- name: spectra
  columns:
  - {name: star, datatype: long}
  - {name: flux, datatype: double, "votable:arraysize": "*"}
  constraints:
  - name: spectra_star
    "@type": ForeignKey
    columns: ["#spectra.star"]
    referencedColumns: ["#stars.id"]
"""


def judge(text: str):
    """Let Felis read a declaration as its own command does."""
    from felis.datamodel import Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without making ids, which the writer gives itself.
        return Schema.model_validate(yaml.safe_load(text))


def test_a_declaration_is_read():
    schema, notes = read_declaration(SMALL)
    assert notes == ()
    stars, spectra = schema.tables
    assert (schema.name, schema.description) == ("cat", "Catalogues")
    assert [item.column for item in stars.columns][3:] == [
        Column("name", "char", "20*", description="What it is called"),
        Column("seen", "char", "*", xtype="timestamp"),
        Column("colours", "float", "3"),
    ]
    assert [item.column.unit for item in stars.columns][:3] == [None, "deg", "deg"]
    assert stars.primary_key == ("id",)
    assert stars.columns[0].principal
    assert not stars.columns[0].nullable
    assert stars.spatial.point == (1, 2)
    assert [index.columns for index in stars.plain_indices] == [("id",), ("name",)]
    assert [stars.is_indexed(item.name) for item in stars.columns] == [
        True, True, True, True, False, False,
    ]  # fmt: skip
    assert spectra.foreign_keys == (DeclaredKey("spectra_star", ("star",), "stars", ("id",)),)


def test_what_is_written_is_read_back_and_felis_takes_it():
    schema, _ = read_declaration(SMALL)
    text = write_declaration(schema, ("a comment",))
    assert text.startswith("# a comment\n")
    assert read_declaration(text) == (schema, ())
    assert [table.name for table in judge(text).tables] == ["stars", "spectra"]


def test_what_felis_writes_is_read_back():
    schema, _ = read_declaration(SMALL)
    stream = io.StringIO()
    judge(write_declaration(schema)).dump_yaml(stream)
    assert read_declaration(stream.getvalue()) == (schema, ())


OTHER = "  columns: [{name: a, datatype: int}]\n"

CHANGES = {
    "an unknown key": (
        "description: Stars", "descripton: Stars", r"tables\[stars\]\.descripton: unknown key"),
    "no name": ("- name: stars\n  desc", "- desc", r"tables\[0\]\.name: is not given"),
    "an unknown type": (
        "datatype: long, null", "datatype: bigint, null",
        r"tables\[stars\]\.columns\[id\]\.datatype: input should be 'boolean', .*'long'"),
    "a column twice": ("name: name,", 'name: RA, "@id": "#stars.name",', "called ra and RA"),
    "a table twice": (
        "- name: spectra\n", f"- name: Stars\n{OTHER}- name: spectra\n", "called stars and Stars"),
    "no such id": ('"#stars.name"]', '"#stars.nam"]', r"index stars_name: no column .*#stars\.nam"),
    "a column of another table": (
        '"#stars.name"]', '"#spectra.flux"]', "flux is a column of the table spectra"),
    "an index on an array": ('"#stars.name"]', '"#stars.colours"]', "colours is an array"),
    "a key that may be null": ("nullable: false, ", "", "id may be NULL; give it 'nullable"),
    "a wrong UCD": ("pos.eq.ra;meta.main", "pos.eq.rah", "column ra: 'pos.eq.rah' is no UCD1+"),
    "a wrong unit": ('"ivoa:unit": deg', '"ivoa:unit": degs', "column dec: 'degs' is no unit"),
    "two units": (
        '"fits:tunit": deg', '"fits:tunit": deg, "ivoa:unit": deg', "one of fits:tunit and"),
    "no length": ("string, length: 20", "string", "column name: the datatype string needs a len"),
    "a wrong arraysize": ('"votable:arraysize": 3', '"votable:arraysize": 3y', "'3y' is not writ"),
    "a standard's schema": ("name: cat", "name: IVOA", "schema: IVOA holds the standards' tables"),
    "uploads": ("name: cat", "name: tap_upload", "come with a query"),
    "a name with blanks": (
        "- name: spectra\n", f'- name: "a\\tb"\n{OTHER}- name: spectra\n', "that cannot be seen"),
    "a bell": ("description: Stars", 'description: "a\\a"', r"'a\\x07' has the character U\+0007"),
    "half a character": ("description: Stars", 'description: "\\ud800"', "unable to parse raw"),
    "no schema's name": ("name: cat\n", "", "^name: is not given"),
    "a key twice": ("name: cat\n", "name: cat\nname: dog\n", "line 3: the key 'name' comes twice"),
    "other files": (
        "name: cat\n", "name: cat\nresources: {core: {uri: core.yaml}}\n", "other files are not"),
    "no YAML": ("name: cat\n", "name: cat: x\n", "line 2, column 10: this is no YAML"),
    "a name that YAML takes for true": ("name: stars\n", "name: on\n", "valid string"),
    "two spatial indices": (
        'name: stars_name, columns: ["#stars.name"]',
        'name: other, columns: ["#stars.ra", "#stars.dec"]', "one spatial index on a position"),
    "a key to nothing": (
        'referencedColumns: ["#stars.id"]', 'referencedColumns: ["#stars.id", "#stars.ra"]',
        "not as many columns"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_is_wrong_is_named(case):
    old, new, sentence = CHANGES[case]
    assert SMALL.count(old) >= 1
    with pytest.raises(UsageError, match=sentence):
        read_declaration(SMALL.replace(old, new, 1))


@pytest.mark.parametrize(
    "text", ["", "3", "- a", "a: b", "\0", "{", "&a [*a]", "name: x\ntables: 3"]
)
def test_what_is_no_declaration_is_refused(text):
    with pytest.raises(UsageError):
        read_declaration(text)


def test_what_has_no_meaning_here_is_told():
    more = SMALL.replace(
        "  indexes:\n",
        "  columnGroups: [{name: sky, columns: ['#stars.ra', '#stars.dec']}]\n"
        "  indexes:\n  - {name: odd, expressions: ['lower(name)']}\n",
        1,
    ).replace(
        "  constraints:\n",
        "  constraints:\n  - {name: positive, '@type': Check, expression: star > 0}\n",
        1,
    )
    _, notes = read_declaration(more)
    assert sorted(note.partition(": ")[2] for note in notes) == [
        "groups of columns are not kept",
        "the condition is not looked at",
        "the index odd is on an expression and is not made",
    ]


# Any declaration ----------------------------------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_categories=["C", "Zs", "Zl", "Zp"]) | st.just(" "), min_size=1, max_size=9
).filter(lambda name: name == name.strip() and name.isprintable())
TEXTS = st.none() | st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20).map(
    str.strip
).filter(bool)
SIZES = st.sampled_from([None, "3", "2x3", "*", "10*", "2x*"])


@st.composite
def columns(draw, name):
    datatype = draw(
        st.sampled_from(
            ["boolean", "bit", "unsignedByte", "short", "int", "long", "float", "double", "char",
             "unicodeChar", "floatComplex", "doubleComplex"]
        )
    )  # fmt: skip
    xtype = draw(st.sampled_from([None, "timestamp", "adql:REGION"])) if "har" in datatype else None
    column = Column(
        name,
        datatype,
        draw(SIZES),
        unit=draw(st.sampled_from([None, "deg", "km.s**-1", "mag"])),
        ucd=draw(st.sampled_from([None, "meta.id;meta.main", "phot.mag;em.opt.R"])),
        utype=draw(TEXTS),
        xtype=xtype,
        description=draw(TEXTS),
    )
    flags = [draw(st.booleans()) for _ in range(3)]
    return DeclaredColumn(column, *flags, draw(st.none() | st.integers(0, 99)))


@st.composite
def schemas(draw):
    unique = st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower)
    tables = []
    for number, name in enumerate(draw(unique)):
        made = tuple(draw(columns(column)) for column in draw(unique))
        plain = [
            item.name for item in made
            if item.column.arraysize is None and not item.column.datatype.endswith("Complex")
        ]  # fmt: skip
        indices = [
            DeclaredIndex(f"{number}{at}", (column,), draw(st.booleans()), draw(TEXTS))
            for at, column in enumerate(plain)
            if draw(st.booleans())
        ]
        key = tuple(item.name for item in made if item.name in plain and not item.nullable)
        # A unique rule on what may be NULL is no key.
        tables.append(
            DeclaredTable(
                name, made, draw(TEXTS), draw(TEXTS), key[:2], tuple(indices), (),
                draw(st.none() | st.integers(0, 9)),
            )
        )  # fmt: skip
    first = tables[0]
    if first.primary_key:
        last = tables[-1]
        plain = [item for item in last.columns if item.column.arraysize is None]
        if len(plain) >= len(first.primary_key):
            names = tuple(item.name for item in plain[: len(first.primary_key)])
            key = DeclaredKey("a key", names, first.name, first.primary_key, draw(TEXTS))
            if not any(item.column.datatype.endswith("Complex") for item in plain):
                tables[-1] = replace(last, foreign_keys=(key,))
    name = draw(NAMES.filter(lambda text: text.lower() not in {"ivoa", "tap_schema"}))
    return DeclaredSchema(name, tuple(tables), draw(TEXTS), draw(TEXTS))


def ordered(schema):
    """Put plain indices before unique ones, which have another place in the document."""
    return replace(
        schema,
        tables=tuple(
            replace(table, indices=tuple(sorted(table.indices, key=lambda index: index.unique)))
            for table in schema.tables
        ),
    )


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_any_declaration_survives_felis(schema):
    text = write_declaration(schema)
    back, notes = read_declaration(text)
    assert notes == ()
    assert ordered(back) == ordered(schema)
    stream = io.StringIO()
    judge(text).dump_yaml(stream)
    assert ordered(read_declaration(stream.getvalue())[0]) == ordered(schema)


# Drafts -------------------------------------------------------------------------------------------


def test_a_draft_keeps_what_a_file_tells():
    schema, notes = draft(
        "site",
        "my table",
        [
            Column("id", "long", ucd="ID_MAIN"),
            Column("RAJ2000", "double", unit="deg"),
            Column("DEJ2000", "double", unit="deg"),
            Column("outline", "char", "*", xtype="polygon"),
            Column("w", "double", "3", ucd="WRONG_UCD", unit="log(cm)"),
        ],
    )
    table = schema.tables[0]
    assert (table.spatial.point, table.spatial.region) == ((1, 2), 3)
    assert table.columns[0].column.ucd == "meta.id;meta.main"
    assert table.columns[1].column.ucd == "pos.eq.ra;meta.main"
    assert [item.principal for item in table.columns] == [True, True, True, False, False]
    assert table.columns[4].column == Column("w", "double", "3")
    assert len(notes) == 2
    text = write_declaration(schema, notes)
    assert read_declaration(text) == (schema, ())
    judge(text)
