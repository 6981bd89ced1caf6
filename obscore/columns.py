"""The columns of ``ivoa.obscore`` as data (ObsCore 1.1, tables 1, 5 and 6; TAP 1.1 types).

From this one table come the database's schema, TAP_SCHEMA, the FIELDs of every answer and the
checks of the assembly line.
"""

from __future__ import annotations

from dataclasses import dataclass

from vodal.tables.columns import Column
from vodal.tables.frames import ICRS, MJD_UTC, Frame

__all__ = ["COLUMNS", "COLUMNS_BY_NAME", "COLUMN_NAMES", "ObsCoreColumn"]


@dataclass(frozen=True, slots=True)
class ObsCoreColumn:
    """One column of ``ivoa.obscore`` and its rules."""

    column: Column
    mandatory: bool
    """Whether ObsCore 1.1 requires the column (``std`` and ``principal`` of TAP_SCHEMA)."""
    nullable: bool
    indexed: bool = False
    facet: bool = False
    """Whether the column has few distinct values, whose rows are counted as they are written."""
    by_store: bool = False
    """Whether the store sets it, and not the assembly line."""

    @property
    def name(self) -> str:
        """The column's name, lower case."""
        return self.column.name


_TYPES = {
    "text": ("char", "*", None),
    "int": ("int", None, None),
    "long": ("long", None, None),
    "double": ("double", None, None),
    "shape": ("char", "*", None),
    "timestamp": ("char", "*", "timestamp"),
}


_FRAMES: dict[str, Frame] = {
    "s_ra": ICRS,
    "s_dec": ICRS,
    "s_region": ICRS,
    "t_min": MJD_UTC,
    "t_max": MJD_UTC,
}


def _column(
    name: str,
    kind: str,
    unit: str,
    ucd: str,
    utype: str,
    description: str,
    *,
    mandatory: bool = True,
    nullable: bool = True,
    indexed: bool = False,
    facet: bool = False,
    by_store: bool = False,
) -> ObsCoreColumn:
    datatype, arraysize, xtype = _TYPES[kind]
    if kind == "shape":
        # Firefly and Aladin need the shape's word, which only the STC-S form has.
        xtype = "adql:REGION"
    column = Column(
        name=name,
        datatype=datatype,
        arraysize=arraysize,
        unit=unit or None,
        ucd=ucd or None,
        utype=f"obscore:{utype}" if utype else None,
        xtype=xtype,
        description=description,
        frame=_FRAMES.get(name),
    )
    return ObsCoreColumn(column, mandatory, nullable, indexed, facet, by_store)


_SPACE = "Char.SpatialAxis"
_TIME = "Char.TimeAxis"
_SPECTRAL = "Char.SpectralAxis"

