"""Columns that a site adds to ``ivoa.obscore``: what may be declared of one."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from obscore.columns import COLUMN_NAMES, ObsCoreColumn
from obscore.mapping.rules import ColumnRule, check_rule
from vodal.settings import Settings
from vodal.tables.columns import Column

__all__ = ["Datatype", "ExtraColumn", "ExtraColumns", "check_column_name"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

Datatype = Literal["boolean", "short", "int", "long", "float", "double", "char"]


def check_column_name(name: str) -> str:
    """Give a name back if a column of it can be added.

    Raises
    ------
    ValueError
        If it cannot.
    """
    # Only a site that adds columns pays for the words of ADQL.
    from obscore.adql.tokens import RESERVED  # noqa: PLC0415

    if not _NAME.fullmatch(name):
        raise ValueError(
            f"'{name[:80]}' is no name of a column: it has lower-case letters, digits and '_', a"
            " letter first, and at most 63 of them"
        )
    if name in COLUMN_NAMES:
        raise ValueError(f"ivoa.obscore has a column {name} already; a mapping sets it")
    if name.upper() in RESERVED:
        raise ValueError(f"'{name}' is a word of ADQL, which cannot name a column")
    return name


class ExtraColumn(Settings):
    """A column that is added to ``ivoa.obscore``."""

    datatype: Datatype
    """Type of its values, as VOTable names it; ``char`` is text of any length."""
    unit: str = ""
    """Of its numbers: ``arcsec``, ``km/s``. Values that come in another unit are converted."""
    ucd: str = ""
    """What it is, as a UCD1+: ``obs.airMass``."""
    utype: str = ""
    """Its place in a data model."""
    xtype: Literal["timestamp"] | None = None
    """``timestamp`` for a text that is a date, with or without a time, in UTC."""
    description: str = ""
    """What it holds, in a sentence."""
    rule: ColumnRule | None = None
    """Where its values come from, as in a ``mapping``; rules of mappings go before it. What a
    source tells under the column's name (a column of a table, one of a Butler's configuration) is
    its value where no rule gives one."""
    indexed: bool = False
    """Whether there is an index, so that conditions on it are fast among many rows."""

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        from obscore.declared.check import is_ucd, is_unit  # noqa: PLC0415 - loads astropy

        for text in (self.description, self.utype):
            if not text.isprintable():
                raise ValueError(f"{text[:40]!r} has characters that cannot be printed")
        if self.unit and self.datatype in {"boolean", "char"}:
            raise ValueError(f"unit is for numbers, not for {self.datatype}")
        if self.unit and not is_unit(self.unit):
            raise ValueError(f"'{self.unit[:80]}' is no unit; write it like arcsec or km/s")
        if self.ucd and not is_ucd(self.ucd):
            raise ValueError(f"'{self.ucd[:80]}' is no UCD1+")
        if self.xtype is not None and self.datatype != "char":
            raise ValueError("a timestamp is a text: datatype is char")
        check_rule(self.item("extra"), self.rule)
        return self

    def item(self, name: str) -> ObsCoreColumn:
        """Give it as one of the table's columns."""
        column = Column(
            name,
            self.datatype,
            "*" if self.datatype == "char" else None,
            unit=self.unit or None,
            ucd=self.ucd or None,
            utype=self.utype or None,
            xtype=self.xtype,
            description=self.description or None,
        )
        return ObsCoreColumn(column, mandatory=False, nullable=True, indexed=self.indexed)


ExtraColumns = dict[Annotated[str, AfterValidator(check_column_name)], ExtraColumn]
