"""Dimension records of many datasets at a time: what templates name, regions and time spans."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from astropy.time import Time
from lsst.daf.butler import Butler, DatasetType, DimensionElement, SkyPixDimension
from lsst.daf.butler.time_utils import TimeConverter
from lsst.sphgeom import IntersectionRegion, Region

from obscore.sources.butler.repository import Dataset

__all__ = ["Records", "record_fields"]

Key = tuple[Any, ...]

_LIMITS = TimeConverter()
"""Knows the values of spans without begin or end."""
_DAY_NS = 86_400 * 10**9
_EPOCH_MJD = 40_587
"""1970-01-01, whose beginning in TAI is the zero of the registry's times."""


def record_fields(kind: DatasetType) -> dict[str, frozenset[str]]:
    """Give the dimension elements of a dataset type that have records, with their fields."""
    universe = kind.dimensions.universe
    fields: dict[str, frozenset[str]] = {}
    for name in kind.dimensions.elements:
        schema = universe[name].schema
        fields[name] = frozenset(schema.names) | ({"region"} if universe[name].spatial else set())
        if universe[name].temporal:
            fields[name] |= {"timespan"}
    return fields


class Records:
    """The records of a batch of datasets of one type.

    Parameters
    ----------
    butler
        The repository.
    kind
        The dataset type.
    elements
        Dimension elements whose records are asked for, beside those of regions and time spans.
    batch
        The datasets.
    """

    def __init__(
        self, butler: Butler, kind: DatasetType, elements: Collection[str], batch: Sequence[Dataset]
    ) -> None:
        dimensions = kind.dimensions
        self._butler, self._batch = butler, batch
        self._universe = dimensions.universe
        self._named = sorted(elements)
        self._spatial = [family.choose(dimensions).name for family in dimensions.spatial]
        temporal = [family.choose(dimensions).name for family in dimensions.temporal]
        self._found = {
            name: self._look_up(self._universe[name])
            for name in sorted({*elements, *self._spatial, *temporal})
        }
        self._spans = {name: _spans(self._found[name]) for name in temporal}
        self._derived: dict[Key, Region] = {}
        self._derive_from = _derived_from(kind)
        if self._derive_from is not None:
            self._derived = self._regions_of_exposures(self._derive_from)

    def of(self, dataset: Dataset) -> dict[str, Any]:
        """Give a dataset's records by element; one that is not there is left out."""
        given = ((name, self._record(name, dataset)) for name in self._named)
        return {name: record for name, record in given if record is not None}

    def region(self, dataset: Dataset) -> Region | None:
        """Give the region of a dataset's dimensions, as `DataCoordinate.region` would.

        That of an exposure is the one of its visit, as in LSST's own tables.
        """
        if self._derive_from is not None:
            return self._derived.get(_key(self._derive_from[1], dataset.data_id))
        regions = []
        for name in self._spatial:
            record = self._record(name, dataset)
            if record is None or record.region is None:
                return None
            regions.append(record.region)
        if len(regions) > 1:
            return IntersectionRegion(*regions)
        return regions[0] if regions else None

    def span_mjd(self, dataset: Dataset) -> tuple[float | None, float | None]:
        """Give begin and end of the time span of a dataset's dimensions, MJD in UTC."""
        begin: float | None = None
        end: float | None = None
        for name, spans in self._spans.items():
            key = _key(self._universe[name].required.names, dataset.data_id)
            low, high = spans.get(key, (None, None))
            begin = low if begin is None or (low is not None and low > begin) else begin
            end = high if end is None or (high is not None and high < end) else end
        return begin, end

    def _record(self, name: str, dataset: Dataset) -> Any:
        required = self._universe[name].required.names
        return self._found[name].get(_key(required, dataset.data_id))

    def _look_up(self, element: DimensionElement) -> dict[Key, Any]:
        """Ask for an element's records of all datasets of the batch."""
        names = tuple(element.required.names)
        found: dict[Key, Any] = {}
        if isinstance(element, SkyPixDimension):
            # Pixels of the sky are in no table.
            for pixel in {dataset.data_id[element.name] for dataset in self._batch}:
                region = element.pixelization.pixel(pixel)
                found[pixel,] = element.RecordClass(id=pixel, region=region)
            return found
        with self._butler.query() as query:
            for where, bind in self._conditions(names):
                records = query.dimension_records(element.name).where(where, bind=bind)
                for record in records:
                    found[tuple(record.dataId.required_values)] = record
        return found

    def _regions_of_exposures(self, derived: tuple[str, tuple[str, ...]]) -> dict[Key, Region]:
        """Ask for the regions of the visits that exposures belong to."""
        element, names = derived
        field = f"{element}.region"
        found: dict[Key, Region] = {}
        with self._butler.query() as query:
            for where, bind in self._conditions(names):
                rows = query.join_dimensions([*names, "visit"]).where(where, bind=bind)
                for row in rows.general([*names, "visit"], field).order_by("visit"):
                    if row[field] is not None:
                        found.setdefault(_key(names, row), row[field])
        return found

    def _conditions(self, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give conditions that the batch's datasets meet, one an instrument or sky map.

        A condition may take more than the batch has: the other detectors of a visit.
        """
        governor = names[0] if names else None
        groups: dict[Any, list[Mapping[str, Any]]] = {}
        for dataset in self._batch:
            groups.setdefault(dataset.data_id.get(governor or ""), []).append(dataset.data_id)
        for value, data_ids in groups.items():
            if governor is None or value is None:
                continue
            terms, bind = [f"{governor} = value_0"], {"value_0": value}
            for number, name in enumerate(names[1:], 1):
                values = sorted({data_id[name] for data_id in data_ids} - {None})
                terms.append(f"{name} IN (value_{number})")
                bind[f"value_{number}"] = values
            yield " AND ".join(terms), bind


def _key(names: Iterable[str], data_id: Mapping[str, Any]) -> Key:
    return tuple([data_id[name] for name in names])


def _derived_from(kind: DatasetType) -> tuple[str, tuple[str, ...]] | None:
    """Tell which region an exposure's datasets have; None if their dimensions have their own."""
    dimensions = kind.dimensions
    known = dimensions.universe.elements.names
    if dimensions.spatial or "exposure" not in dimensions or "visit_definition" not in known:
        return None
    if "detector" in dimensions:
        return "visit_detector_region", ("instrument", "exposure", "detector")
    return "visit", ("instrument", "exposure")


def _spans(records: Mapping[Key, Any]) -> dict[Key, tuple[float | None, float | None]]:
    """Give the time spans of records, MJD in UTC."""
    keys = [
        key
        for key, record in records.items()
        if record.timespan is not None and not record.timespan.isEmpty()
    ]
    if not keys:
        return {}
    ends_ns = [records[key].timespan.nsec for key in keys]
    # All at a time: astropy converts a million as fast as a thousand one by one.
    days, rest_ns = np.divmod(np.array(ends_ns, np.int64), _DAY_NS)
    moments = Time(_EPOCH_MJD + days, rest_ns / _DAY_NS, format="mjd", scale="tai")
    unbounded = {_LIMITS.min_nsec, _LIMITS.max_nsec}
    spans = {}
    for key, bounds_ns, mjds in zip(keys, ends_ns, moments.utc.mjd.tolist(), strict=True):
        begin, end = (
            None if bound_ns in unbounded else mjd
            for bound_ns, mjd in zip(bounds_ns, mjds, strict=True)
        )
        spans[key] = (begin, end)
    return spans
