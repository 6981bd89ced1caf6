"""The parameters of a query (SIA 2.0 section 2.1), and the columns that each constrains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PARAMETERS", "TYPES", "Parameter"]

Kind = Literal["region", "overlap", "within", "states", "identifier", "text", "level", "format"]

TYPES = ("image", "cube")
"""What there is for Simple Image Access 2.0, of all values of ``dataproduct_type``."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; of its values any may hold, of several parameters all must."""

    name: str
    kind: Kind
    """``overlap`` asks for data whose interval meets the value's, ``within`` for data whose number
    lies in it."""
    columns: tuple[str, ...]
    """Of ``ivoa.obscore``."""
    description: str
    unit: str | None = None
    chosen: bool = False
    """Whether the catalogue has few enough values to list them."""


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("POS", "region", ("s_region",),
              "Region that the data meet: CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or"
              " POLYGON ra1 dec1 ..., ICRS degrees"),
    Parameter("BAND", "overlap", ("em_min", "em_max"),
              "Wavelength, or interval of wavelengths, that the data cover", "m"),
    Parameter("TIME", "overlap", ("t_min", "t_max"),
              "Moment, or interval of time, that the data cover: MJD, UTC", "d"),
    Parameter("POL", "states", ("pol_states",), "State of polarization that is among the data's"),
    Parameter("FOV", "within", ("s_fov",), "Size of the field of view", "deg"),
    Parameter("SPATRES", "within", ("s_resolution",), "Spatial resolution", "arcsec"),
    Parameter("SPECRP", "within", ("em_res_power",), "Spectral resolving power"),
    Parameter("EXPTIME", "within", ("t_exptime",), "Exposure time", "s"),
    Parameter("TIMERES", "within", ("t_resolution",), "Resolution in time", "s"),
    Parameter("ID", "identifier", ("obs_publisher_did",), "Identifier of a dataset"),
    Parameter("COLLECTION", "text", ("obs_collection",), "Name of a collection", chosen=True),
    Parameter("FACILITY", "text", ("facility_name",), "Name of a telescope", chosen=True),
    Parameter("INSTRUMENT", "text", ("instrument_name",), "Name of an instrument", chosen=True),
    Parameter("DPTYPE", "text", ("dataproduct_type",), "Type of the data: image or cube",
              chosen=True),
    Parameter("CALIB", "level", ("calib_level",), "Level of calibration, 0 to 4", chosen=True),
    Parameter("TARGET", "text", ("target_name",), "Name of what was observed"),
    Parameter("FORMAT", "format", ("access_format",),
              "Media type: that of access_url, or one of FITS for all that leads to FITS files"),
)  # fmt: skip
"""In the order of the standard. MAXREC and RESPONSEFORMAT are DALI's and go with any of them."""
