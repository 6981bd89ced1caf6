"""What a dataset tells: columns as LSST's ObsCore configuration makes them, and further facts.

Facts that are named as a column of ``ivoa.obscore`` are the column's value where the mapping of
the collection gives no other. The rest can be taken by it:

- ``id``, ``run``, ``dataset_type``
- dimensions of the data identifier, implied ones too: ``visit``, ``band``, ``skymap`` ...
- what dimension records say, by its path: ``visit.exposure_time``, ``detector.full_name``,
  ``visit.timespan.begin.utc.isot``. Times are MJD in UTC, other objects are texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from astropy.time import Time

from obscore.sources.base import Facts
from obscore.sources.butler.configuration import column_of
from obscore.sources.butler.settings import (
    DatasetTypeSettings,
    ExtraColumnSettings,
    ObsCoreKeys,
)
from obscore.sources.butler.templates import MissingError, Template, Way, parse_template, parse_way
from vodal.errors import UsageError

__all__ = ["RowMaker", "Told"]

Value = str | int | float | bool | None


class Told(NamedTuple):
    """What the registry says of a dataset."""

    id: str
    """UUID."""
    run: str
    data_id: Mapping[str, Any]
    """By dimension, implied ones too."""
    records: Mapping[str, Any]
    """Dimension records by element, those that `RowMaker.elements` names."""
    t_min_mjd: float | None
    """UTC, of the time span that the dimensions give."""
    t_max_mjd: float | None


_READ: dict[str, Callable[[str], Value]] = {
    "bool": lambda text: bool(int(text)),
    "int": int,
    "float": float,
    "string": str,
}
_OF_DATASET = ("id", "run", "dataset_type")


class RowMaker:
    """Makes the facts of datasets of one type.

    Parameters
    ----------
    keys
        The configuration.
    dataset_type
        Its name.
    dimensions
        Those of the dataset type, implied ones too.
    elements
        The dimension elements of these that have records, with the names of the records' fields.
    wanted
        Names of the facts that the mapping takes.
    authority, collection
        Of the site, and the collection's name, for identifiers.
    key
        Path of the settings, for messages.

    Raises
    ------
    UsageError
        If a template that must give a value names what datasets of this type do not have.
    """

    def __init__(
        self,
        keys: ObsCoreKeys,
        dataset_type: str,
        *,
        dimensions: Collection[str],
        elements: Mapping[str, Collection[str]],
        wanted: Collection[str],
        authority: str,
        collection: str,
        key: str,
    ) -> None:
        self._keys, self._name = keys, dataset_type
        self._dimensions, self._fields = set(dimensions), elements
        kind = keys.dataset_types[dataset_type]
        self._constants = _constants(keys, kind)
        self._obs_id = self._needed(kind.obs_id_fmt, f"{key}: obs_id_fmt of {dataset_type}")
        did = keys.obs_publisher_did_fmt
        self._did = self._needed(did, f"{key}: obs_publisher_did_fmt", also={"obs_id"})
        name = quote(collection, safe="-._~!*'()+=")
        self._own_did = f"ivo://{authority}/{name}?id="
        self._extra = self._extra_columns(keys, kind)
        self._wanted = {name: way for name in wanted if (way := self._way(name)) is not None}
        self._exposed = next((name for name in ("exposure", "visit") if name in elements), None)

    @property
    def elements(self) -> frozenset[str]:
        """The dimension elements whose records are needed, but for regions and time spans."""
        ways = [way for template in self._templates() for way in template.ways]
        named = {
            str(way.steps[0][1]) for way in (*ways, *self._wanted.values())
            if way.name == "records" and way.steps
        }  # fmt: skip
        if self._exposed is not None:
            named.add(self._exposed)
        if self._obs_id is None:
            named |= {"visit", "exposure"}
        return frozenset(named & set(self._fields))

    def facts(self, told: Told) -> Facts:
        """Give the facts of a dataset.

        Raises
        ------
        MissingError
            If it lacks something that ``obs_id`` or ``obs_publisher_did`` are made of.
        """
        names = self._names(told)
        facts: dict[str, Value] = {
            name: value if isinstance(value, str | int | float) else str(value)
            for name, value in told.data_id.items()
            if value is not None
        }
        facts |= {"id": told.id, "run": told.run, "dataset_type": self._name}
        for name, way in self._wanted.items():
            facts[name] = _plain(way, names)
        facts |= self._constants
        facts |= self._dimension_columns(told)
        obs_id = _usual_obs_id(told) if self._obs_id is None else self._obs_id.fill(names)
        facts["obs_id"] = names["obs_id"] = obs_id
        did = self._own_did + told.id if self._did is None else self._did.fill(names)
        facts["obs_publisher_did"] = did
        for column, read in self._extra.items():
            value = read(names)
            if value is not None:
                facts[column] = value
        return facts

    def _names(self, told: Told) -> dict[str, Any]:
        """Give what templates may name."""
        names: dict[str, Any] = {"records": told.records, **told.data_id}
        if "exposure" in names:
            # As LSST's own, so that one template serves both.
            names.setdefault("visit", names["exposure"])
        names |= {"id": told.id, "run": told.run, "dataset_type": self._name}
        return names | self._constants

    def _dimension_columns(self, told: Told) -> dict[str, Value]:
        """Give the columns that follow from dimensions (ObsCore 1.1 section 4)."""
        keys, data_id = self._keys, told.data_id
        instrument = data_id.get("instrument") or keys.fallback_instrument
        columns: dict[str, Value] = {
            "instrument_name": instrument,
            "facility_name": keys.facility_map.get(instrument or "", keys.facility_name or ""),
            "t_min": told.t_min_mjd,
            "t_max": told.t_max_mjd,
        }
        record = None if self._exposed is None else told.records.get(self._exposed)
        if record is not None:
            columns["t_exptime"] = record.exposure_time
            columns["target_name"] = record.target_name
        band = data_id.get("band")
        if band is not None:
            columns["filter"] = band
            span = keys.spectral_ranges.get(data_id.get("physical_filter") or "")
            span = span or keys.spectral_ranges.get(band)
            if span is not None:
                columns["em_min"], columns["em_max"] = span
        return {name: value for name, value in columns.items() if value not in {None, ""}}

    def _templates(self) -> list[Template]:
        templates = [one for one in (self._obs_id, self._did) if one is not None]
        return templates + [read.template for read in self._extra.values() if read.template]

    def _needed(
        self, text: str | None, place: str, also: frozenset[str] | set[str] = frozenset()
    ) -> Template | None:
        if text is None:
            return None
        template = parse_template(text)
        for way in template.ways:
            if way.name not in also and not self._has(way):
                raise UsageError(f"{place} names {way}, which no dataset of this type has")
        return template

    def _has(self, way: Way) -> bool:
        """Tell whether datasets of the type may have what a template names."""
        if way.name == "records":
            element = str(way.steps[0][1]) if way.steps else ""
            fields = self._fields.get(element)
            return fields is not None and (len(way.steps) < 2 or way.steps[1][1] in fields)
        own = self._dimensions | ({"visit"} if "exposure" in self._dimensions else set())
        return way.name in own or way.name in _OF_DATASET or way.name in self._constants

    def _way(self, fact: str) -> Way | None:
        """Read the name of a fact; None if the datasets have no such thing, or have it anyway."""
        element, _, rest = fact.partition(".")
        try:
            way = parse_way(f"records[{element}].{rest}" if rest else element)
        except ValueError:
            return None
        if not rest and element in self._dimensions | set(_OF_DATASET):
            return None
        return way if self._has(way) else None

    def _extra_columns(self, keys: ObsCoreKeys, kind: DatasetTypeSettings) -> dict[str, _Extra]:
        extra: dict[str, _Extra] = {}
        for name, value in {**(keys.extra_columns or {}), **(kind.extra_columns or {})}.items():
            column = column_of(name)
            if column is None:
                continue
            extra[column] = _Extra(value)
        return extra


class _Extra:
    """A constant or template of a column that LSST's configuration adds."""

    def __init__(self, value: Value | ExtraColumnSettings) -> None:
        self.template: Template | None = None
        self._constant: Value = None
        if isinstance(value, ExtraColumnSettings):
            self.template, self._read = parse_template(value.template), _READ[value.type]
        else:
            self._constant = value

    def __call__(self, names: Mapping[str, Any]) -> Value:
        if self.template is None:
            return self._constant
        try:
            return self._read(self.template.fill(names))
        except (MissingError, ValueError):
            return None