# name, kind, unit, UCD, utype, description
COLUMNS: tuple[ObsCoreColumn, ...] = (
    _column(
        "dataproduct_type",
        "text",
        "",
        "meta.code.class",
        "ObsDataset.dataProductType",
        "Kind of product: image, cube ...",
        indexed=True,
        facet=True,
    ),
    _column(
        "calib_level",
        "int",
        "",
        "meta.code;obs.calib",
        "ObsDataset.calibLevel",
        "Calibration level, 0 (raw) to 4 (analysis product)",
        nullable=False,
        facet=True,
    ),
    _column(
        "obs_collection",
        "text",
        "",
        "meta.id",
        "DataID.collection",
        "Name of the data collection",
        nullable=False,
        indexed=True,
        facet=True,
    ),
    _column(
        "obs_id",
        "text",
        "",
        "meta.id",
        "DataID.observationID",
        "Identifier of the observation",
        nullable=False,
        indexed=True,
    ),
    _column(
        "obs_publisher_did",
        "text",
        "",
        "meta.ref.ivoid",
        "Curation.publisherDID",
        "Identifier of the product given by the publisher",
        nullable=False,
        indexed=True,
    ),
    _column(
        "access_url",
        "text",
        "",
        "meta.ref.url",
        "Access.reference",
        "Where to get the product: its DataLink document",
    ),
    _column(
        "access_format",
        "text",
        "",
        "meta.code.mime",
        "Access.format",
        "Media type of what access_url gives",
    ),
    _column(
        "access_estsize", "long", "kbyte", "phys.size;meta.file", "Access.size", "Size of the file"
    ),
    _column(
        "target_name",
        "text",
        "",
        "meta.id;src",
        "Target.name",
        "Name of the observed target",
        indexed=True,
    ),
    _column(
        "s_ra",
        "double",
        "deg",
        "pos.eq.ra",
        f"{_SPACE}.Coverage.Location.Coord.Position2D.Value2.C1",
        "Right ascension of the centre, ICRS",
    ),
    _column(
        "s_dec",
        "double",
        "deg",
        "pos.eq.dec",
        f"{_SPACE}.Coverage.Location.Coord.Position2D.Value2.C2",
        "Declination of the centre, ICRS",
    ),
    _column(
        "s_fov",
        "double",
        "deg",
        "phys.angSize;instr.fov",
        f"{_SPACE}.Coverage.Bounds.Extent.diameter",
        "Diameter of the circle around the footprint",
    ),
    _column(
        "s_region",
        "shape",
        "",
        "pos.outline;obs.field",
        f"{_SPACE}.Coverage.Support.Area",
        "Footprint, ICRS",
    ),
    _column(
        "s_resolution",
        "double",
        "arcsec",
        "pos.angResolution",
        f"{_SPACE}.Resolution.Refval.value",
        "FWHM of the point-spread function",
    ),
    _column(
        "s_xel1",
        "long",
        "",
        "meta.number",
        f"{_SPACE}.numBins1",
        "Pixels along the first spatial axis",
    ),
    _column(
        "s_xel2",
        "long",
        "",
        "meta.number",
        f"{_SPACE}.numBins2",
        "Pixels along the second spatial axis",
    ),
    _column(
        "t_min",
        "double",
        "d",
        "time.start;obs.exposure",
        f"{_TIME}.Coverage.Bounds.Limits.StartTime",
        "Start of the observation, MJD",
        indexed=True,
    ),
    _column(
        "t_max",
        "double",
        "d",
        "time.end;obs.exposure",
        f"{_TIME}.Coverage.Bounds.Limits.StopTime",
        "End of the observation, MJD",
        indexed=True,
    ),
    _column(
        "t_exptime",
        "double",
        "s",
        "time.duration;obs.exposure",
        f"{_TIME}.Coverage.Support.Extent",
        "Total exposure time",
    ),
    _column(
        "t_resolution",
        "double",
        "s",
        "time.resolution",
        f"{_TIME}.Resolution.Refval.value",
        "Resolution along the time axis",
    ),
    _column("t_xel", "long", "", "meta.number", f"{_TIME}.numBins", "Samples along the time axis"),
    _column(
        "em_min",
        "double",
        "m",
        "em.wl;stat.min",
        f"{_SPECTRAL}.Coverage.Bounds.Limits.LoLimit",
        "Shortest wavelength, in vacuum",
        indexed=True,
    ),
    _column(
        "em_max",
        "double",
        "m",
        "em.wl;stat.max",
        f"{_SPECTRAL}.Coverage.Bounds.Limits.HiLimit",
        "Longest wavelength, in vacuum",
        indexed=True,
    ),
    _column(
        "em_res_power",
        "double",
        "",
        "spect.resolution",
        f"{_SPECTRAL}.Resolution.ResolPower.refVal",
        "Spectral resolving power, lambda over delta lambda",
    ),
    _column(
        "em_xel",
        "long",
        "",
        "meta.number",
        f"{_SPECTRAL}.numBins",
        "Samples along the spectral axis",
    ),
    _column(
        "o_ucd",
        "text",
        "",
        "meta.ucd",
        "Char.ObservableAxis.ucd",
        "UCD of the pixel values",
        facet=True,
    ),
    _column(
        "pol_states",
        "text",
        "",
        "meta.code;phys.polarization",
        "Char.PolarizationAxis.stateList",
        "Polarization states, as /I/Q/U/V/",
        facet=True,
    ),
    _column(
        "pol_xel",
        "long",
        "",
        "meta.number",
        "Char.PolarizationAxis.numBins",
        "Number of polarization states",
    ),
    _column(
        "facility_name",
        "text",
        "",
        "meta.id;instr.tel",
        "Provenance.ObsConfig.Facility.name",
        "Observatory or telescope",
        indexed=True,
        facet=True,
    ),
    _column(
        "instrument_name",
        "text",
        "",
        "meta.id;instr",
        "Provenance.ObsConfig.Instrument.name",
        "Instrument",
        indexed=True,
        facet=True,
    ),
    _column(
        "dataproduct_subtype",
        "text",
        "",
        "meta.code.class",
        "ObsDataset.dataProductSubtype",
        "Finer kind of product",
        mandatory=False,
        facet=True,
    ),
    _column(
        "obs_title",
        "text",
        "",
        "meta.title;obs",
        "DataID.title",
        "One line that describes the product",
        mandatory=False,
    ),
    _column(
        "obs_creation_date",
        "timestamp",
        "",
        "time;meta.dataset",
        "DataID.date",
        "When the product was made, UTC",
        mandatory=False,
    ),
    _column(
        "obs_release_date",
        "timestamp",
        "",
        "time.release",
        "Curation.releaseDate",
        "When the product becomes public, UTC",
        mandatory=False,
    ),
    _column(
        "data_rights",
        "text",
        "",
        "meta.code",
        "Curation.rights",
        "public, secure or proprietary",
        mandatory=False,
        facet=True,
    ),
    _column(
        "s_pixel_scale",
        "double",
        "arcsec",
        "phys.angSize;instr.pixel",
        f"{_SPACE}.Sampling.RefVal.SamplingPeriod",
        "Size of a pixel at the centre",
        mandatory=False,
    ),
    _column(
        "o_unit",
        "text",
        "",
        "meta.unit",
        "Char.ObservableAxis.unit",
        "Unit of the pixel values",
        mandatory=False,
        facet=True,
    ),
    _column(
        "proposal_id",
        "text",
        "",
        "meta.id;obs.proposal",
        "Provenance.Proposal.identifier",
        "Identifier of the proposal",
        mandatory=False,
    ),
    _column(
        "filter",
        "text",
        "",
        "meta.id;instr.filter",
        "",
        "Name of the filter, as the table of bands normalises it",
        mandatory=False,
        indexed=True,
        facet=True,
    ),
    _column(
        "last_modified",
        "timestamp",
        "",
        "time.processing",
        "",
        "When the row, or the file behind it, was last catalogued with other content, UTC",
        mandatory=False,
        nullable=False,
        indexed=True,
        by_store=True,
    ),
)

COLUMN_NAMES: tuple[str, ...] = tuple(item.name for item in COLUMNS)
"""Names of all columns, in the order of the table."""

COLUMNS_BY_NAME: dict[str, ObsCoreColumn] = {item.name: item for item in COLUMNS}
