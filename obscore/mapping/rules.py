"""Rules: where the value of a column comes from, for all files or some.

A column's rule is a text or a table:

- ``"keyword:EXPTIME"``  the value of a header card
- ``"fact:visit"``  what the source tells of the file: a column of a table, a part of a data id
- ``"{OBJECT}-{FILTER}"``  a template of header cards and of the file's name
- ``"expr:{MJD-OBS} + {EXPTIME} / 86400"``  an expression, see `obscore.mapping.expressions`
- anything else  a constant
- ``{ keyword = "EXP", unit = "ms" }``  and so on, see `ColumnRule`

Everything is checked when rules are loaded, and a fault is named by its key path.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from obscore.columns import COLUMN_NAMES, COLUMNS, ObsCoreColumn
from obscore.mapping.expressions import Kind, kind_of, names_in, parse
from vodal.settings import Settings

__all__ = [
    "DATAPRODUCT_TYPES",
    "FILE_FACTS",
    "OTHERS",
    "RESERVED",
    "TIMES",
    "ColumnMapping",
    "ColumnRule",
    "FileRule",
    "check_rule",
    "refuse_other_columns",
    "rules_of",
]

DATAPRODUCT_TYPES = (
    "image", "cube", "spectrum", "sed", "timeseries", "visibility", "event", "measurements",
)  # fmt: skip
"""Vocabulary of ObsCore 1.1 section 3.3.1."""

FILE_FACTS = ("path", "folder", "name", "stem", "collection", "label")
"""Names that a template may use beside header keywords; keywords are in upper case."""

OTHERS = "*"
"""Key of a lookup table for all values that are not in it."""

TIMES = ("t_min", "t_max")
"""Columns that take dates."""

RESERVED = {
    "access_url": "it is made from the site's address when a row is read",
    "access_format": "every row gives its DataLink document",
    "last_modified": "it is set when a row is written",
}
"""Columns that no mapping may set, and why."""

TimeScale = Literal["utc", "tai", "tt", "tdb", "tcg", "tcb", "gps", "timesys"]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}|[A-Z0-9 _.\-]{1,68}")


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _scalar(value: Any) -> Any:
    if isinstance(value, str | int | float | bool):
        return value
    raise ValueError("a constant is a text, a number, true or false")


Keywords = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]
Scalar = Annotated[Any, AfterValidator(_scalar)]


class ColumnRule(Settings):
    """Where a column's value comes from: just one of keyword, fact, template, expr, match, value.

    A rule that finds nothing (no such card, a value that is not in the table) leaves the column
    to what the assembly line finds by itself, unless ``default`` is given.
    """

    keyword: Keywords | None = None
    """Header keyword, or several of which the first with a value is taken. Looked up in the
    image's header, then in the primary header."""
    fact: Keywords | None = None
    """Name of something that the source tells of the file, or several of which the first with a
    value is taken."""
    template: str | None = None
    """Text with ``{KEYWORD}`` in it, and ``{path}``, ``{folder}``, ``{name}``, ``{stem}``,
    ``{collection}``, ``{label}`` of the file, and ``{fact:NAME}``. A missing card or fact makes the
    whole find nothing."""
    expr: str | None = None
    """Expression of cards and facts, named as in a template: ``{MJD-OBS} + {EXPTIME} / 86400``,
    ``"coadd" if {NCOMBINE} > 1 else "visit"``. A name without value makes the whole find nothing,
    unless ``coalesce`` or ``has`` takes it."""
    match: str | None = None
    """Regular expression that is searched in the file's relative path; its first group (or the
    whole match) is the value."""
    value: Annotated[Any, AfterValidator(lambda v: v if v is None else _scalar(v))] = None
    """Constant."""
    table: dict[str, Scalar] | None = None
    """Replaces the value found by that of this table; what is not in it by that of ``"*"``, without
    which it counts as not found."""
    table_file: str | None = None
    """CSV file with such a table: its first line names the columns, the first column has the
    values that may be found, the second those that replace them. A relative path starts where the
    mapping lies, or at the current folder for ``skylane.toml``."""
    table_column: str | None = None
    """The column with the values that replace, if it is not the second."""
    factor: float | None = None
    """Multiplies a number found."""
    offset: float | None = None
    """Is added to a number found, after the factor."""
    unit: str | None = None
    """Unit of the number found (``ms``, ``Angstrom``, ``GHz`` ...); it is converted to the unit of
    the column, frequencies and energies to wavelengths."""
    scale: TimeScale | None = None
    """Of ``t_min`` and ``t_max``: time scale of the date or MJD found, by default ``utc``; it is
    converted to UTC. ``timesys`` is what the header's TIMESYS says."""
    default: Annotated[Any, AfterValidator(lambda v: v if v is None else _scalar(v))] = None
    """Value if nothing is found, in the unit of the column."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return {"value": given} if isinstance(given, int | float | bool) else given
        if given.startswith("keyword:"):
            names = tuple(name.strip() for name in given.removeprefix("keyword:").split(","))
            return {"keyword": names}
        if given.startswith("fact:"):
            return {"fact": tuple(name.strip() for name in given.removeprefix("fact:").split(","))}
        if given.startswith("expr:"):
            return {"expr": given.removeprefix("expr:").strip()}
        return {"template": given} if "{" in given else {"value": given}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [self.keyword, self.fact, self.template, self.expr, self.match, self.value]
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give one of keyword, fact, template, expr, match or value")
        for keyword in self.keyword or ():
            if not _KEYWORD.fullmatch(keyword):
                raise ValueError(f"'{keyword}' is no FITS keyword")
        if self.fact is not None and not all(self.fact):
            raise ValueError("a fact has a name")
        if self.template is not None:
            _check_template(self.template)
        if self.expr is not None:
            _check_names("expression", names_in(parse(self.expr)))
            kind_of(parse(self.expr), _kind_of_name)
        if self.match is not None:
            try:
                re.compile(self.match)
            except re.error as error:
                raise ValueError(f"match is no regular expression: {error}") from None
        return self

    @property
    def facts_taken(self) -> tuple[str, ...]:
        """Names of the facts that it takes."""
        text = f"{self.template or ''}{self.expr or ''}"
        names = (name.partition(":") for name in _PLACEHOLDER.findall(text))
        told = (name for kind, _, name in names if kind == "fact")
        return (*(self.fact or ()), *told)


def _check_template(template: str) -> None:
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError("the braces of the template do not pair up")
    _check_names("template", _PLACEHOLDER.findall(template))


def _check_names(what: str, names: Iterable[str]) -> None:
    for name in names:
        if re.fullmatch(r"fact:.+", name):
            continue
        if name not in FILE_FACTS and not _KEYWORD.fullmatch(name):
            raise ValueError(
                f"the {what} names '{name}'; it takes header keywords in upper case, "
                f"'fact:NAME', or {', '.join(FILE_FACTS)}"
            )


def _kind_of_name(name: str) -> Kind:
    return "text" if name in FILE_FACTS else "any"


def check_rule(item: ObsCoreColumn, rule: ColumnRule | None) -> ColumnRule | None:
    """Check a rule against the column that it fills.

    Raises
    ------
    ValueError
        If the column cannot take what the rule gives.
    """
    if rule is None:
        return None
    if item.name in RESERVED:
        raise ValueError(f"the column cannot be set: {RESERVED[item.name]}")
    if _kind_of_column(item) != "number" and (rule.unit, rule.factor, rule.offset) != (
        None, None, None,
    ):  # fmt: skip
        raise ValueError(
            f"the column is a {_kind_of_column(item)}; unit, factor and offset are for numbers"
        )
    if rule.scale is not None and item.name not in TIMES:
        raise ValueError("scale is for t_min and t_max")
    if rule.table is not None and rule.table_file is not None:
        raise ValueError("give table or table_file")
    if rule.table_column is not None and rule.table_file is None:
        raise ValueError("table_column is of a table_file")
    if rule.expr is not None and rule.table is None and rule.table_file is None:
        _check_kind(item, kind_of(parse(rule.expr), _kind_of_name))
    constants = [rule.value, rule.default, *(rule.table or {}).values()]
    for constant in (c for c in constants if c is not None):
        _check_constant(item, constant, scaled=rule.unit is not None or rule.factor is not None)
    if rule.unit is not None:
        _check_unit(item, rule.unit)
    return rule


def _kind_of_column(item: ObsCoreColumn) -> str:
    match item.column.datatype:
        case "char":
            return "text"
        case "boolean":
            return "truth value"
        case _:
            return "number"


def _check_kind(item: ObsCoreColumn, kind: Kind) -> None:
    """Check what an expression gives against its column, as far as it can be told."""
    wanted = _kind_of_column(item)
    number = wanted == "number"
    if wanted == "truth value":
        if kind in {"text", "number"}:
            raise ValueError(f"the column is a {wanted}, and the expression is a {kind}")
        return
    if kind == "truth":
        raise ValueError(
            f"the column is a {'number' if number else 'text'}, and the expression is a condition;"
            " write A if ... else B"
        )
    if number and kind == "text" and item.name not in TIMES:
        raise ValueError(
            "the column is a number, and the expression is a text; number(...) reads one"
        )


def _check_constant(item: ObsCoreColumn, constant: Any, *, scaled: bool) -> None:
    if item.column.datatype == "char":
        if not isinstance(constant, str):
            raise ValueError(f"the column is a text, and {constant!r} is none")
    elif item.column.datatype == "boolean":
        if not isinstance(constant, bool):
            raise ValueError(f"the column is true or false, and {constant!r} is neither")
    elif isinstance(constant, bool) or not isinstance(constant, int | float):
        if not (item.name in TIMES and isinstance(constant, str)):
            raise ValueError(f"the column is a number, and {constant!r} is none")
    elif (
        item.column.datatype in {"short", "int", "long"}
        and constant != int(constant)
        and not scaled
    ):
        raise ValueError(f"the column is a whole number, and {constant!r} is none")
    if item.name == "calib_level" and constant not in range(5):
        raise ValueError(f"calib_level is 0, 1, 2, 3 or 4, not {constant!r}")
    if item.name == "dataproduct_type" and constant not in DATAPRODUCT_TYPES:
        raise ValueError(f"'{constant}' is none of {', '.join(DATAPRODUCT_TYPES)}")


def _check_unit(item: ObsCoreColumn, unit: str) -> None:
    # Only a mapping with units pays for loading the table of units.
    from obscore.assembly.units import conversion  # noqa: PLC0415

    conversion(unit, item.column.unit or "", spectral=item.name in {"em_min", "em_max"})


class _Unknown:
    """Stands for the value of a key that is no column."""


def _refuse_unknown(value: Any) -> Any:
    if isinstance(value, _Unknown):
        raise PydanticCustomError("extra_forbidden", "Extra inputs are not permitted")
    return value


class _OpenMapping(Settings):
    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Annotated[ColumnRule, BeforeValidator(_refuse_unknown)]] = Field(
        init=False
    )


def refuse_other_columns(given: Any, known: Collection[str]) -> Any:
    """Have the mappings of a layer of settings refuse what is no column, by its key.

    Parameters
    ----------
    given
        What is to be validated, with a ``mapping``, ``files`` or neither.
    known
        Names of columns beside those of ObsCore.
    """
    if not isinstance(given, Mapping):
        return given
    changed = dict(given)
    if isinstance(given.get("mapping"), Mapping):
        changed["mapping"] = {
            name: value if name in COLUMN_NAMES or name in known else _Unknown()
            for name, value in given["mapping"].items()
        }
    if isinstance(given.get("files"), list | tuple):
        changed["files"] = [refuse_other_columns(one, known) for one in given["files"]]
    return changed


if TYPE_CHECKING:

    class ColumnMapping(Settings):
        """Rules by column name; see `rules_of`."""
else:
    ColumnMapping = create_model(
        "ColumnMapping",
        __base__=_OpenMapping,
        __doc__="Rules by column name of ``ivoa.obscore``, columns that the site adds among them.",
        **{
            item.name: (
                Annotated[ColumnRule | None, AfterValidator(partial(check_rule, item))],
                None,
            )
            for item in COLUMNS
        },
    )
    ColumnMapping.__module__ = __name__


def rules_of(mapping: ColumnMapping) -> dict[str, ColumnRule]:
    """Give the rules of a mapping that are set, by column."""
    rules = {name: getattr(mapping, name) for name in sorted(mapping.model_fields_set)}
    return {name: rule for name, rule in rules.items() if rule is not None}


class FileRule(Settings):
    """What holds for some files of a collection."""

    pattern: str
    """Glob over the path below the collection's folder: ``*_coadd.fits``, ``raw/*``. ``*``
    crosses folders."""
    skip: bool = False
    """Leave these files out."""
    mapping: ColumnMapping = ColumnMapping()
    """Rules for these files; they go before the collection's."""

    def fits(self, relative: str) -> bool:
        """Tell whether a file is one of these."""
        return fnmatchcase(relative, self.pattern)
