"""From the rows of an uploaded table to cutouts.

A row names a dataset, or a position for which all products are cut whose footprint holds it. Its
columns are found by UCD or name; those that are called as parameters of a cutout are these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from soda.finding import Finder
from soda.names import file_name
from soda.outcomes import failed, selection_text
from soda.params import parse_params
from soda.selection import Selection
from soda.worklist import Item
from vodal.errors import NotFoundError, SkylaneError, UsageError
from vodal.params import Params
from vodal.products import Catalogue, Product
from vodal.regions import Point
from vodal.tables.columns import Column
from vodal.tables.uploads import UploadedTable
from vodal.uws.results import disk_errors

__all__ = ["Targets", "rows_of"]

_PAGE = 500
_WIDTH = 6
"""Digits of the number in names of files."""
_DEGREES = {
    "deg": 1.0,
    "degree": 1.0,
    "arcmin": 1 / 60,
    "arcsec": 1 / 3600,
    "rad": 57.29577951308232,
}
_PARAMETERS = {"POS", "CIRCLE", "POLYGON", "BAND", "TIME", "POL", "PIXELS"}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a column may be."""

    ucds: tuple[str, ...]
    """Beginnings."""
    names: tuple[str, ...]
    """In lower case."""


_KINDS = {
    "did": _Kind(
        ("meta.ref.ivoid", "meta.ref.url;meta.curation", "meta.ref.uri;meta.curation"),
        ("id", "obs_publisher_did", "publisher_did", "did"),
    ),
    "ra": _Kind(("pos.eq.ra",), ("ra", "s_ra", "raj2000", "ra_icrs", "ra_deg")),
    "dec": _Kind(("pos.eq.dec",), ("dec", "s_dec", "dej2000", "decj2000", "de_icrs", "dec_deg")),
    "radius": _Kind(("pos.angdistance", "phys.angsize"), ("radius", "sr", "radius_deg")),
    "name": _Kind((), ("file_name", "filename", "name")),
}


def _find(columns: Sequence[Column]) -> dict[str, Column]:
    """Find the columns by what they are; a name goes before a UCD, ``meta.main`` before others."""
    found: dict[str, Column] = {}
    for kind, rule in _KINDS.items():
        by_name = [c for name in rule.names for c in columns if c.name.lower() == name]
        by_ucd = [c for c in columns if (c.ucd or "").lower().startswith(rule.ucds or ("\0",))]
        by_ucd.sort(key=lambda column: not (column.ucd or "").lower().endswith("meta.main"))
        if by_name or by_ucd:
            found[kind] = (by_name or by_ucd)[0]
    return found