def _constants(keys: ObsCoreKeys, kind: DatasetTypeSettings) -> dict[str, Value]:
    """Give the columns whose values the configuration spells out."""
    sizes = kind.s_xel or (None, None)
    columns: dict[str, Value] = {
        "dataproduct_type": kind.dataproduct_type,
        "dataproduct_subtype": kind.dataproduct_subtype,
        "calib_level": kind.calib_level,
        "o_ucd": kind.o_ucd,
        "obs_collection": kind.obs_collection or keys.obs_collection,
        "s_xel1": sizes[0],
        "s_xel2": sizes[1],
    }
    return {name: value for name, value in columns.items() if value is not None}


def _usual_obs_id(told: Told) -> str:
    """Name what was observed: the visit, the exposure, the patch of a sky map; else all."""
    for element, field in (("visit", "name"), ("exposure", "obs_id")):
        record = told.records.get(element)
        if record is not None:
            return str(getattr(record, field))
    sky = [name for name in ("skymap", "tract", "patch") if name in told.data_id]
    return "-".join(str(told.data_id[name]) for name in (sky or told.data_id)) or told.id


def _plain(way: Way, names: Mapping[str, Any]) -> Value:
    """Give what a mapping may take of a value."""
    try:
        value = way.follow(names)
    except MissingError:
        return None
    if isinstance(value, Time):
        return float(value.utc.mjd)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | bool | int) else str(value)
