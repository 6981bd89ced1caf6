"""How the service describes itself (SIA 2.0 sections 2.1.17 and 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

from obscore.coverage.capability import coverage_capability
from obscore.sia.parameters import PARAMETERS, Parameter
from vodal.links import InputParam, ServiceDescriptor
from vodal.vosi.capabilities import Capability, Interface, vosi_capabilities

__all__ = ["STANDARD_ID", "own_descriptor", "sia_capabilities"]

STANDARD_ID = "ivo://ivoa.net/std/SIA#query-2.0"

_UCDS = {"POS": "pos.outline;obs", "BAND": "em.wl", "TIME": "time", "POL": "phys.polarization",
         "FOV": "phys.angSize;instr.fov", "SPATRES": "pos.angResolution",
         "SPECRP": "spect.resolution", "EXPTIME": "time.duration;obs.exposure",
         "TIMERES": "time.resolution", "ID": "meta.ref.ivoid"}  # fmt: skip


def own_descriptor(service_url: str, choices: Mapping[str, tuple[str, ...]]) -> ServiceDescriptor:
    """Describe the service to who has its answer.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    choices
        Values of parameters that have few.
    """
    inputs = [_input(item, choices.get(item.name, ())) for item in PARAMETERS]
    inputs += [
        InputParam("MAXREC", "int", None, description="Rows to give at most"),
        InputParam("RESPONSEFORMAT", description="Format of the answer; VOTable by default"),
    ]
    return ServiceDescriptor(
        id="sia2-query",
        name="this",
        access_url=f"{service_url}/query",
        standard_id=STANDARD_ID,
        inputs=tuple(inputs),
        description="The query that gave this table; any parameter may be given several times",
    )


def _input(item: Parameter, options: tuple[str, ...]) -> InputParam:
    interval = item.kind in {"overlap", "within"}
    return InputParam(
        item.name,
        datatype="double" if interval else "int" if item.kind == "level" else "char",
        arraysize="2" if interval else None if item.kind == "level" else "*",
        unit=item.unit,
        ucd=_UCDS.get(item.name),
        xtype="interval" if interval else None,
        options=options,
        description=item.description,
    )


def sia_capabilities(service_url: str, moc_url: str | None = None) -> tuple[Capability, ...]:
    """Make the capabilities of the service.

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    moc_url
        Where coverage maps are served, without a trailing slash, if they are.

    Notes
    -----
    Its parameters are told by the descriptor in each answer; pyvo warns of every element of them
    in a capability.
    """
    interface = Interface(
        f"{service_url}/query",
        use="base",
        version="2.0",
        query_types=("GET", "POST"),
        result_type="application/x-votable+xml",
    )
    maps = () if moc_url is None else (coverage_capability(moc_url),)
    return (Capability(STANDARD_ID, (interface,)), *vosi_capabilities(service_url), *maps)