def rows_of(table: UploadedTable) -> Iterator[Row]:
    """Give the rows, by the names of the columns in lower case."""
    names = [column.name.lower() for column in table.columns]
    with disk_errors(), pa.memory_map(str(table.path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            columns = [column.to_pylist() for column in batch.columns]
            for values in zip(*columns, strict=True):
                yield dict(zip(names, values, strict=True))


def _text(value: object) -> str:
    """Write a cell as a parameter has it."""
    if isinstance(value, list):
        return " ".join(repr(item) if isinstance(item, float) else str(item) for item in value)
    return repr(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a row asks for."""

    row: int
    name: str
    selection: Selection
    did: str = ""
    place: Point | None = None
    message: str = ""


class Targets:
    """Finds what the rows of one table ask for.

    Parameters
    ----------
    columns
        Of the table.
    params
        Of the job: what a row does not say itself; COLLECTION and FILTER choose among the products
        at a position.
    finder
        Finds datasets.
    catalogue
        Finds products by place; without it each row has to name a dataset.
    suffix
        Of the names of files.

    Raises
    ------
    UsageError
        If the table has neither identifiers nor positions, or a parameter is malformed.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        params: Params,
        finder: Finder,
        catalogue: Catalogue | None,
        suffix: str,
    ) -> None:
        self._found = _find(columns)
        self._own = [c.name for c in columns if c.name.upper() in _PARAMETERS]
        taken = {name.upper() for name in self._own}
        self._common = [
            (name, value)
            for name, values in params.items()
            for value in values
            if name not in {*taken, "ID", "UPLOAD", "COLLECTION", "FILTER"}
        ]
        if params.all("ID"):
            raise UsageError("ID and UPLOAD exclude each other; put identifiers into the table")
        self._has_places = {"ra", "dec"} <= set(self._found)
        if "did" not in self._found and not (self._has_places and catalogue is not None):
            raise UsageError(
                "UPLOAD: the table needs a column of identifiers (ID, obs_publisher_did) or"
                " positions in degrees (ra and dec, or by the UCDs pos.eq.ra and pos.eq.dec); it"
                f" has {', '.join(column.name for column in columns)[:200]}"
            )
        self._collection = params.one("COLLECTION")
        self._filter = params.one("FILTER")
        self._finder = finder
        self._catalogue = catalogue
        self._suffix = suffix
        self._factor = self._units()
        self._names: set[str] = set()
        self._number = 0

    def _units(self) -> float:
        for name in ("ra", "dec"):
            column = self._found.get(name)
            if column is not None and (column.unit or "deg") not in {"deg", "degree"}:
                raise UsageError(f"UPLOAD: {column.name} has to be in degrees, not {column.unit}")
        column = self._found.get("radius")
        unit = "deg" if column is None else column.unit or "deg"
        if unit not in _DEGREES:
            raise UsageError(f"UPLOAD: the unit of the radius may be {', '.join(_DEGREES)}")
        return _DEGREES[unit]

    def _cell(self, row: Row, kind: str) -> Any:
        column = self._found.get(kind)
        value = None if column is None else row[column.name.lower()]
        return None if isinstance(value, str) and not value.strip() else value

    def _wanted(self, number: int, row: Row) -> _Wanted:
        did = str(self._cell(row, "did") or "").strip()
        name = str(self._cell(row, "name") or "")
        try:
            return self._parsed(number, row, did, name)
        except SkylaneError as error:
            return _Wanted(number, name, Selection(), did, message=failed(error))

    def _parsed(self, number: int, row: Row, did: str, name: str) -> _Wanted:
        own = [(key, _text(row[key.lower()])) for key in self._own if row[key.lower()] is not None]
        place = None
        if self._has_places:
            ra, dec = self._cell(row, "ra"), self._cell(row, "dec")
            if ra is not None and dec is not None:
                place = Point(_degrees(ra, "ra"), _degrees(dec, "dec"))
        radius = self._cell(row, "radius")
        if place is not None and radius is not None:
            value = _degrees(radius, "radius") * self._factor
            own.append(("CIRCLE", f"{place.ra_deg!r} {place.dec_deg!r} {value!r}"))
        if not did and place is None:
            raise UsageError("the row has neither an identifier nor a position")
        params = Params([("ID", did or "-"), *self._common, *own])
        selection = parse_params(params).single()[1]
        if not did and selection.stencil is None:
            raise UsageError("the row has a position but no radius, POS, CIRCLE or POLYGON")
        return _Wanted(number, name, selection, did, None if did else place)

    def items(self, rows: Iterator[Row], check: Callable[[], None]) -> Iterator[Item]:
        """Give the cutouts of all rows, those of a row together.

        Parameters
        ----------
        rows
            Of the table.
        check
            Called now and then; raises if the job has to stop.
        """
        numbered = iter(enumerate(rows, 1))
        while page := [self._wanted(number, row) for number, row in islice(numbered, _PAGE)]:
            check()
            dids = [one.did for one in page if one.did and not one.message]
            products = self._finder.products(list(dict.fromkeys(dids)))
            at = self._at([one.place for one in page if one.place and not one.message])
            for one in page:
                check()
                yield from self._of_row(one, products, at)

    def _of_row(
        self,
        one: _Wanted,
        products: Mapping[str, Product],
        at: Iterator[tuple[Product, ...]],
    ) -> Iterator[Item]:
        if one.message:
            yield self._item(one, None, one.message)
        elif one.place is None:
            product = products.get(one.did)
            missing = "" if product else failed(self._finder.absent(one.did))
            yield self._item(one, product, missing)
        else:
            found = [each for each in next(at) if self._passes(each)]
            for number, product in enumerate(found, 1):
                yield self._item(one, product, "", f"_{number}" if len(found) > 1 else "")
            if not found:
                message = failed(NotFoundError("no image here shows this position"))
                yield self._item(one, None, message)

    def _at(self, places: Sequence[Point]) -> Iterator[tuple[Product, ...]]:
        if not places or self._catalogue is None:
            return iter(())
        return self._catalogue.at(places, self._collection)

    def _passes(self, product: Product) -> bool:
        return self._filter is None or product.obscore.get("filter") == self._filter

    def _item(self, one: _Wanted, product: Product | None, message: str, more: str = "") -> Item:
        self._number += 1
        return Item(
            self._number,
            one.row,
            one.did if product is None else product.did,
            "" if product is None else product.uri,
            selection_text(one.selection),
            self._named(one, product, more),
            message,
            one.selection,
        )

    def _named(self, one: _Wanted, product: Product | None, more: str) -> str:
        """Give the name of a file: the row's own, made safe and unique, or one of ours."""
        own = re.sub(r"[^A-Za-z0-9._+-]", "_", one.name).lstrip(".")[:120]
        own = own.removesuffix(self._suffix)
        if own:
            name = f"{own}{more}{self._suffix}"
            if name not in self._names:
                self._names.add(name)
                return name
            return f"{own}{more}_{self._number:0{_WIDTH}d}{self._suffix}"
        made = "" if product is None else file_name(product, one.selection.stencil, self._suffix)
        return f"{self._number:0{_WIDTH}d}_{made}"


def _degrees(value: object, name: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"{name} takes a number, not '{str(value)[:40]}'") from None
